//! The `log` facade, by which the low floors and libraries tell what is no [`Event`]: it
//! goes into the same log.
//!
//! [`Event`]: super::Event

use super::log::Log;
use crate::config::LogLevel;
use ::log::{Level, LevelFilter, Metadata, Record};

struct Facade(Log);

impl ::log::Log for Facade {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What libraries tell is for their developers, and may hold what must not be logged.
        metadata.target().starts_with("goldenkey")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) && self.is_wanted(record) {
            let prefix = match record.level() {
                Level::Error => "error: ",
                Level::Warn => "warning: ",
                Level::Info | Level::Debug | Level::Trace => "",
            };
            self.0.message(format_args!("{prefix}{}", record.args()));
        }
    }

    fn flush(&self) {}
}

impl Facade {
    /// Warnings about the configuration are for everybody; only `crit` is without them.
    fn is_wanted(&self, record: &Record<'_>) -> bool {
        record.level() != Level::Warn
            || self.0.level() >= LogLevel::Warn
            || CONFIGURATION.iter().any(|room| record.target().starts_with(room))
    }
}

/// The rooms whose warnings are about the configuration.
const CONFIGURATION: [&str; 3] =
    ["goldenkey::config", "goldenkey::app::configuration", "goldenkey::auth"];

/// Takes the facade's records; only the first log of a process does.
pub fn install(log: Log) {
    let level = log.level();
    if ::log::set_boxed_logger(Box::new(Facade(log))).is_ok() {
        set_level(level);
    }
}

/// Changes what the facade lets through.
pub fn set_level(level: LogLevel) {
    ::log::set_max_level(match level {
        LogLevel::Crit => LevelFilter::Off,
        LogLevel::Error | LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
    });
}
