-- The names that SQL of this database asks for as request.jwt.claim.NAME: in functions, views,
-- policies and defaults. Trees of parsed SQL hold the bytes of texts as numbers, by which those
-- are found that are worth to be written out.
with wanted(bytes) as (
  values ('%114 101 113 117 101 115 116 46 106 119 116 46 99 108 97 105 109 46%')
), sources(sql) as (
  select prosrc from pg_proc where prosrc like '%request.jwt.claim.%'
  union all
  select pg_get_function_sqlbody(oid) from pg_proc, wanted where prosqlbody::text like bytes
  union all
  select pg_get_viewdef(ev_class) from pg_rewrite, wanted
  where rulename = '_RETURN' and ev_action::text like bytes
  union all
  select pg_get_expr(polqual, polrelid) from pg_policy, wanted where polqual::text like bytes
  union all
  select pg_get_expr(polwithcheck, polrelid) from pg_policy, wanted
  where polwithcheck::text like bytes
  union all
  select pg_get_expr(adbin, adrelid) from pg_attrdef, wanted where adbin::text like bytes
)
select distinct found[1]
from sources, regexp_matches(sql, 'request\.jwt\.claim\.([a-z_][a-z0-9_$]{0,62})', 'g') found
order by 1
limit 64
