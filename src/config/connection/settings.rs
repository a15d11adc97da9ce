//! The meaning of a connection's parameters.

use super::super::environment::Environment;
use super::error::ConnectionError;
use super::parameters::{Parameters, number};
use super::passfile;
use super::tls::TlsSettings;
use postgres::config::ChannelBinding;
use std::fmt;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// PostgreSQL's port.
const DEFAULT_PORT: u16 = 5432;
/// Folders in which PostgreSQL is built to put its socket: Debian's, and its own default.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];
/// How long connecting to one host may take when `connect_timeout` is not given.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The name in `pg_stat_activity` when none is given.
const APPLICATION_NAME: &str = concat!("goldenkey ", env!("CARGO_PKG_VERSION"));

/// Which kind of server is acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSession {
    /// Any.
    Any,
    /// One that accepts writes.
    ReadWrite,
    /// One that does not accept writes.
    ReadOnly,
    /// One that is not a standby.
    Primary,
    /// A standby.
    Standby,
    /// A standby, or any when there is none.
    PreferStandby,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Host {
    /// In this folder, on a Unix socket.
    Unix(PathBuf),
    /// On TCP, under this name, or at this address without asking for one.
    Tcp { name: String, address: Option<IpAddr> },
}

/// One server to try.
#[derive(Clone)]
pub(super) struct Server {
    pub host: Host,
    pub port: u16,
    pub password: Option<String>,
}

/// TCP keepalive probes; what is `None` is left to the default of [`Connector`].
#[derive(Debug, Clone, Default)]
pub(super) struct Keepalives {
    pub off: bool,
    pub idle: Option<Duration>,
    pub interval: Option<Duration>,
    pub count: Option<u32>,
}

/// A connection string with everything that completes it.
#[derive(Clone)]
pub struct ConnectionSettings {
    pub(super) servers: Vec<Server>,
    pub(super) user: String,
    pub(super) dbname: String,
    pub(super) options: Option<String>,
    pub(super) application_name: String,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) tcp_user_timeout: Option<Duration>,
    pub(super) keepalives: Keepalives,
    pub(super) channel_binding: ChannelBinding,
    pub(super) target: TargetSession,
    pub(super) shuffle: bool,
    pub(super) tls: TlsSettings,
}

impl ConnectionSettings {
    /// Reads a connection string, URI or keywords and values. What it leaves out comes
    /// from the service file, the environment (`PG*`), the password file, and libpq's
    /// defaults.
    pub fn parse(text: &str, environment: &Environment) -> Result<Self, ConnectionError> {
        let parameters = Parameters::collect(text.trim(), environment)?;
        let user = match parameters.get("user") {
            Some(user) => user.to_owned(),
            None => system_user(environment)?,
        };
        let dbname = parameters.get("dbname").unwrap_or(&user).to_owned();
        let mut servers = servers(&parameters)?;
        add_passwords(&mut servers, &parameters, environment, &user, &dbname);
        let connect_timeout = match parameters.number::<i64>("connect_timeout")? {
            None => Some(DEFAULT_CONNECT_TIMEOUT),
            Some(seconds) => u32::try_from(seconds).ok().filter(|s| *s > 0).map(seconds_of),
        };
        Ok(ConnectionSettings {
            servers,
            options: parameters.get("options").map(str::to_owned),
            application_name: parameters
                .get("application_name")
                .or_else(|| parameters.get("fallback_application_name"))
                .unwrap_or(APPLICATION_NAME)
                .to_owned(),
            connect_timeout,
            tcp_user_timeout: parameters
                .number::<u32>("tcp_user_timeout")?
                .filter(|ms| *ms > 0)
                .map(|ms| Duration::from_millis(ms.into())),
            keepalives: keepalives(&parameters)?,
            channel_binding: channel_binding(&parameters)?,
            target: target(&parameters)?,
            shuffle: parameters.word(
                "load_balance_hosts",
                &[("disable", false), ("random", true)],
                false,
            )?,
            tls: TlsSettings::from_parameters(&parameters, environment)?,
            user,
            dbname,
        })
    }

    /// The same, but only a server that accepts writes will do: notifications are sent
    /// where the writes are.
    pub fn for_listener(&self) -> Self {
        ConnectionSettings { target: TargetSession::ReadWrite, ..self.clone() }
    }
}

impl fmt::Display for ConnectionSettings {
    /// For logs: `user@host:port,host:port/database`, without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@", self.user)?;
        for (i, server) in self.servers.iter().enumerate() {
            f.write_str(if i > 0 { "," } else { "" })?;
            match &server.host {
                Host::Unix(folder) => write!(f, "{}:{}", folder.display(), server.port)?,
                Host::Tcp { name, .. } => write!(f, "{name}:{}", server.port)?,
            }
        }
        write!(f, "/{}", self.dbname)
    }
}

impl fmt::Debug for ConnectionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionSettings({self})")
    }
}

fn seconds_of(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

/// The name of the user whose process this is: the environment's, or the one that the
/// password file has for the process's user.
fn system_user(environment: &Environment) -> Result<String, ConnectionError> {
    ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| environment.get(name).filter(|user| !user.is_empty()))
        .map(str::to_owned)
        .or_else(process_user)
        .ok_or_else(|| ConnectionError::new("no user: name one in db-uri or PGUSER"))
}

/// The name that `/etc/passwd` has for the user of this process.
fn process_user() -> Option<String> {
    let uid = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

/// The servers of the lists `host`, `hostaddr` and `port`.
fn servers(parameters: &Parameters) -> Result<Vec<Server>, ConnectionError> {
    let (hosts, addresses) = (parameters.list("host"), parameters.list("hostaddr"));
    let ports = parameters.list("port");
    let count = hosts.len().max(addresses.len());
    let given = |name| parameters.get(name).is_some();
    if given("host") && given("hostaddr") && hosts.len() != addresses.len() {
        return Err(ConnectionError::new(format!(
            "could not match {} host names to {} hostaddr values",
            hosts.len(),
            addresses.len()
        )));
    }
    if ports.len() != 1 && ports.len() != count {
        return Err(ConnectionError::new(format!(
            "could not match {} port numbers to {count} hosts",
            ports.len()
        )));
    }
    (0..count)
        .map(|i| {
            let port = match ports.get(i).unwrap_or(&ports[0]).trim() {
                "" => DEFAULT_PORT,
                text => number("port", text)?,
            };
            let host = hosts.get(i).copied().unwrap_or_default();
            let address = addresses.get(i).copied().unwrap_or_default();
            Ok(Server { host: Host::new(host, address, port)?, port, password: None })
        })
        .collect()
}

impl Host {
    fn new(name: &str, address: &str, port: u16) -> Result<Self, ConnectionError> {
        if name.starts_with('@') {
            return Err(ConnectionError::new("abstract Unix sockets are not supported"));
        }
        Ok(match (name, address) {
            ("", "") => Host::Unix(default_folder(port)),
            (path, "") if path.starts_with('/') => Host::Unix(path.into()),
            (name, "") => Host::Tcp { name: name.to_owned(), address: None },
            (name, text) => {
                let address = number("hostaddr", text)?;
                let name = if name.is_empty() { text } else { name }.to_owned();
                Host::Tcp { name, address: Some(address) }
            }
        })
    }
}

/// The folder that holds the socket, or the first that usually does.
fn default_folder(port: u16) -> PathBuf {
    let folder = SOCKET_FOLDERS
        .into_iter()
        .find(|folder| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists())
        .unwrap_or(SOCKET_FOLDERS[0]);
    PathBuf::from(folder)
}

/// Gives each server its password: the one in the connection string or the environment,
/// or else the password file's.
fn add_passwords(
    servers: &mut [Server],
    parameters: &Parameters,
    environment: &Environment,
    user: &str,
    dbname: &str,
) {
    let given = parameters.get("password");
    let lines = match given {
        Some(_) => String::new(),
        None => passfile::read(parameters.get("passfile"), environment),
    };
    for server in servers {
        let host = match &server.host {
            Host::Unix(folder) if SOCKET_FOLDERS.iter().any(|f| folder == Path::new(f)) => {
                "localhost".into()
            }
            Host::Unix(folder) => folder.to_string_lossy().into_owned(),
            Host::Tcp { name, .. } => name.clone(),
        };
        server.password = given
            .map(str::to_owned)
            .or_else(|| passfile::find(&lines, [&host, &server.port.to_string(), dbname, user]));
    }
}

fn keepalives(parameters: &Parameters) -> Result<Keepalives, ConnectionError> {
    let seconds = |name| -> Result<_, ConnectionError> {
        Ok(parameters.number::<u32>(name)?.filter(|s| *s > 0).map(seconds_of))
    };
    Ok(Keepalives {
        off: parameters.number::<i32>("keepalives")? == Some(0),
        idle: seconds("keepalives_idle")?,
        interval: seconds("keepalives_interval")?,
        count: parameters.number::<u32>("keepalives_count")?.filter(|count| *count > 0),
    })
}

fn channel_binding(parameters: &Parameters) -> Result<ChannelBinding, ConnectionError> {
    let words = [
        ("disable", ChannelBinding::Disable),
        ("prefer", ChannelBinding::Prefer),
        ("require", ChannelBinding::Require),
    ];
    parameters.word("channel_binding", &words, ChannelBinding::Prefer)
}

fn target(parameters: &Parameters) -> Result<TargetSession, ConnectionError> {
    let words = [
        ("any", TargetSession::Any),
        ("read-write", TargetSession::ReadWrite),
        ("read-only", TargetSession::ReadOnly),
        ("primary", TargetSession::Primary),
        ("standby", TargetSession::Standby),
        ("prefer-standby", TargetSession::PreferStandby),
    ];
    parameters.word("target_session_attrs", &words, TargetSession::Any)
}
