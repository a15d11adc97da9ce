-- Settings of the roles that the login role may take on, with those of this database after
-- those of all databases, so that the later ones count. Only what may be set in a
-- transaction of the login role: {may_set} tells that for settings of superusers.
select r.rolname, left(c.setting, c.cut - 1), substr(c.setting, c.cut + 1)
from pg_db_role_setting s
join pg_roles r on r.oid = s.setrole
cross join lateral (
  select setting, strpos(setting, '=') as cut from unnest(s.setconfig) setting
) c
join pg_settings p on lower(p.name) = lower(left(c.setting, c.cut - 1))
where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
  and r.rolname <> current_user
  and pg_has_role(current_user, r.oid, 'member')
  and (p.context = 'user' or p.context = 'superuser' and {may_set})
order by r.rolname, s.setdatabase, 2
