//! Which of the values counts that were given.

use super::environment::Environment;
use super::error::{ConfigError, Source, Warning};
use super::nearest::nearest;
use super::setting::{Setting, variable};
use super::value::{Rejected, Value};
use std::collections::BTreeMap;

/// The prefix of settings that are handed to SQL as they are.
const APP_SETTINGS: &str = "app.settings.";
/// The prefix of their environment variables.
const APP_SETTINGS_VARIABLES: &str = "PGRST_APP_SETTINGS_";

/// All values that were given.
pub(super) struct Sources<'a> {
    /// Keys in the order of the file; a later one counts.
    file: &'a [(String, String)],
    environment: &'a Environment,
    database: &'a [(String, String)],
    /// All settings there are.
    table: &'static [Setting],
}

impl<'a> Sources<'a> {
    pub fn new(
        file: &'a [(String, String)],
        environment: &'a Environment,
        database: &'a [(String, String)],
        table: &'static [Setting],
    ) -> Self {
        Sources { file, environment, database, table }
    }

    /// The value of a setting, or its default. A number or boolean that is none counts as
    /// not set in PostgREST; the warning says so. `least` is what a check beyond the type has to
    /// say about the type's least value.
    pub fn value<T: Value>(
        &self,
        setting: &Setting,
        least: Result<(), Rejected>,
        warnings: &mut Vec<Warning>,
    ) -> Result<T, ConfigError> {
        if let Some((text, _)) = self.find(setting) {
            match T::parse(setting.name, text) {
                Ok(value) => return Ok(value),
                Err(mut rejected) => {
                    if let Err(least) = least {
                        rejected.allowed = least.allowed;
                    }
                    let pass_over = rejected.wrong_type && !setting.own;
                    let error = self.rejection(setting, rejected);
                    if !pass_over {
                        return Err(error);
                    }
                    warnings.push(Warning::passed_over(&error));
                }
            }
        }
        T::parse(setting.name, setting.default)
            .map_err(|rejected| self.rejection(setting, rejected))
    }

    /// The text of a setting and where it stands. An alias counts when the name itself is
    /// not set, wherever each stands.
    fn find(&self, setting: &Setting) -> Option<(&str, Source)> {
        setting
            .names()
            .filter_map(|name| self.find_name(setting, name))
            .find(|(text, _)| setting.may_be_empty || !text.is_empty())
    }

    /// Whether any source says something about a setting, if only that it is empty.
    pub fn mentions(&self, setting: &Setting) -> bool {
        setting.names().any(|name| self.find_name(setting, name).is_some())
    }

    fn find_name(&self, setting: &Setting, name: &str) -> Option<(&str, Source)> {
        if setting.in_database && name == setting.name {
            let name = setting.database_name();
            if let Some((_, text)) = self.database.iter().rfind(|(n, _)| *n == name) {
                return Some((text, Source::Database));
            }
        }
        if let Some(text) = self.environment.get(&variable(name)) {
            return Some((text, Source::Environment));
        }
        let (_, text) = self.file.iter().rfind(|(key, _)| key == name)?;
        Some((text, Source::File))
    }

    /// An error about a setting, with its value unless that is secret.
    pub fn error(&self, name: &str) -> ConfigError {
        let setting = self.table.iter().find(|s| s.name == name).expect("a setting of the table");
        let (text, source) = self.find(setting).unwrap_or((setting.default, Source::Default));
        ConfigError::new(name, (!setting.secret).then(|| text.to_owned()), source)
    }

    /// The error of a rejected value.
    pub fn rejection(&self, setting: &Setting, rejected: Rejected) -> ConfigError {
        self.error(setting.name).reason(rejected.reason).allowed(rejected.allowed)
    }

    /// `app.settings.*`, sorted by name; a variable replaces the key of the same name,
    /// whose case PostgreSQL does not distinguish.
    pub fn app_settings(&self) -> Vec<(String, String)> {
        let from_file = self
            .file
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(APP_SETTINGS)?, value.as_str())));
        let from_environment = self
            .environment
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(APP_SETTINGS_VARIABLES)?, value)));
        let by_name: BTreeMap<String, (String, String)> = from_file
            .chain(from_environment)
            .map(|(name, value)| {
                let setting = (format!("{APP_SETTINGS}{name}"), value.to_owned());
                (name.to_ascii_lowercase(), setting)
            })
            .collect();
        by_name.into_values().collect()
    }

    /// Warns about names that are in no table.
    pub fn warn_about_unknown(&self, warnings: &mut Vec<Warning>) {
        for (key, _) in self.file {
            if !key.starts_with(APP_SETTINGS) && !self.is_known(key) {
                warnings.push(self.unknown(key, key));
            }
        }
        for (variable, value) in self.environment.iter() {
            let Some(name) = variable.strip_prefix("PGRST_") else { continue };
            let key = name.to_ascii_lowercase().replace('_', "-");
            if variable.starts_with(APP_SETTINGS_VARIABLES) {
                continue;
            }
            if !self.is_known(&key) {
                warnings.push(self.unknown(variable, &key));
            }
            if value.len() > 1
                && ['"', '\''].iter().any(|q| value.starts_with(*q) && value.ends_with(*q))
            {
                warnings.push(Warning::new(format!(
                    "{variable} stands in quotes, which are a part of its value: write it without \
                     them, as in docker-compose's lists and in --env-file"
                )));
            }
        }
        for (name, _) in self.database {
            let key = name.replace('_', "-");
            match self.table.iter().find(|setting| setting.name == key) {
                Some(setting) if setting.in_database => {}
                Some(_) => warnings.push(Warning::new(format!(
                    "pgrst.{name} is passed over: {key} cannot be set in the database"
                ))),
                None => warnings.push(self.unknown(&format!("pgrst.{name}"), &key)),
            }
        }
    }

    fn is_known(&self, key: &str) -> bool {
        self.table.iter().any(|setting| setting.names().any(|name| name == key))
    }

    fn unknown(&self, shown: &str, key: &str) -> Warning {
        match nearest(key, self.table.iter().flat_map(Setting::names)) {
            Some(name) => Warning::new(format!(
                "unknown setting {shown} is passed over; did you mean {name}?"
            )),
            None => Warning::new(format!("unknown setting {shown} is passed over")),
        }
    }
}
