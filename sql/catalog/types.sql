-- The distinct types, with their modifiers, of the columns of the relations in the schemas
-- $1. Told once a type: a wide schema has many columns and few types.
with recursive
used as (
  select distinct a.atttypid as type, a.atttypmod as modifier
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any ($1)
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not c.relispartition
    and a.attnum > 0
    and not a.attisdropped
),
-- each type, and what domains are made of, down to what is no domain
unfolded as (
  select t.oid as type, t.oid as base, t.typbasetype as next
  from pg_type t
  where t.oid in (select type from used)
  union all
  select u.type, b.oid, b.typbasetype
  from unfolded u
  join pg_type b on b.oid = u.next
)
select
  used.type,
  used.modifier,
  format_type(used.type, used.modifier),
  case
    when b.typnamespace = 'pg_catalog'::regnamespace then format_type(b.oid, null)
    else format_type(used.type, used.modifier)
  end,
  case
    when length.modifier < 0 then null
    when length.type in ('bpchar'::regtype, 'varchar'::regtype) then length.modifier - 4
    when length.type in ('bit'::regtype, 'varbit'::regtype) then length.modifier
  end,
  t.typnotnull,
  case when t.typbasetype <> 0 then pg_get_expr(t.typdefaultbin, 0) end,
  array(
    select e.enumlabel::text
    from pg_enum e
    where e.enumtypid = b.oid
    order by e.enumsortorder
  ),
  b.oid in ('json'::regtype, 'jsonb'::regtype),
  b.oid = 'tsvector'::regtype,
  -- How json_agg writes the type, which looks through domains: the letters of json::Form. Types
  -- below 16384 are PostgreSQL's own; it does not look for casts of those.
  case
    when b.oid = 'boolean'::regtype then 'b'
    when b.oid in (
      'smallint'::regtype, 'integer'::regtype, 'bigint'::regtype,
      'real'::regtype, 'double precision'::regtype, 'numeric'::regtype
    ) then 'n'
    when b.oid = 'json'::regtype then 'j'
    when b.oid = 'jsonb'::regtype then 'J'
    when b.oid in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) then 'o'
    when b.typsubscript = 'array_subscript_handler'::regproc then 'o'
    when b.typtype not in ('b', 'e', 'r', 'm') then 'o'
    when b.oid >= 16384 and exists (
      select from pg_cast c
      where c.castsource = b.oid and c.casttarget = 'json'::regtype and c.castfunc <> 0
    ) then 'o'
    else 't'
  end
from used
join pg_type t on t.oid = used.type
join unfolded u on u.type = used.type and u.next = 0
join pg_type b on b.oid = u.base
cross join lateral (
  select
    case t.typtype when 'd' then t.typbasetype else t.oid end as type,
    case t.typtype when 'd' then t.typtypmod else used.modifier end as modifier
) length
