//! What operators learn of a running server: every [`Event`] feeds the metrics, and the log
//! when its level asks for it.
//!
//! Nothing here waits: a line for the log goes to a bounded queue, a number into an atomic
//! or a short lock. What is worth an event is for the other floors to say.
//!
//! <https://docs.postgrest.org/en/v16/references/observability.html>

mod clock;
mod event;
mod facade;
mod log;
mod metrics;
mod process;
mod queue;

pub use event::{Access, ConnectionEnd, Event};
pub use metrics::{Metrics, Readings};

use crate::config::LogLevel;
use std::io;
use std::time::Duration;

/// Where events go. One a process; shared by all who have something to tell.
#[derive(Default)]
pub struct Observer {
    log: log::Log,
    metrics: Metrics,
}

impl Observer {
    /// An observer that logs: access lines to standard output, messages to standard error,
    /// those of the `log` facade among them.
    ///
    /// # Errors
    /// When the system gives no thread for writing.
    pub fn logging(level: LogLevel) -> io::Result<Self> {
        let log = log::Log::start(level)?;
        facade::install(log.clone());
        Ok(Self { log, metrics: Metrics::default() })
    }

    /// Changes what is logged from now on.
    pub fn set_log_level(&self, level: LogLevel) {
        self.log.set_level(level);
        facade::set_level(level);
    }

    /// Takes notice of an event.
    pub fn observe(&self, event: &Event<'_>) {
        self.metrics.count(event);
        self.log.write(event);
    }

    /// Whether a request with this status is logged, and so is its SQL when that is wanted.
    pub fn logs_status(&self, status: u16) -> bool {
        self.log.level() >= event::level_of_status(status)
    }

    /// The numbers.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Lines that were lost because the log's reader was too slow.
    pub fn dropped_log_lines(&self) -> u64 {
        self.log.dropped()
    }

    /// Waits until everything is written, at the end of the process.
    pub fn flush(&self, patience: Duration) {
        self.log.flush(patience);
    }
}
