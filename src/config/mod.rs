//! Configuration: from a file, the environment and the database to one typed [`Config`].
//!
//! [`SETTINGS`] is the one table of settings; reading, checking, `--dump-config`,
//! `--example` and the reference page are all derived from it. A value in the database
//! wins over the environment, which wins over the file.
//! [`connection`] turns `db-uri` into connections.
//!
//! ```
//! use goldenkey::config::{Config, Environment};
//!
//! let environment = Environment::from([("PGRST_DB_SCHEMAS", "api, private")]);
//! let (config, warnings) = Config::load(None, &environment, &[])?;
//! assert_eq!(config.db_schemas, ["api", "private"]);
//! assert_eq!(config.server_port, 3000);
//! assert!(warnings.is_empty());
//! # Ok::<(), goldenkey::config::ConfigError>(())
//! ```

mod check;
mod choice;
pub mod connection;
mod database;
mod environment;
mod error;
mod file;
mod given;
mod input;
mod nearest;
mod render;
mod secret;
mod setting;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod value;

pub use choice::{ErrorVerbosity, LogLevel, OpenApiMode, TxEnd};
pub use database::read_in_database;
pub use environment::Environment;
pub use error::{ConfigError, Source, Warning};
pub use given::Given;
pub use input::read as read_input;
pub use render::{Secrets, example, reference};
pub use setting::Setting;
pub use settings::{Config, SETTINGS};
pub use value::SocketMode;

use source::Sources;
use std::fmt;
use std::path::Path;

/// Workers beyond one for each database connection, so that requests which need no
/// database are answered while all connections are busy.
const SPARE_THREADS: usize = 2;

impl Config {
    /// Reads the configuration.
    ///
    /// `path` is the configuration file, if there is one. `in_database` holds names
    /// without `pgrst.` and their values, as [`read_in_database`] gives them; empty when it
    /// has not been read, or shall not count.
    ///
    /// Fails on the first value that cannot be used. When [`ConfigError::source`] is
    /// [`Source::Database`], the caller can load again without the database's values.
    /// What can be passed over (an unknown setting, a number that is none) is a warning.
    pub fn load(
        path: Option<&Path>,
        environment: &Environment,
        in_database: &[(String, String)],
    ) -> Result<(Config, Vec<Warning>), ConfigError> {
        Given::read(path, environment)?.config(in_database)
    }

    /// Fills what depends on more than one setting or on other files, and checks it.
    fn complete(&mut self, sources: &Sources) -> Result<(), ConfigError> {
        if let Some(path) = self.db_uri.strip_prefix('@') {
            self.db_uri = secret::read_text(sources.error("db-uri"), path)?;
        }
        if let Some(secret) = self.jwt_secret.take() {
            let error = sources.error("jwt-secret");
            self.jwt_secret = Some(secret::load(error, secret, self.jwt_secret_is_base64)?);
        }
        if self.admin_server_host.is_empty() {
            self.admin_server_host = self.server_host.clone();
        }
        if self.server_threads == 0 {
            self.server_threads = self.db_pool + SPARE_THREADS;
        }
        if self.admin_server_port.is_some_and(|port| port != 0 && port == self.server_port) {
            let error = sources.error("admin-server-port");
            return Err(error.reason("admin-server-port cannot be the same as server-port"));
        }
        Ok(())
    }
}

impl Default for Config {
    /// The configuration without any source.
    fn default() -> Self {
        let loaded = Config::load(None, &Environment::default(), &[]);
        loaded.expect("the table's defaults are valid, which a test checks").0
    }
}

impl fmt::Debug for Config {
    /// The settings as in a file, without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.dump(Secrets::Hidden))
    }
}
