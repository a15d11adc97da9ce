//! `--ready`: asks the admin server of a running instance whether it is ready, for health
//! checks of containers and services.

use super::serve::ConfigSource;
use super::{Failure, print};
use crate::config::Config;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the admin server may take for each step of its answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The bytes of an answer that matter: `HTTP/1.1 200`.
const STATUS_BYTES: usize = 12;

/// Asks, and prints what was asked when the answer is yes.
///
/// # Errors
/// When the instance is not ready, does not answer, or has no admin server.
pub fn ready(path: Option<&Path>) -> Result<(), Failure> {
    let config = ConfigSource::of_process(path).load()?;
    let admin = Admin::of(&config)
        .ok_or_else(|| "there is no admin server to ask: set admin-server-port".to_owned())?;
    match admin.status() {
        Ok(200) => print(&format!("OK: {admin}\n")),
        Ok(status) => Err(format!("not ready: {admin} answered {status}").into()),
        Err(error) => Err(Failure::io(format_args!("not ready: {admin}"), error)),
    }
}

/// Where the admin server listens.
enum Admin<'a> {
    Tcp { host: &'a str, port: u16 },
    Unix(&'a str),
}

impl<'a> Admin<'a> {
    fn of(config: &'a Config) -> Option<Self> {
        if let Some(path) = &config.admin_server_unix_socket {
            return Some(Admin::Unix(path));
        }
        let host = match config.admin_server_host.as_str() {
            // All addresses: this machine is among them.
            "*" | "*4" | "!4" => "127.0.0.1",
            "*6" | "!6" => "::1",
            host => host,
        };
        config.admin_server_port.map(|port| Admin::Tcp { host, port })
    }

    /// The status of the answer to `GET /ready`.
    fn status(&self) -> io::Result<u16> {
        match self {
            Admin::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                ask(stream)
            }
            Admin::Tcp { host, port } => {
                let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
                for address in (*host, *port).to_socket_addrs()? {
                    outcome = TcpStream::connect_timeout(&address, TIMEOUT);
                    if outcome.is_ok() {
                        break;
                    }
                }
                let stream = outcome?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                ask(stream)
            }
        }
    }
}

impl fmt::Display for Admin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Admin::Tcp { host, port } if host.contains(':') => {
                write!(f, "http://[{host}]:{port}/ready")
            }
            Admin::Tcp { host, port } => write!(f, "http://{host}:{port}/ready"),
            Admin::Unix(path) => write!(f, "unix:{path}:/ready"),
        }
    }
}

fn ask(mut stream: impl Read + Write) -> io::Result<u16> {
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; STATUS_BYTES];
    stream.read_exact(&mut head)?;
    let status = std::str::from_utf8(&head).ok().and_then(|head| {
        head.strip_prefix("HTTP/1.").and_then(|rest| rest.split_once(' '))?.1.parse().ok()
    });
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn admin_of(settings: [(&str, &str); 2]) -> Option<String> {
        let (config, _) = Config::load(None, &Environment::from(settings), &[]).unwrap();
        Admin::of(&config).map(|admin| admin.to_string())
    }

    #[test]
    fn an_address_for_all_is_asked_on_this_machine() {
        for (host, url) in [
            ("!4", "http://127.0.0.1:3001/ready"),
            ("*6", "http://[::1]:3001/ready"),
            ("10.0.0.1", "http://10.0.0.1:3001/ready"),
        ] {
            let settings = [("PGRST_ADMIN_SERVER_PORT", "3001"), ("PGRST_ADMIN_SERVER_HOST", host)];
            assert_eq!(admin_of(settings).as_deref(), Some(url));
        }
    }

    #[test]
    fn the_socket_wins_over_the_port_and_without_both_there_is_nobody_to_ask() {
        let settings =
            [("PGRST_ADMIN_SERVER_PORT", "3001"), ("PGRST_ADMIN_SERVER_UNIX_SOCKET", "/run/a")];
        assert_eq!(admin_of(settings).as_deref(), Some("unix:/run/a:/ready"));
        assert_eq!(admin_of([("A", ""), ("B", "")]), None);
    }

    #[test]
    fn the_status_is_read_from_the_first_line() {
        let answer = |text: &'static str| {
            let (client, mut server) = UnixStream::pair().unwrap();
            server.write_all(text.as_bytes()).unwrap();
            drop(server.shutdown(std::net::Shutdown::Write));
            let status = ask(client).ok();
            drop(server);
            status
        };
        assert_eq!(answer("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some(503));
        assert_eq!(answer("SSH-2.0-OpenSSH_9.2"), None);
        assert_eq!(answer("HTTP/1.1"), None);
    }
}
