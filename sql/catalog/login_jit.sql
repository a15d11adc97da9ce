-- Whether somebody has set jit for the login role or this database.
select exists (
  select from pg_db_role_setting s
  cross join lateral unnest(s.setconfig) setting
  where setting ilike 'jit=%'
    and s.setrole in (0, (select oid from pg_roles where rolname = current_user))
    and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
)
