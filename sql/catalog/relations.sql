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
  c.reltuples,
  -- Whether writing runs no code but PostgreSQL's own: no triggers, policies, rules, cascades
  -- to other tables, and no expression with a function or operator that somebody made. What
  -- is PostgreSQL's own has no entries in pg_depend.
  c.relkind = 'r'
    and not c.relrowsecurity and not c.relhasrules and not c.relhassubclass
    and c.oid not in (select tgrelid from pg_trigger where not tgisinternal)
    and c.oid not in (
      select confrelid from pg_constraint
      where contype = 'f' and (confupdtype not in ('a', 'r') or confdeltype not in ('a', 'r'))
    )
    and c.oid not in (
      select coalesce(k.conrelid, ad.adrelid, i.indrelid)
      from pg_depend p
      left join pg_constraint k on p.classid = 'pg_constraint'::regclass and k.oid = p.objid
      left join pg_attrdef ad on p.classid = 'pg_attrdef'::regclass and ad.oid = p.objid
      left join pg_index i on p.classid = 'pg_class'::regclass and i.indexrelid = p.objid
      where p.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass)
        and coalesce(k.conrelid, ad.adrelid, i.indrelid) is not null
    )
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_class t on t.oid = c.reltoastrelid
left join pg_description d
  on d.classoid = 'pg_class'::regclass and d.objoid = c.oid and d.objsubid = 0
where n.nspname = any ($1)
  and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and not c.relispartition
