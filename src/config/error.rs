//! What can be wrong with a configuration.

use std::fmt;

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

/// A configuration that cannot be used: which setting, its value, why, and what is allowed.
#[derive(Clone, PartialEq)]
pub struct ConfigError {
    setting: String,
    value: Option<String>,
    source: Source,
    reason: String,
    allowed: String,
}

impl ConfigError {
    /// An error of a setting, or of the file itself when `setting` is its path.
    /// `value` is `None` when it must not be shown.
    pub(super) fn new(setting: impl Into<String>, value: Option<String>, source: Source) -> Self {
        Self {
            setting: setting.into(),
            value,
            source,
            reason: String::new(),
            allowed: String::new(),
        }
    }

    pub(super) fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    pub(super) fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = allowed.into();
        self
    }

    /// Where the value stands.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The name of the setting, or the path of the file when it cannot be read.
    pub fn setting(&self) -> &str {
        &self.setting
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Error in config ")?;
        self.describe(f)
    }
}

impl ConfigError {
    /// The value, where it stands, what is wrong with it, and what is allowed.
    fn describe(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        f.write_str(&self.setting)?;
        if let Some(value) = &self.value {
            write!(f, " = {value:?}")?;
        }
        write!(f, " ({}): {}", self.source, self.reason)?;
        if !self.reason.ends_with('.') {
            f.write_char('.')?;
        }
        match self.allowed.as_str() {
            "" => Ok(()),
            allowed => write!(f, " Allowed: {allowed}."),
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}

/// Something in the configuration that was passed over; a line for the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning(String);

impl Warning {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Warning(text.into())
    }

    /// A value that is passed over for the default.
    pub(super) fn passed_over(error: &ConfigError) -> Self {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = error.describe(&mut text);
        Warning(text + " The default is used.")
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
