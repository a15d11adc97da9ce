//! `goldenkey [CONFIG]`: the service, from start to the signal that ends it.

use super::Failure;
use crate::config::{Config, Environment, Warning};
use std::path::{Path, PathBuf};

/// Where the configuration comes from, at the start and at each reload.
#[derive(Debug, Clone, Default)]
pub struct ConfigSource {
    /// The configuration file, if there is one.
    pub path: Option<PathBuf>,
    /// The environment, whose values win over the file's.
    pub environment: Environment,
}

impl ConfigSource {
    /// A file, if there is one, and the environment of this process.
    pub fn of_process(path: Option<&Path>) -> Self {
        ConfigSource {
            path: path.map(Path::to_owned),
            environment: Environment::of_process(),
        }
    }

    /// Reads the configuration, without what is in the database; what was passed over goes
    /// to standard error.
    ///
    /// # Errors
    /// When a value cannot be used; the text names it and what is allowed.
    pub fn load(&self) -> Result<Config, Failure> {
        let (config, warnings) = Config::load(self.path.as_deref(), &self.environment, &[])
            .map_err(|error| error.to_string())?;
        warnings.iter().for_each(warn);
        Ok(config)
    }
}

fn warn(warning: &Warning) {
    eprintln!("goldenkey: warning: {warning}");
}

/// Serves until SIGINT or SIGTERM ends it.
///
/// # Errors
/// When the configuration cannot be used or the address cannot be bound.
pub fn serve(path: Option<&Path>) -> Result<(), Failure> {
    run(ConfigSource::of_process(path), || {})
}
