-- Aggregates of the schemas $1 over the rows of a relation, or over rows of any kind, that
-- return a domain named like a media type. A relation that is null stands for any.
select
  lower(t.typname),
  n.nspname,
  p.proname,
  rn.nspname,
  r.relname,
  t.typbasetype = 'bytea'::regtype
from pg_type t
join pg_proc p on p.prorettype = t.oid
join pg_namespace n on n.oid = p.pronamespace
join pg_type taken on taken.oid = p.proargtypes[0]
left join pg_class r on r.oid = taken.typrelid and r.relkind in ('r', 'p', 'v', 'm', 'f')
left join pg_namespace rn on rn.oid = r.relnamespace
where t.typtype = 'd'
  and (t.typname ~ '^[A-Za-z0-9.-]+/[A-Za-z0-9.+-]+$' or t.typname = '*/*')
  and n.nspname = any ($1)
  and p.prokind = 'a'
  and p.pronargs = 1
  and (r.oid is not null or taken.oid = 'anyelement'::regtype)
order by p.oid
