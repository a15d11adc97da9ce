//! `--example`, `--dump-config` and `--dump-schema`: what can be printed instead of served.

use super::serve::ConfigSource;
use super::{Failure, print};
use crate::config::connection::ConnectionSettings;
use crate::config::{self, Secrets};
use crate::schema::{LoadOptions, SchemaCache};
use std::io::{IsTerminal, stdout};
use std::path::Path;

/// Prints a configuration file with each setting's help and default.
///
/// # Errors
/// When standard output cannot be written.
pub fn example() -> Result<(), Failure> {
    print(&config::example())
}

/// Prints the configuration in force as a file. Secrets are only shown on a terminal: what
/// goes elsewhere may end up in a log.
///
/// # Errors
/// When the configuration cannot be used.
pub fn config(path: Option<&Path>) -> Result<(), Failure> {
    let config = ConfigSource::of_process(path).load()?;
    let secrets = if stdout().is_terminal() { Secrets::Shown } else { Secrets::Hidden };
    print(&config.dump(secrets))
}

/// Prints the schema cache as JSON, whose structure is for people and may change.
///
/// # Errors
/// When the configuration cannot be used, or the database cannot be read.
pub fn schema(path: Option<&Path>) -> Result<(), Failure> {
    let source = ConfigSource::of_process(path);
    let config = source.load()?;
    let mut client = ConnectionSettings::parse(&config.db_uri, &source.environment)
        .and_then(|settings| settings.connector())
        .map_err(|error| format!("db-uri: {error}"))?
        .connect()
        .map_err(|error| error.to_string())?;
    let options = LoadOptions {
        schemas: &config.db_schemas,
        extra_search_path: &config.db_extra_search_path,
        hoisted_settings: &config.db_hoisted_tx_settings,
    };
    let cache = SchemaCache::load(&mut client, &options).map_err(|error| {
        let text = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
        format!("cannot load the schema: {text}")
    })?;
    let json = serde_json::to_string(&cache).map_err(|error| error.to_string())?;
    print(&format!("{json}\n"))
}
