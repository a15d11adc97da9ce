//! What file and environment say, read once, and the configuration that it makes.

use super::environment::Environment;
use super::error::{ConfigError, Warning};
use super::file;
use super::setting::Setting;
use super::settings::{Config, SETTINGS};
use super::source::Sources;
use std::path::Path;

/// The names and values of file and environment, not understood yet.
#[derive(Debug)]
pub struct Given<'e> {
    file: Vec<(String, String)>,
    environment: &'e Environment,
    warnings: Vec<Warning>,
}

impl<'e> Given<'e> {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or is no configuration file.
    pub fn read(path: Option<&Path>, environment: &'e Environment) -> Result<Self, ConfigError> {
        let mut warnings = Vec::new();
        let file = match path {
            Some(path) => file::read(path, environment, &mut warnings)?,
            None => Vec::new(),
        };
        Ok(Given { file, environment, warnings })
    }

    /// The configuration of it, together with the database's values.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn config(
        &self,
        in_database: &[(String, String)],
    ) -> Result<(Config, Vec<Warning>), ConfigError> {
        let mut warnings = self.warnings.clone();
        let sources = self.sources(in_database);
        sources.warn_about_unknown(&mut warnings);
        let mut config = Config::resolve(&sources, &mut warnings)?;
        config.app_settings = sources.app_settings();
        config.complete(&sources)?;
        Ok((config, warnings))
    }

    /// The protective settings that `running` has, and of which not a word is said any more: the
    /// file may have been cut short. Who means it writes the setting with an empty value.
    pub fn lost_since(&self, running: &Config) -> Vec<&'static str> {
        let sources = self.sources(&[]);
        let lost = |setting: &&Setting| setting.protective && !sources.mentions(setting);
        running.unlike_default().into_iter().filter(lost).map(|setting| setting.name).collect()
    }

    fn sources<'a>(&'a self, in_database: &'a [(String, String)]) -> Sources<'a> {
        Sources::new(&self.file, self.environment, in_database, SETTINGS)
    }
}
