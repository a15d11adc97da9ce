//! `--example`, `--dump-config` and `--dump-schema`: what can be printed instead of served.

use super::serve::ConfigSource;
use super::{Failure, print};
use crate::config::{self, Secrets};
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
