//! The log: messages on standard error, one line of access log a request.

use crate::config::LogLevel;
use crate::server::Exchange;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::Write;
use std::sync::atomic::{AtomicU16, Ordering};

/// Requests with at least this status are logged.
static ACCESS_FROM_STATUS: AtomicU16 = AtomicU16::new(500);

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("goldenkey")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = match record.level() {
                Level::Error => "error: ",
                Level::Warn => "warning: ",
                Level::Info | Level::Debug | Level::Trace => "",
            };
            // There is nowhere to complain to when the log is gone.
            let _ = writeln!(std::io::stderr(), "goldenkey: {level}{}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Starts logging at a level, or changes it.
pub fn init(level: LogLevel) {
    let (messages, status) = match level {
        LogLevel::Crit => (LevelFilter::Off, u16::MAX),
        LogLevel::Error => (LevelFilter::Error, 500),
        LogLevel::Warn => (LevelFilter::Warn, 400),
        LogLevel::Info => (LevelFilter::Info, 0),
        LogLevel::Debug => (LevelFilter::Debug, 0),
    };
    // A second call only changes the level.
    let _ = log::set_logger(&Stderr);
    log::set_max_level(messages);
    ACCESS_FROM_STATUS.store(status, Ordering::Relaxed);
}

/// Logs a request when the level asks for it.
pub fn access(exchange: &Exchange<'_>) {
    if exchange.status < ACCESS_FROM_STATUS.load(Ordering::Relaxed) {
        return;
    }
    let peer = exchange.peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string());
    let _ = writeln!(
        std::io::stderr(),
        "{peer} - - \"{} {} HTTP/1.{}\" {} {} \"{}\" {:.3}ms",
        exchange.method,
        exchange.target,
        exchange.version,
        exchange.status,
        exchange.body_bytes,
        exchange.user_agent.unwrap_or("-"),
        exchange.duration.as_secs_f64() * 1000.0
    );
}
