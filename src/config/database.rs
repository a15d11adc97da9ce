//! Settings that the database holds.
//!
//! <https://docs.postgrest.org/en/v16/references/configuration.html#in-database-configuration>

use super::settings::SETTINGS;
use crate::query::quote;
use crate::schema::QualifiedName;
use postgres::{Client, SimpleQueryMessage};

const ROLE_SETTINGS: &str = include_str!("../../sql/config/role_settings.sql");
const PRE_CONFIG: &str = include_str!("../../sql/config/pre_config.sql");

/// Reads the settings of the login role, and those that the function `db-pre-config`
/// sets, as names without `pgrst.` and values, for [`Config::load`](super::Config::load).
/// The role's win over the function's; the role may also name the function.
///
/// The function runs in a read-only transaction of its own. Nothing here uses prepared
/// statements or outlives its message, so a pooler may be in between.
pub fn read_in_database(
    client: &mut Client,
    pre_config: Option<&QualifiedName>,
) -> Result<Vec<(String, String)>, postgres::Error> {
    let of_role = pairs(&client.simple_query(ROLE_SETTINGS)?);
    let named = of_role
        .iter()
        .rfind(|(name, _)| name == "db_pre_config")
        .map(|(_, function)| QualifiedName::from_setting(function));
    let mut settings = match named.as_ref().or(pre_config) {
        Some(function) if !function.name.is_empty() => {
            pairs(&client.simple_query(&pre_config_sql(function))?)
        }
        _ => Vec::new(),
    };
    settings.extend(of_role);
    Ok(settings)
}

/// The rows of two columns.
fn pairs(messages: &[SimpleQueryMessage]) -> Vec<(String, String)> {
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) if row.len() == 2 => {
                Some((row.get(0)?.to_owned(), row.get(1)?.to_owned()))
            }
            _ => None,
        })
        .collect()
}

fn pre_config_sql(function: &QualifiedName) -> String {
    let mut called = String::new();
    if !function.schema.is_empty() {
        quote::identifier(&mut called, &function.schema);
        called.push('.');
    }
    quote::identifier(&mut called, &function.name);
    let names: Vec<String> = SETTINGS
        .iter()
        .filter(|setting| setting.in_database)
        .map(|setting| setting.database_name())
        .collect();
    let mut literal = String::new();
    quote::literal(&mut literal, &names.join(","));
    // The names hold no braces, so the function's name may.
    PRE_CONFIG.replacen("{names}", &literal, 1).replacen("{function}", &called, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_is_quoted_and_only_names_that_the_database_may_set_are_asked_for() {
        let sql = pre_config_sql(&QualifiedName::new("my schema", "{names}\"x"));
        assert!(sql.contains("SELECT \"my schema\".\"{names}\"\"x\"();"), "{sql}");
        assert!(sql.contains("db_schemas,") && !sql.contains("server_port"), "{sql}");
        assert!(pre_config_sql(&QualifiedName::new("", "f")).contains("SELECT \"f\"();"));
    }
}
