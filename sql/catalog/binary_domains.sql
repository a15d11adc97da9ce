-- Domains named like a media type whose values are bytes and not text.
select n.nspname, t.typname
from pg_type t
join pg_namespace n on n.oid = t.typnamespace
where t.typtype = 'd'
  and t.typbasetype = 'bytea'::regtype
  and position('/' in t.typname) > 0
