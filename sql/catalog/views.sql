-- The queries of the views and materialized views in the schemas $1, as node trees.
select c.oid, r.ev_action::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_rewrite r on r.ev_class = c.oid and r.ev_type = '1'
where n.nspname = any ($1)
  and c.relkind in ('v', 'm')
