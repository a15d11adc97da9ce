//! The configuration as it is read again and again: from file and environment, completed by the
//! database; what a reload must not lose; and what was told about it.

use super::failure::LoadError;
use crate::config::{Config, Environment, Given, Source, Warning, read_in_database};
use crate::observe::{Event, Observer};
use postgres::Client;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where configurations come from.
pub(super) struct Configurations {
    path: Option<PathBuf>,
    pub environment: Environment,
    /// What file and environment alone made of the running configuration.
    accepted: Mutex<Option<Config>>,
    /// The warnings that were told since the last reload.
    told: Mutex<Vec<String>>,
    /// The changed settings that wait for a restart, as they were told last.
    told_fixed: Mutex<Vec<&'static str>>,
}

/// A configuration that was just read.
pub(super) struct Fresh {
    /// The whole of it.
    pub config: Config,
    /// What file and environment alone make of it.
    alone: Config,
    warnings: Vec<Warning>,
}

impl Configurations {
    pub fn new(path: Option<PathBuf>, environment: Environment) -> Self {
        Configurations {
            path,
            environment,
            accepted: Mutex::default(),
            told: Mutex::default(),
            told_fixed: Mutex::default(),
        }
    }

    /// Reads file and environment.
    ///
    /// # Errors
    /// When a value cannot be used, or something was lost without a word.
    pub fn read(&self) -> Result<Fresh, String> {
        self.read_given().map(|(_, fresh)| fresh)
    }

    /// Reads file and environment, and then what the database adds. When `starting`, what cannot
    /// be read or used there is left out.
    ///
    /// # Errors
    /// The outer one when the connection was lost; the inner one as [`Configurations::read`].
    pub fn read_with_database(
        &self,
        client: &mut Client,
        starting: bool,
    ) -> Result<Result<Fresh, String>, LoadError> {
        let (given, fresh) = match self.read_given() {
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        if !fresh.config.db_config {
            return Ok(Ok(fresh));
        }
        let with_rows = match read_in_database(client, fresh.config.db_pre_config.as_ref()) {
            Ok(rows) => given
                .config(&rows)
                .map_err(|error| (error.source() == Source::Database, error.to_string())),
            Err(error) => {
                let error = LoadError::reading(error);
                if error.is_loss() {
                    return Err(error);
                }
                Err((true, format!("the settings in the database could not be read: {error}")))
            }
        };
        Ok(match with_rows {
            Ok((config, warnings)) => Ok(Fresh { config, warnings, alone: fresh.alone }),
            Err((true, error)) if starting => {
                log::error!("settings in the database are passed over: {error}");
                Ok(fresh)
            }
            Err((_, error)) => Err(error),
        })
    }

    fn read_given(&self) -> Result<(Given<'_>, Fresh), String> {
        let given = Given::read(self.path.as_deref(), &self.environment);
        let given = given.map_err(|error| error.to_string())?;
        let (config, warnings) = given.config(&[]).map_err(|error| error.to_string())?;
        if let Some(accepted) = &*lock(&self.accepted) {
            refuse_losses(&given.lost_since(accepted))?;
        }
        Ok((given, Fresh { alone: config.clone(), config, warnings }))
    }

    /// Takes note of the configuration that is in force from now on.
    pub fn accept(&self, fresh: Config) {
        *lock(&self.accepted) = Some(fresh);
    }

    /// Begins a reload that tells all warnings again.
    pub fn tell_again(&self) {
        lock(&self.told).clear();
    }

    /// Tells warnings, each once.
    pub fn tell(&self, warnings: impl IntoIterator<Item = String>) {
        let mut told = lock(&self.told);
        for warning in warnings {
            if !told.contains(&warning) {
                log::warn!("{warning}");
                told.push(warning);
            }
        }
    }

    /// Tells which settings wait for a restart, unless they do so since an earlier load.
    pub fn tell_fixed(&self, observer: &Observer, fixed: Vec<&'static str>) {
        let mut told = lock(&self.told_fixed);
        for name in fixed.iter().filter(|name| !told.contains(name)) {
            observer.observe(&Event::ConfigNeedsRestart(name));
        }
        *told = fixed;
    }
}

impl Fresh {
    /// The configuration, what file and environment alone make of it, and the warnings.
    pub fn into_parts(self) -> (Config, Config, Vec<String>) {
        let warnings = self.warnings.iter().map(ToString::to_string).collect();
        (self.config, self.alone, warnings)
    }
}

fn refuse_losses(lost: &[&str]) -> Result<(), String> {
    let [first, ..] = lost else { return Ok(()) };
    let (names, verb) = (lost.join(", "), if lost.len() == 1 { "is" } else { "are" });
    Err(format!(
        "{names} {verb} in force, and neither file nor environment says a word about it any more, \
         as when a file was cut short. To take it away, write {first} = \"\""
    ))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked left a whole value behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
