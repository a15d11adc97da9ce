-- Tables and views of the schemas $1; partitions are reached through their parents.
-- The sixth column is the bit mask of pg_relation_is_updatable: 4 update, 8 insert,
-- 16 delete.
select
  c.oid,
  n.nspname,
  c.relname,
  c.relkind::text,
  d.description,
  case
    when c.relkind in ('r', 'p') then 4 + 8 + 16
    when c.relkind in ('v', 'f') then pg_relation_is_updatable(c.oid, true)
    else 0
  end,
  c.relrowsecurity,
  c.relpages::bigint + coalesce(t.relpages, 0),
  c.reltuples
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_class t on t.oid = c.reltoastrelid
left join pg_description d
  on d.classoid = 'pg_class'::regclass and d.objoid = c.oid and d.objsubid = 0
where n.nspname = any ($1)
  and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and not c.relispartition
