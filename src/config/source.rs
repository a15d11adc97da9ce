//! Where values come from, and which of them counts.

use super::error::{ConfigError, Warning};
use super::nearest::nearest;
use super::setting::{Setting, variable};
use super::settings::SETTINGS;
use super::value::{Rejected, Value};
use std::collections::BTreeMap;
use std::fmt;

/// The prefix of settings that are handed to SQL as they are.
const APP_SETTINGS: &str = "app.settings.";
/// The prefix of their environment variables.
const APP_SETTINGS_VARIABLES: &str = "PGRST_APP_SETTINGS_";

/// The environment variables of the process, or of a test.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process. Variables that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let text = |os: std::ffi::OsString| os.into_string().ok();
        Environment(std::env::vars_os().filter_map(|(k, v)| Some((text(k)?, text(v)?))).collect())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All variables by name.
    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Environment(variables.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: it is the default.
    Default,
    /// In the configuration file.
    File,
    /// In the environment.
    Environment,
    /// In the database.
    Database,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Default => "default",
            Source::File => "file",
            Source::Environment => "environment",
            Source::Database => "database",
        })
    }
}

/// All values that were given.
pub(super) struct Sources<'a> {
    /// Keys in the order of the file; a later one counts.
    file: Vec<(String, String)>,
    environment: &'a Environment,
    database: &'a [(String, String)],
}

impl<'a> Sources<'a> {
    pub fn new(
        file: Vec<(String, String)>,
        environment: &'a Environment,
        database: &'a [(String, String)],
    ) -> Self {
        Sources { file, environment, database }
    }

    /// The value of a setting, or its default. A number or boolean that is none counts as
    /// not set in PostgREST; the warning says so.
    pub fn value<T: Value>(
        &self,
        setting: &Setting,
        warnings: &mut Vec<Warning>,
    ) -> Result<T, ConfigError> {
        if let Some((text, _)) = self.find(setting) {
            match T::parse(setting.name, text) {
                Ok(value) => return Ok(value),
                Err(rejected) => {
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
        let setting = SETTINGS.iter().find(|s| s.name == name).expect("a setting of the table");
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
        for (key, _) in &self.file {
            if !key.starts_with(APP_SETTINGS) && !is_known(key) {
                warnings.push(unknown(key, key));
            }
        }
        for (variable, _) in self.environment.iter() {
            let Some(name) = variable.strip_prefix("PGRST_") else { continue };
            let key = name.to_ascii_lowercase().replace('_', "-");
            if !variable.starts_with(APP_SETTINGS_VARIABLES) && !is_known(&key) {
                warnings.push(unknown(variable, &key));
            }
        }
        for (name, _) in self.database {
            let key = name.replace('_', "-");
            match SETTINGS.iter().find(|setting| setting.name == key) {
                Some(setting) if setting.in_database => {}
                Some(_) => warnings.push(Warning::new(format!(
                    "pgrst.{name} is passed over: {key} cannot be set in the database"
                ))),
                None => warnings.push(unknown(&format!("pgrst.{name}"), &key)),
            }
        }
    }
}

fn is_known(key: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.names().any(|name| name == key))
}

fn unknown(shown: &str, key: &str) -> Warning {
    match nearest(key, SETTINGS.iter().flat_map(Setting::names)) {
        Some(name) => {
            Warning::new(format!("unknown setting {shown} is passed over; did you mean {name}?"))
        }
        None => Warning::new(format!("unknown setting {shown} is passed over")),
    }
}
