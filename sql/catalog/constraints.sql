-- Primary keys, unique constraints and foreign keys of the whole database: views of exposed
-- schemas may show tables of hidden ones. Foreign keys that partitions inherit are left out.
select
  k.contype::text,
  k.conname,
  k.conrelid,
  k.conkey,
  k.confrelid,
  coalesce(k.confkey, '{}')
from pg_constraint k
where k.conrelid <> 0
  and k.connamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  and (k.contype in ('p', 'u') or k.contype = 'f' and k.conparentid = 0)
order by k.oid
