//! `--example`, `--dump-config` and `--dump-schema`: what can be printed instead of served.

use super::serve::ConfigSource;
use super::{Failure, print};
use crate::app::Loader;
use crate::config::{self, Environment, Secrets};
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

/// Prints the schema cache as JSON.
///
/// # Errors
/// When the configuration cannot be used or the database cannot be read.
pub fn schema(path: Option<&Path>) -> Result<(), Failure> {
    let loader = Loader::new(path.map(Path::to_owned), Environment::of_process());
    let app = loader.start().map_err(|error| error.to_string())?;
    loader.load(&app).map_err(|error| error.to_string())?;
    let live = app.live();
    let json = serde_json::to_string(&live.schema.as_deref()).map_err(|error| error.to_string())?;
    print(&(json + "\n"))
}
