-- Fails with the first of the schemas that does not exist.
select quote_ident(name)::regnamespace::text
from unnest($1::text[]) as name
