-- The functions of the schemas $1 that can be called by name: every parameter has a name, or
-- there is one only, of a type that takes a whole request body. Functions of triggers are
-- left out. Procedures, aggregates and window functions are no functions in this sense.
with recursive
-- domains, and what they are made of, down to what is no domain
unfolded as (
  select t.oid as type, t.typbasetype as base
  from pg_type t
  where t.typtype = 'd'
  union all
  select u.type, b.typbasetype
  from unfolded u
  join pg_type b on b.oid = u.base
  where b.typtype = 'd'
)
select
  n.nspname,
  p.proname,
  d.description,
  p.provolatile::text,
  p.proretset,
  case
    when b.oid = 'void'::regtype then 'void'
    when b.typtype = 'c' then 'composite'
    when p.proargmodes && '{o,b,t}' then 'record'
    else 'scalar'
  end,
  rn.nspname,
  r.typname,
  input.names,
  input.types,
  input.cast_types,
  p.pronargdefaults,
  p.provariadic <> 0,
  coalesce(p.proconfig, '{}')
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_type own on own.oid = p.prorettype
left join unfolded u on u.type = own.oid
  and not exists (select from pg_type deeper where deeper.oid = u.base and deeper.typtype = 'd')
join pg_type b on b.oid = coalesce(u.base, own.oid)
-- what names the result: a row by what it is made of, a scalar by its own name
join pg_type r on r.oid = case b.typtype when 'c' then b.oid else own.oid end
join pg_namespace rn on rn.oid = r.typnamespace
left join pg_description d
  on d.classoid = 'pg_proc'::regclass and d.objoid = p.oid and d.objsubid = 0
cross join lateral (
  select
    coalesce(array_agg(coalesce(a.name, '') order by a.place), '{}') as names,
    coalesce(array_agg(format_type(a.type, null) order by a.place), '{}') as types,
    -- types that would take their missing length for 1
    coalesce(array_agg(
      case a.type
        when 'bit'::regtype then 'bit varying'
        when 'bit[]'::regtype then 'bit varying[]'
        when 'character'::regtype then 'character varying'
        when 'character[]'::regtype then 'character varying[]'
        else format_type(a.type, null)
      end
      order by a.place
    ), '{}') as cast_types,
    count(*) filter (where coalesce(a.name, '') = '') as unnamed,
    coalesce(bool_and(a.type in (
      'json'::regtype, 'jsonb'::regtype, 'text'::regtype, 'xml'::regtype, 'bytea'::regtype
    )), false) as takes_body
  from unnest(
    coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes
  ) with ordinality as a (type, name, mode, place)
  where coalesce(a.mode, 'i') in ('i', 'b', 'v')
) input
where n.nspname = any ($1)
  and p.prokind = 'f'
  and own.oid not in ('trigger'::regtype, 'event_trigger'::regtype)
  and (input.unnamed = 0 or input.unnamed = 1 and p.pronargs = 1 and input.takes_body)
order by p.oid
