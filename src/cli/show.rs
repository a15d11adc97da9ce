//! `--example`, `--dump-config` and `--dump-schema`: what can be printed instead of served.

use super::serve::ConfigSource;
use super::{Failure, print};
use crate::app::Loader;
use crate::auth::Authenticator;
use crate::config::connection::ConnectionSettings;
use crate::config::{self, Config, Environment, Secrets};
use std::error::Error;
use std::path::Path;

/// Prints a configuration file with each setting's help and default.
///
/// # Errors
/// When standard output cannot be written.
pub fn example() -> Result<(), Failure> {
    print(&config::example())
}

/// Prints the configuration in force as a file that gives the same configuration.
///
/// What the database adds is part of it, if the database can be reached.
///
/// # Errors
/// When the configuration cannot be used.
pub fn config(path: Option<&Path>, secrets: Secrets) -> Result<(), Failure> {
    let source = ConfigSource::of_process(path);
    let mut config = source.load()?;
    if config.db_config {
        match in_database(&source, &config) {
            Ok(settings) => config = source.load_with(&settings)?,
            Err(error) => eprintln!("goldenkey: warning: without what the database adds: {error}"),
        }
    }
    Authenticator::check_settings(config.jwt_secret.as_deref(), &config.jwt_role_claim_key)
        .map_err(|error| error.to_string())?;
    print(&config.dump(secrets))
}

fn in_database(
    source: &ConfigSource,
    config: &Config,
) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let settings = ConnectionSettings::parse(&config.db_uri, &source.environment)?;
    let mut client = settings.connector()?.connect()?;
    Ok(config::read_in_database(&mut client, config.db_pre_config.as_ref())?)
}

/// Prints the schema cache as JSON.
///
/// # Errors
/// When the configuration cannot be used or the database cannot be read.
pub fn schema(path: Option<&Path>) -> Result<(), Failure> {
    let loader = Loader::new(path.map(Path::to_owned), Environment::of_process());
    for warning in loader.config().map_err(|error| error.to_string())?.1 {
        eprintln!("goldenkey: warning: {warning}");
    }
    let app = loader.start().map_err(|error| error.to_string())?;
    loader.load(&app).map_err(|error| error.to_string())?;
    let live = app.live();
    let json = serde_json::to_string(&live.schema.as_deref()).map_err(|error| error.to_string())?;
    print(&(json + "\n"))
}
