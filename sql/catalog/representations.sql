-- Implicit casts with a function between a domain and json or text.
select
  format_type(k.castsource, null),
  format_type(k.casttarget, null),
  n.nspname,
  p.proname
from pg_cast k
join pg_type source on source.oid = k.castsource
join pg_type target on target.oid = k.casttarget
join pg_proc p on p.oid = k.castfunc
join pg_namespace n on n.oid = p.pronamespace
where k.castcontext = 'i'
  and k.castmethod = 'f'
  and has_function_privilege(p.oid, 'execute')
  and (
    source.typtype = 'd' and target.oid in ('json'::regtype, 'text'::regtype)
    or target.typtype = 'd' and source.oid in ('json'::regtype, 'text'::regtype)
  )
