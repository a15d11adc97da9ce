-- Functions of the schemas $1 that take one row of a relation in these schemas and return
-- rows of such a relation.
select
  n.nspname,
  p.proname,
  source.oid,
  target.oid,
  not p.proretset or p.prorows = 1
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_type source_type on source_type.oid = p.proargtypes[0]
join pg_class source on source.oid = source_type.typrelid
join pg_type target_type on target_type.oid = p.prorettype
join pg_class target on target.oid = target_type.typrelid
where n.nspname = any ($1)
  and p.prokind = 'f'
  and p.pronargs = 1
  and source.relkind in ('r', 'p', 'v', 'm', 'f')
  and target.relkind in ('r', 'p', 'v', 'm', 'f')
