//! What connects: tries the servers in turn, each within its time, and judges them.

use super::error::ConnectionError;
use super::settings::{ConnectionSettings, Host, Server, TargetSession};
use super::socket::{Peer, SessionSocket, Watch};
use super::tls::SslMode;
use postgres::config::{SslMode as Negotiation, SslNegotiation};
use postgres::error::{DbError, SqlState};
use postgres::{CancelToken, Client, Config, NoTls, SimpleQueryMessage};
use r2d2::ManageConnection;
use r2d2_postgres::PostgresConnectionManager;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{fmt, io, iter};
use tokio_postgres_rustls::MakeRustlsConnect;

/// When a peer that sends nothing is probed, how often, and how many probes it may miss,
/// unless the parameters say otherwise. The system's default is two hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_COUNT: u32 = 3;

/// How long what was sent may stay unconfirmed by the peer's system, unless the parameters
/// say otherwise. The system's default is a quarter of an hour.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// The most attempts that may hang beyond their time. Each holds a thread, which ends when
/// the server answers or the connection breaks.
const MAX_OVERDUE: usize = 8;

/// A session, and its socket where that could be told.
type Connected = (Client, Option<SessionSocket>);

/// Opens connections. Cheap to clone.
#[derive(Clone)]
pub struct Connector(Arc<Inner>);

struct Inner {
    servers: Vec<Endpoint>,
    /// `None` when no connection is encrypted.
    tls: Option<MakeRustlsConnect>,
    timeout: Option<Duration>,
    target: TargetSession,
    shuffle: bool,
    /// Attempts whose time is up and whose thread is not.
    overdue: AtomicUsize,
}

/// What sessions begin with and fall back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDefaults {
    /// The search path, as SQL.
    pub search_path: Arc<str>,
    /// Whether `jit` is off, unless the connection string says otherwise.
    pub jit_off: bool,
    /// Settings that are empty where a request brings no value, rather than unknown in some
    /// sessions and empty in others: what was set once in a session is never unknown again.
    pub empty: Vec<String>,
}

/// A server with the whole of what it takes to connect to it.
struct Endpoint {
    shown: String,
    peer: Peer,
    /// One for each kind of encryption to try, in order.
    attempts: Vec<Config>,
}

impl ConnectionSettings {
    /// Reads the certificates, when a connection may be encrypted, and makes what connects.
    ///
    /// # Errors
    /// When a file of TLS cannot be used.
    pub fn connector(&self) -> Result<Connector, ConnectionError> {
        Connector::new(self)
    }
}

impl Connector {
    fn new(settings: &ConnectionSettings) -> Result<Self, ConnectionError> {
        let servers: Vec<_> =
            settings.servers.iter().map(|server| Endpoint::new(settings, server)).collect();
        let encrypted = servers
            .iter()
            .flat_map(|server| &server.attempts)
            .any(|config| config.get_ssl_mode() != Negotiation::Disable);
        let tls = encrypted.then(|| settings.tls.client_config()).transpose()?;
        Ok(Connector(Arc::new(Inner {
            servers,
            tls: tls.map(MakeRustlsConnect::new),
            timeout: settings.connect_timeout,
            target: settings.target,
            shuffle: settings.shuffle,
            overdue: AtomicUsize::new(0),
        })))
    }

    /// How messages call the servers.
    #[cfg(test)]
    pub(super) fn servers(&self) -> Vec<&str> {
        self.0.servers.iter().map(|server| server.shown.as_str()).collect()
    }

    /// Connects to the first server that is acceptable.
    ///
    /// The error is that of the last server tried.
    pub fn connect(&self) -> Result<Client, ConnectError> {
        self.connect_with(None).map(|(client, _)| client)
    }

    /// The same, with defaults of the session, and with its socket. A pooler between may refuse such settings or
    /// lose them: then the session does not have them.
    pub fn connect_with(
        &self,
        defaults: Option<&SessionDefaults>,
    ) -> Result<Connected, ConnectError> {
        let mut order: Vec<&Endpoint> = self.0.servers.iter().collect();
        if self.0.shuffle {
            shuffle(&mut order);
        }
        let rounds: &[TargetSession] = match &self.0.target {
            TargetSession::PreferStandby => &[TargetSession::Standby, TargetSession::Any],
            target => std::slice::from_ref(target),
        };
        let mut last = None;
        for (target, endpoint) in
            rounds.iter().flat_map(|target| order.iter().map(move |endpoint| (target, endpoint)))
        {
            match self.connect_to(endpoint, *target, defaults) {
                Ok(connected) => return Ok(connected),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one server"))
    }

    /// Asks the server to cancel what a session is doing. It may come too late.
    pub fn cancel(&self, token: &CancelToken) -> Result<(), postgres::Error> {
        match &self.0.tls {
            Some(tls) => token.cancel_query(tls.clone()),
            None => token.cancel_query(NoTls),
        }
    }

    /// Connects to one server, with each kind of encryption until one is accepted.
    fn connect_to(
        &self,
        endpoint: &Endpoint,
        target: TargetSession,
        defaults: Option<&SessionDefaults>,
    ) -> Result<Connected, ConnectError> {
        let mut last = None;
        for config in &endpoint.attempts {
            let attempt = |config: &Config| self.attempt(config, &endpoint.peer, target);
            let attempted = match defaults {
                None => attempt(config),
                Some(defaults) => match attempt(&with_defaults(config, defaults)) {
                    Err(cause) if cause.is_about_parameters() => attempt(config),
                    attempted => attempted,
                },
            };
            match attempted {
                Ok(connected) => return Ok(connected),
                Err(cause) => {
                    let retry = cause.is_about_encryption();
                    last = Some(ConnectError { server: endpoint.shown.clone(), cause });
                    if !retry {
                        break;
                    }
                }
            }
        }
        Err(last.expect("there is at least one attempt"))
    }

    /// One attempt within the time. It runs on a thread of its own, because `postgres`
    /// bounds the time of the TCP connection only, not of what the server then does, and
    /// because it panics when there are no more file descriptors.
    fn attempt(
        &self,
        config: &Config,
        peer: &Peer,
        target: TargetSession,
    ) -> Result<Connected, Cause> {
        let timeout = self.0.timeout.unwrap_or(Duration::MAX);
        if self.0.overdue.load(Ordering::Relaxed) >= MAX_OVERDUE {
            return Err(Cause::Timeout(timeout));
        }
        let (inner, config, peer) = (Arc::clone(&self.0), config.clone(), peer.clone());
        // Without capacity, so that a result is either received or known to be late.
        let (sender, receiver) = mpsc::sync_channel(0);
        std::thread::Builder::new()
            .name("connect".into())
            .spawn(move || {
                let connect = || {
                    let watch = Watch::begin(&peer);
                    let client = inner.connect(&config, target)?;
                    Ok((client, watch.and_then(|watch| watch.find())))
                };
                let result = catch_unwind(AssertUnwindSafe(connect)).unwrap_or(Err(Cause::Panic));
                if sender.send(result).is_err() {
                    inner.overdue.fetch_sub(1, Ordering::Relaxed);
                }
            })
            .map_err(Cause::Thread)?;
        match receiver.recv_timeout(timeout) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                self.0.overdue.fetch_add(1, Ordering::Relaxed);
                Err(Cause::Timeout(timeout))
            }
            Err(RecvTimeoutError::Disconnected) => Err(Cause::Panic),
        }
    }
}

impl Inner {
    /// Connects, however long it takes, and judges the server.
    fn connect(&self, config: &Config, target: TargetSession) -> Result<Client, Cause> {
        let connected = match &self.tls {
            Some(tls) => PostgresConnectionManager::new(config.clone(), tls.clone()).connect(),
            None => PostgresConnectionManager::new(config.clone(), NoTls).connect(),
        };
        let mut client = connected.map_err(Cause::Postgres)?;
        judge(&mut client, target)?;
        Ok(client)
    }
}

impl Endpoint {
    fn new(settings: &ConnectionSettings, server: &Server) -> Self {
        let port = server.port;
        let (shown, modes): (_, &[Negotiation]) = match (&server.host, settings.tls.mode) {
            (Host::Unix(folder), _) => {
                let socket = folder.join(format!(".s.PGSQL.{port}"));
                (format!("on socket \"{}\"", socket.display()), &[Negotiation::Disable])
            }
            (Host::Tcp { name, .. }, mode) => {
                let modes: &[_] = match mode {
                    SslMode::Disable => &[Negotiation::Disable],
                    SslMode::Allow => &[Negotiation::Disable, Negotiation::Require],
                    SslMode::Prefer => &[Negotiation::Prefer, Negotiation::Disable],
                    _ => &[Negotiation::Require],
                };
                (format!("at \"{name}\", port {port}"), modes)
            }
        };
        let base = config(settings, server);
        let attempts = modes.iter().map(|mode| {
            let mut config = base.clone();
            config.ssl_mode(*mode);
            config
        });
        Endpoint { shown, peer: Peer::of(&server.host, port), attempts: attempts.collect() }
    }
}

/// Everything but the encryption.
fn config(settings: &ConnectionSettings, server: &Server) -> Config {
    let mut config = Config::new();
    config
        .user(&settings.user)
        .dbname(&settings.dbname)
        .application_name(&settings.application_name)
        .port(server.port)
        .channel_binding(settings.channel_binding)
        .keepalives(!settings.keepalives.off)
        .keepalives_idle(settings.keepalives.idle.unwrap_or(KEEPALIVE_IDLE))
        .keepalives_interval(settings.keepalives.interval.unwrap_or(KEEPALIVE_INTERVAL))
        .keepalives_retries(settings.keepalives.count.unwrap_or(KEEPALIVE_COUNT))
        .notice_callback(|notice| log::debug!("{}: {}", notice.severity(), notice.message()));
    match &server.host {
        Host::Unix(folder) => config.host_path(folder),
        Host::Tcp { name, address } => {
            if let Some(address) = address {
                config.hostaddr(*address);
            }
            config.host(name)
        }
    };
    if let Some(password) = &server.password {
        config.password(password);
    }
    if let Some(options) = &settings.options {
        config.options(options);
    }
    config.tcp_user_timeout(settings.tcp_user_timeout.unwrap_or(TCP_USER_TIMEOUT));
    if settings.tls.direct {
        config.ssl_negotiation(SslNegotiation::Direct);
    }
    config
}

/// The same with defaults of the session.
///
/// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS>
fn with_defaults(config: &Config, defaults: &SessionDefaults) -> Config {
    let given = config.get_options().unwrap_or_default();
    let mut options = String::new();
    // Before what is given, so that the latter counts.
    if defaults.jit_off {
        options.push_str("-c jit=off ");
    }
    for name in &defaults.empty {
        options.push_str("-c ");
        options.push_str(name);
        options.push_str("= ");
    }
    options.push_str(given);
    options.push_str(" -c search_path=");
    for c in defaults.search_path.chars() {
        if c.is_whitespace() || c == '\\' {
            options.push('\\');
        }
        options.push(c);
    }
    let mut config = config.clone();
    config.options(options.trim_start());
    config
}

/// Whether the server is of the wanted kind.
fn judge(client: &mut Client, target: TargetSession) -> Result<(), Cause> {
    const STATE: &str = "SELECT current_setting('transaction_read_only'), pg_is_in_recovery()";
    if target == TargetSession::Any {
        return Ok(());
    }
    let messages = client.simple_query(STATE).map_err(Cause::Postgres)?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let is = |column, value| row.and_then(|row| row.get(column)) == Some(value);
    let (read_only, standby) = (is(0, "on"), is(1, "t"));
    match target {
        TargetSession::ReadWrite if read_only => Err(Cause::Unfit("session is read-only")),
        TargetSession::ReadOnly if !read_only => Err(Cause::Unfit("session is not read-only")),
        TargetSession::Primary if standby => Err(Cause::Unfit("server is in hot standby mode")),
        TargetSession::Standby if !standby => {
            Err(Cause::Unfit("server is not in hot standby mode"))
        }
        _ => Ok(()),
    }
}

/// Puts the servers into a random order.
fn shuffle<T>(items: &mut [T]) {
    for last in (1..items.len()).rev() {
        let mut random = [0; 8];
        // Without randomness the order stays, which is an order too.
        if aws_lc_rs::rand::fill(&mut random).is_ok() {
            items.swap(last, (u64::from_ne_bytes(random) % (last as u64 + 1)) as usize);
        }
    }
}

/// A failed attempt to connect: which server, and why. `Display` is for operators.
pub struct ConnectError {
    server: String,
    cause: Cause,
}

enum Cause {
    /// The server or the network said no.
    Postgres(postgres::Error),
    /// It took longer than this.
    Timeout(Duration),
    /// The server is not of the wanted kind.
    Unfit(&'static str),
    /// The system gives no more threads.
    Thread(io::Error),
    /// The `postgres` crate panicked, as it does without file descriptors.
    Panic,
}

impl Cause {
    /// Whether another kind of encryption may be accepted: TLS itself failed, or
    /// `pg_hba.conf` wants this user otherwise.
    fn is_about_encryption(&self) -> bool {
        let Cause::Postgres(error) = self else { return false };
        let refused = error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
        refused || causes(error).any(is_tls)
    }

    /// Whether a pooler between does not know a setting that the session was to begin with.
    fn is_about_parameters(&self) -> bool {
        let Cause::Postgres(error) = self else { return false };
        let codes = [SqlState::PROTOCOL_VIOLATION, SqlState::FEATURE_NOT_SUPPORTED];
        error.code().is_some_and(|code| codes.contains(code))
    }
}

/// The error's cause, that one's cause, and so on.
fn causes(error: &postgres::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    iter::successors(error.source(), |cause| (*cause).source())
}

/// What to look at first when nobody answers.
fn hint(error: &postgres::Error) -> &'static str {
    let kind = causes(error).find_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    match kind {
        Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
            "; is PostgreSQL running there, and does db-uri say where it is?"
        }
        _ => "",
    }
}

fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || wrapped.is_some_and(|inner| inner.is::<rustls::Error>())
}

impl ConnectError {
    /// What the server said, when it was reached and refused.
    pub fn db_error(&self) -> Option<&DbError> {
        match &self.cause {
            Cause::Postgres(error) => error.as_db_error(),
            _ => None,
        }
    }

    /// The SQLSTATE of what the server said.
    pub fn code(&self) -> Option<&SqlState> {
        self.db_error().map(DbError::code)
    }

    /// What clients may know of it: no address, no name of a user or database.
    pub fn for_clients(&self) -> &'static str {
        match &self.cause {
            Cause::Postgres(error) if error.as_db_error().is_some() => {
                "the database refused the connection"
            }
            Cause::Postgres(_) => "no connection to the database",
            Cause::Timeout(_) => "the database did not answer in time",
            Cause::Unfit(_) => "no database of the wanted kind",
            Cause::Thread(_) | Cause::Panic => "the system has no resources for a connection",
        }
    }

    /// Whether the time ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(self.cause, Cause::Timeout(_))
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection to server {} failed: ", self.server)?;
        match &self.cause {
            Cause::Postgres(error) => match error.as_db_error() {
                Some(db) => write!(f, "{}: {}", db.severity(), db.message()),
                None => {
                    // With a cause, the error itself says only that connecting failed.
                    let text = causes(error).map(ToString::to_string).collect::<Vec<_>>();
                    match text.is_empty() {
                        true => write!(f, "{error}")?,
                        false => f.write_str(&text.join(": "))?,
                    }
                    f.write_str(hint(error))
                }
            },
            Cause::Timeout(timeout) => write!(f, "timeout expired ({} s)", timeout.as_secs()),
            Cause::Unfit(why) => f.write_str(why),
            Cause::Thread(error) => write!(f, "no thread: {error}"),
            Cause::Panic => f.write_str("no resources"),
        }
    }
}

impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ConnectError {}
