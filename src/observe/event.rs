//! The events, their level, and their words.
//!
//! Where PostgREST has a message for the same thing, the words are PostgREST's, since people
//! search their logs for them.

use crate::config::LogLevel;
use crate::error::Error;
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::time::Duration;

/// Something that happened.
#[derive(Clone, Copy)]
pub enum Event<'e> {
    /// The process starts.
    Starting,
    /// Clients can connect to the service at this address.
    Listening(&'e dyn Display),
    /// The admin server answers at this address.
    AdminListening(&'e dyn Display),
    /// A signal of this name ends the process.
    Terminating(&'static str),

    /// The pool is ready for this many connections.
    PoolInitialized(usize),
    /// The database was reached; its version in its own words.
    DatabaseConnected(&'e str),
    /// The database cannot be reached, or refuses.
    DatabaseFailed(&'e dyn Display),
    /// What could not be loaded is tried again after this time.
    Reconnecting(Duration),
    /// The database was reached; what could not be loaded is tried again after this time.
    LoadingAgain(Duration),
    /// The database is away, and the configuration says to end then.
    RecoveryDisabled,

    /// The schema cache's queries took this long.
    SchemaCacheQueried(Duration),
    /// The schema cache is in use; what it holds.
    SchemaCacheLoaded(&'e dyn Display),
    /// The schema cache could not be loaded; what was there stays.
    SchemaCacheFailed(&'e dyn Display),
    /// The configuration was read again and is in use.
    ConfigReloaded,
    /// The configuration could not be read again; the running one stays.
    ConfigFailed(&'e dyn Display),
    /// A setting of this name was changed, and only a restart will apply it.
    ConfigNeedsRestart(&'static str),
    /// Tokens are refused that hold one of this many claims.
    RevocationsLoaded(usize),
    /// A notification on this channel asks for revocations, and there is no source to read.
    RevocationUnheard(&'e str),
    /// The deny list is full; further revocations are not taken.
    RevocationsFull,

    /// Notifications on this channel are heard.
    ListenerStarted(&'e str),
    /// Notifications on this channel are not heard any more, or not yet.
    ListenerFailed(&'e str, &'e dyn Display),
    /// Listening is tried again after this time.
    ListenerRetrying(Duration),
    /// A notification on this channel asks for the schema cache.
    SchemaNotified(&'e str),
    /// A notification on this channel asks for the configuration.
    ConfigNotified(&'e str),
    /// A notification on this channel has an unknown payload.
    UnknownNotified(&'e str, &'e str),

    /// A request waited this long for its connection to the database.
    PoolWaited(Duration),
    /// A request waited for a connection in vain.
    PoolTimeout,
    /// A connection of the pool was opened.
    ConnectionOpened,
    /// A connection of the pool was closed.
    ConnectionClosed(ConnectionEnd),
    /// A connection of the pool could not be opened.
    ConnectionFailed(&'e dyn Display),

    /// A worker begins with a request.
    RequestBegun,
    /// The work on a request that had begun has ended.
    RequestEnded,
    /// A request failed: what the client gets, and what only operators may know.
    RequestFailed(&'e Error),
    /// The SQL that a request of this status ran, without its values.
    Query(u16, &'e str),
    /// A request was answered.
    Answered(&'e Access<'e>),
}

/// Why a connection of the pool was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionEnd {
    /// It was found dead, or died during a request.
    Lost,
    /// It was not known to be clean.
    InDoubt,
    /// It was replaced, since sessions are to begin with other settings.
    Renewed,
    /// It was idle for too long, or too old.
    Expired,
    /// It held the memory of a large result.
    Swollen,
}

impl ConnectionEnd {
    /// All reasons.
    pub const ALL: [ConnectionEnd; 5] = [
        ConnectionEnd::Lost,
        ConnectionEnd::InDoubt,
        ConnectionEnd::Renewed,
        ConnectionEnd::Expired,
        ConnectionEnd::Swollen,
    ];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ConnectionEnd::Lost => "lost",
            ConnectionEnd::InDoubt => "in_doubt",
            ConnectionEnd::Renewed => "renewed",
            ConnectionEnd::Expired => "expired",
            ConnectionEnd::Swollen => "swollen",
        }
    }
}

/// A request that was answered, as the access log tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// The client's address; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The database role; `None` when the request was refused before it had one.
    pub role: Option<&'a str>,
    /// The method; empty when it could not be read.
    pub method: &'a str,
    /// The request target; empty when it could not be read.
    pub target: &'a str,
    /// The minor version of HTTP/1.
    pub version: u8,
    /// The status of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub body_bytes: u64,
    /// From the arrival of the request to its answer.
    pub duration: Duration,
    /// How long of it the request waited for a worker.
    pub waited: Duration,
    /// The request's `User-Agent`.
    pub user_agent: Option<&'a str>,
}

/// The level from which a request of this status is logged.
pub(super) fn level_of_status(status: u16) -> LogLevel {
    match status {
        500.. => LogLevel::Error,
        400.. => LogLevel::Warn,
        _ => LogLevel::Info,
    }
}

impl Event<'_> {
    /// The level from which it is logged; `None` when it is only counted.
    pub(super) fn level(&self) -> Option<LogLevel> {
        Some(match self {
            Event::PoolWaited(_) | Event::RequestBegun | Event::RequestEnded => return None,
            Event::RequestFailed(error) if error.status() >= 500 => LogLevel::Error,
            Event::RequestFailed(error) if error.log_text().is_some() => LogLevel::Info,
            Event::RequestFailed(_) => return None,
            Event::Query(status, _) => level_of_status(*status),
            Event::Answered(access) => level_of_status(access.status),
            Event::PoolTimeout | Event::ConnectionFailed(_) => LogLevel::Error,
            Event::UnknownNotified(..) | Event::RevocationUnheard(_) => LogLevel::Warn,
            Event::ConnectionOpened | Event::ConnectionClosed(_) => LogLevel::Debug,
            _ => LogLevel::Crit,
        })
    }
}

/// A duration in milliseconds with one digit behind the point.
struct Milliseconds(Duration);

impl Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} milliseconds", self.0.as_secs_f64() * 1000.0)
    }
}

/// A duration in seconds, with as many digits as it takes.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seconds", self.0.as_secs_f64())
    }
}

impl Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Starting => write!(f, "Starting goldenkey {}...", env!("CARGO_PKG_VERSION")),
            Event::Listening(address) => write!(f, "API server listening on {address}"),
            Event::AdminListening(address) => write!(f, "Admin server listening on {address}"),
            Event::Terminating(signal) => write!(f, "Received termination unix signal {signal}"),
            Event::PoolInitialized(size) => {
                write!(f, "Connection Pool initialized with a maximum size of {size} connections")
            }
            Event::DatabaseConnected(version) => write!(f, "Successfully connected to {version}"),
            Event::DatabaseFailed(error) => {
                write!(f, "Failed to establish a connection. {error}")
            }
            Event::Reconnecting(after) => {
                write!(f, "Attempting to reconnect to the database in {}...", Seconds(*after))
            }
            Event::LoadingAgain(after) => write!(
                f,
                "The database is there; trying to load again in {}, or when a reload is asked for",
                Seconds(*after)
            ),
            Event::RecoveryDisabled => f.write_str("Automatic recovery disabled, exiting."),
            Event::SchemaCacheQueried(took) => {
                write!(f, "Schema cache queried in {}", Milliseconds(*took))
            }
            Event::SchemaCacheLoaded(summary) => write!(f, "Schema cache loaded {summary}"),
            Event::SchemaCacheFailed(error) => {
                write!(f, "Failed to load the schema cache. {error}")
            }
            Event::ConfigReloaded => f.write_str("Config reloaded"),
            Event::ConfigFailed(error) => write!(f, "Failed reloading config: {error}"),
            Event::ConfigNeedsRestart(name) => write!(f, "{name} changes only with a restart"),
            Event::RevocationsLoaded(count) => write!(f, "Loaded {count} revoked claims"),
            Event::RevocationUnheard(channel) => write!(
                f,
                "Received a message on the {channel:?} channel, but jwt-revocation-source names \
                 nothing to read"
            ),
            Event::RevocationsFull => f.write_str("The list of revoked claims is full"),
            Event::ListenerStarted(channel) => {
                write!(f, "Listening for database notifications on the {channel:?} channel")
            }
            Event::ListenerFailed(channel, error) => write!(
                f,
                "Failed listening for database notifications on the {channel:?} channel. {error}"
            ),
            Event::ListenerRetrying(after) => {
                write!(f, "Retrying listening for database notifications in {}...", Seconds(*after))
            }
            Event::SchemaNotified(channel) => {
                write!(f, "Received a schema cache reload message on the {channel:?} channel")
            }
            Event::ConfigNotified(channel) => {
                write!(f, "Received a config reload message on the {channel:?} channel")
            }
            Event::UnknownNotified(channel, payload) => {
                write!(f, "Received an unknown message on the {channel:?} channel: {payload:?}")
            }
            Event::PoolTimeout => {
                f.write_str("Timed out acquiring connection from connection pool.")
            }
            Event::ConnectionOpened => f.write_str("A connection of the pool was opened"),
            Event::ConnectionClosed(end) => {
                write!(f, "A connection of the pool was closed: {}", end.as_str())
            }
            Event::ConnectionFailed(error) => error.fmt(f),
            Event::RequestFailed(error) => error.fmt(f),
            Event::Query(_, sql) => f.write_str(sql),
            // An access line has a form of its own, and the others are not logged.
            Event::Answered(_)
            | Event::PoolWaited(_)
            | Event::RequestBegun
            | Event::RequestEnded => Ok(()),
        }
    }
}
