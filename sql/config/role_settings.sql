-- Settings of the login role named pgrst.*, without that prefix. Those for this database
-- come after those for all databases, so that they count.
SELECT substr(split_part(setting, '=', 1), length('pgrst.') + 1),
       substr(setting, strpos(setting, '=') + 1)
FROM pg_catalog.pg_db_role_setting
CROSS JOIN LATERAL unnest(setconfig) AS setting
WHERE setrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)
  AND setdatabase IN (
    0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  )
  AND starts_with(setting, 'pgrst.')
ORDER BY setdatabase
