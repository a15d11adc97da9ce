//! The log: which events are written, and the form of a line.
//!
//! Access lines are in Apache's combined format, messages begin with the time. No line holds
//! a token, a password or another secret: events have none to give.

use super::event::{Access, Event};
use super::queue::{Output, Queue};
use crate::config::LogLevel;
use std::fmt::{self, Write};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// A log. The default one writes nothing. Clones are the same log.
#[derive(Clone, Default)]
pub struct Log {
    queue: Option<Arc<Queue>>,
    level: Arc<AtomicU8>,
}

const LEVELS: [LogLevel; 5] =
    [LogLevel::Crit, LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug];

impl Log {
    /// A log to the outputs of the process.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(level: LogLevel) -> io::Result<Self> {
        let log = Log { queue: Some(Queue::start()?), level: Arc::default() };
        log.set_level(level);
        Ok(log)
    }

    /// What is logged.
    pub fn level(&self) -> LogLevel {
        LEVELS[usize::from(self.level.load(Ordering::Relaxed))]
    }

    pub fn set_level(&self, level: LogLevel) {
        self.level.store(level as u8, Ordering::Relaxed);
    }

    /// Writes an event when the level asks for it.
    pub fn write(&self, event: &Event<'_>) {
        if event.level().is_none_or(|level| self.level() < level) {
            return;
        }
        match event {
            Event::Answered(access) => self.access(access),
            _ => self.message(format_args!("{event}")),
        }
    }

    /// Writes a message, whatever the level.
    pub fn message(&self, text: fmt::Arguments<'_>) {
        if let Some(queue) = &self.queue {
            queue.push(Output::Messages, |line, now| write!(line, "{now}: {text}"));
        }
    }

    fn access(&self, access: &Access<'_>) {
        if let Some(queue) = &self.queue {
            queue.push(Output::Access, |line, now| write_access(line, now, access));
        }
    }

    pub fn dropped(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.dropped())
    }

    pub fn flush(&self, patience: Duration) {
        if let Some(queue) = &self.queue {
            queue.flush(patience);
        }
    }
}

/// `ADDRESS - ROLE [TIME] "METHOD TARGET HTTP/1.1" STATUS BYTES "" "USER-AGENT"`
fn write_access(line: &mut dyn Write, now: &str, access: &Access<'_>) -> fmt::Result {
    match access.peer {
        Some(address) => write!(line, "{address}")?,
        None => line.write_char('-')?,
    }
    write!(line, " - {} [{now}] \"", Field(access.role.unwrap_or("-")))?;
    write!(line, "{} ", Quoted(access.method))?;
    for part in without_signatures(access.target) {
        write!(line, "{}", Quoted(part))?;
    }
    line.write_char(' ')?;
    write!(line, "HTTP/1.{}\" {} {} ", access.version, access.status, access.body_bytes)?;
    write!(line, "\"\" \"{}\"", Quoted(access.user_agent.unwrap_or_default()))
}

/// A target in pieces, with `…` in place of the signatures of tokens in it. Tokens do not
/// belong there, but who puts them there must not find them in the log.
fn without_signatures(target: &str) -> impl Iterator<Item = &str> {
    /// How the header of every token begins: `{"`.
    const TOKEN_START: &str = "eyJ";
    let mut rest = target;
    let mut hidden = false;
    std::iter::from_fn(move || {
        if std::mem::take(&mut hidden) {
            return Some("…");
        }
        if rest.is_empty() {
            return None;
        }
        let start = rest.find(TOKEN_START).unwrap_or(rest.len());
        let belongs = |c: char| c.is_ascii_alphanumeric() || "-_.%".contains(c);
        let length = rest[start..].find(|c| !belongs(c)).unwrap_or(rest.len() - start);
        let token = &rest[start..start + length];
        let signature = separator_end(token, 0).and_then(|claims| separator_end(token, claims));
        hidden = signature.is_some();
        let shown = &rest[..start + signature.unwrap_or(length)];
        rest = &rest[start + length..];
        Some(shown)
    })
}

/// Where the next part of a token begins; the dot before it may be percent-encoded.
fn separator_end(token: &str, from: usize) -> Option<usize> {
    let ends = [".", "%2E", "%2e"].map(|dot| Some(from + token[from..].find(dot)? + dot.len()));
    ends.into_iter().flatten().min()
}

/// Text between quotation marks: those in it are escaped.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.0.split(['"', '\\']);
        let mut rest = self.0;
        let first = parts.next().unwrap_or_default();
        f.write_str(first)?;
        rest = &rest[first.len()..];
        for part in parts {
            write!(f, "\\{}{part}", &rest[..1])?;
            rest = &rest[1 + part.len()..];
        }
        Ok(())
    }
}

/// Text that stands between spaces: those in it become underscores.
struct Field<'a>(&'a str);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| f.write_char(if c.is_whitespace() { '_' } else { c }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS: Access<'static> = Access {
        peer: None,
        role: None,
        method: "GET",
        target: "/clients",
        version: 1,
        status: 200,
        body_bytes: 56,
        duration: Duration::ZERO,
        waited: Duration::ZERO,
        user_agent: Some("curl/7.64.0"),
    };

    fn line(access: &Access<'_>) -> String {
        let mut line = String::new();
        write_access(&mut line, "26/Jul/2021:01:56:38 -0500", access).unwrap();
        line
    }

    #[test]
    fn an_access_line_has_the_combined_format() {
        let access = Access { peer: "127.0.0.1".parse().ok(), role: Some("user"), ..ACCESS };
        assert_eq!(
            line(&access),
            "127.0.0.1 - user [26/Jul/2021:01:56:38 -0500] \"GET /clients HTTP/1.1\" 200 56 \"\" \
             \"curl/7.64.0\""
        );
        assert!(line(&ACCESS).starts_with("- - - ["));
    }

    #[test]
    fn a_client_cannot_end_a_field() {
        let access =
            Access { role: Some("two words"), user_agent: Some("a\" 200 \\\"b"), ..ACCESS };
        let line = line(&access);
        assert!(line.starts_with("- - two_words ["), "{line}");
        assert!(line.ends_with("\"a\\\" 200 \\\\\\\"b\""), "{line}");
    }

    #[test]
    fn the_signature_of_a_token_in_the_target_is_left_out() {
        for (target, shown) in [
            ("/a?t=eyJh.eyJi.c2ln&b=1.2.3", "/a?t=eyJh.eyJi.…&b=1.2.3"),
            ("/a?t=eyJh%2EeyJi%2ec2ln", "/a?t=eyJh%2EeyJi%2e…"),
            ("/eyJh.b.c/eyJd.e.f?eyJ", "/eyJh.b.…/eyJd.e.…?eyJ"),
            ("/eyJ?x=eyJh.b&é=1", "/eyJ?x=eyJh.b&é=1"),
            ("", ""),
        ] {
            assert_eq!(without_signatures(target).collect::<String>(), shown);
        }
    }

    #[test]
    fn the_level_decides_which_requests_are_logged() {
        let logged = |level: LogLevel, status| {
            Event::Answered(&Access { status, ..ACCESS }).level().is_some_and(|from| level >= from)
        };
        for (level, from) in [
            (LogLevel::Crit, 600),
            (LogLevel::Error, 500),
            (LogLevel::Warn, 400),
            (LogLevel::Info, 0),
        ] {
            for status in [200, 399, 400, 499, 500, 599] {
                assert_eq!(logged(level, status), status >= from, "{level:?} {status}");
            }
        }
    }
}
