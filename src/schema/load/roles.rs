//! Reads the settings that roles bring along (`ALTER ROLE ... SET`).

use super::rows::for_each_row;
use crate::schema::{IsolationLevel, RoleSettings};
use postgres::{Error, Transaction};
use std::collections::HashMap;

/// The first version in which superusers can let others change settings of theirs.
const GRANTS_ON_SETTINGS_SINCE: u32 = 150_000;
const MAY_SET: &str = "has_parameter_privilege(p.name, 'set')";
const MAY_SET_BEFORE_GRANTS: &str =
    "(select own.rolsuper from pg_roles own where own.rolname = current_user)";

/// Settings by which client and server understand each other. They are the server's own
/// business, whatever a role brings.
const OF_THE_PROTOCOL: [&str; 3] =
    ["backslash_quote", "client_encoding", "standard_conforming_strings"];

/// Reads the settings of the roles that the login role may take on, by role.
pub(super) fn read(
    transaction: &mut Transaction<'_>,
    server_version_num: u32,
) -> Result<HashMap<Box<str>, RoleSettings>, Error> {
    let may_set =
        if server_version_num < GRANTS_ON_SETTINGS_SINCE { MAY_SET_BEFORE_GRANTS } else { MAY_SET };
    let sql = include_str!("../../../sql/catalog/role_settings.sql").replace("{may_set}", may_set);
    let mut roles: HashMap<Box<str>, RoleSettings> = HashMap::new();
    for_each_row(transaction, &sql, None, |mut cells| {
        let role = roles.entry(cells.text()?).or_default();
        add_setting(role, cells.take()?, cells.take()?);
        Ok(())
    })?;
    Ok(roles)
}

/// Adds a setting, in place of an earlier one of the same name.
fn add_setting(role: &mut RoleSettings, name: &str, value: &str) {
    if name == "default_transaction_isolation" {
        role.isolation = IsolationLevel::from_setting(value);
        return;
    }
    if OF_THE_PROTOCOL.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return;
    }
    role.settings.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    role.settings.push((name.into(), value.into()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_setting_of_a_name_counts() {
        let mut role = RoleSettings::default();
        for (name, value) in [
            ("work_mem", "1MB"),
            ("statement_timeout", "1s"),
            ("statement_timeout", "2s"),
            ("Client_Encoding", "SJIS"),
            ("default_transaction_isolation", "Repeatable READ"),
        ] {
            add_setting(&mut role, name, value);
        }
        assert_eq!(role.isolation, Some(IsolationLevel::RepeatableRead));
        let settings: Vec<_> = role.settings.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(settings, [("work_mem", "1MB"), ("statement_timeout", "2s")]);
    }
}
