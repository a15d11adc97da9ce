//! The public listening socket: bound from the settings or inherited from systemd.

use super::settings::{Listen, Settings};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Connections that wait in the kernel to be accepted; the system caps it
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// The first file descriptor that systemd passes (sd_listen_fds(3)).
const SYSTEMD_FIRST_FD: i32 = 3;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The TCP address, when it is one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A listening socket. A Unix socket's file that was made here is removed on drop.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    address: Address,
    inherited: bool,
}

impl Listener {
    /// Takes systemd's socket when the settings allow it and there is one, else binds.
    pub(super) fn bind(settings: &Settings) -> io::Result<Listener> {
        let inherited = if settings.socket_activation { Listener::inherited()? } else { None };
        match (inherited, &settings.listen) {
            (Some(listener), _) => Ok(listener),
            (None, Listen::Tcp { host, port }) => {
                Listener::bind_tcp(host, *port, settings.reuse_port)
            }
            (None, Listen::Unix { path, mode }) => Listener::bind_unix(path, *mode),
        }
    }

    fn bind_tcp(host: &str, port: u16, reuse_port: bool) -> io::Result<Listener> {
        let mut failure = None;
        for (address, only_v6) in candidates(host, port)? {
            match tcp_socket(address, only_v6, reuse_port) {
                Ok(socket) => return Listener::new(socket, false),
                Err(error) => failure = Some((address, error)),
            }
        }
        Err(match failure {
            Some((address, error)) => {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            }
            None => io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!("the host {host:?} has no address"),
            ),
        })
    }

    fn bind_unix(path: &Path, mode: u32) -> io::Result<Listener> {
        let explain = |what: &str, error: io::Error| {
            io::Error::new(error.kind(), format!("cannot {what} {}: {error}", path.display()))
        };
        remove_stale_socket(path).map_err(|e| explain("replace the socket", e))?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        let address = SockAddr::unix(path).map_err(|_| too_long(path))?;
        socket.bind(&address).map_err(|e| explain("bind", e))?;
        // Before listening nobody can connect, so the mode is in force from the first client on.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(|e| explain("set the mode of", e))?;
        socket.listen(BACKLOG).map_err(|e| explain("listen on", e))?;
        Listener::new(socket, false)
    }

    /// The first socket that systemd passed to this process, when it passed one.
    fn inherited() -> io::Result<Option<Listener>> {
        let number = |name| std::env::var(name).ok().and_then(|v: String| v.parse::<u32>().ok());
        let ours = number("LISTEN_PID") == Some(std::process::id());
        if !ours || number("LISTEN_FDS").unwrap_or(0) == 0 {
            return Ok(None);
        }
        // SAFETY: systemd passes this descriptor to this process (LISTEN_PID names it) for its
        // use alone, and `Server::bind` is asked to take it at most once.
        let socket = unsafe { Socket::from_raw_fd(SYSTEMD_FIRST_FD) };
        if !socket.is_listener()? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the socket passed by systemd does not listen",
            ));
        }
        socket.set_cloexec(true)?;
        Listener::new(socket, true).map(Some)
    }

    fn new(socket: Socket, inherited: bool) -> io::Result<Listener> {
        let local = socket.local_addr()?;
        let address = match (local.as_socket(), local.as_pathname()) {
            (Some(address), _) => Address::Tcp(address),
            (None, path) => Address::Unix(path.unwrap_or(Path::new("")).to_owned()),
        };
        if let Address::Tcp(_) = address {
            // Accepted connections inherit it. Without it a response of more than one write
            // waits for the client's delayed acknowledgement.
            socket.set_tcp_nodelay(true)?;
        }
        Ok(Listener { socket, address, inherited })
    }

    /// Where clients connect to.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether only this machine can connect.
    pub(super) fn is_local(&self) -> bool {
        match &self.address {
            Address::Tcp(address) => address.ip().is_loopback(),
            Address::Unix(_) => true,
        }
    }

    /// A second handle of the same socket, in the type that tiny_http takes.
    pub(super) fn for_tiny_http(&self) -> io::Result<tiny_http::Listener> {
        let socket = OwnedFd::from(self.socket.try_clone()?);
        Ok(match self.address {
            Address::Tcp(_) => TcpListener::from(socket).into(),
            Address::Unix(_) => UnixListener::from(socket).into(),
        })
    }

    /// Makes [`Listener::accept`] not wait.
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        self.socket.set_nonblocking(true)
    }

    /// Takes a connection, which does not wait either; with its address on TCP.
    pub(super) fn accept(&self) -> io::Result<(Socket, Option<IpAddr>)> {
        let (socket, peer) = self.socket.accept()?;
        socket.set_nonblocking(true)?;
        let peer = peer.as_socket().map(|address| address.ip().to_canonical());
        Ok((socket, peer))
    }

    /// Refuses further connections, and wakes a thread that waits in `accept` for one.
    /// An inherited socket stays open: systemd keeps it for the next process.
    pub(super) fn close(&self) {
        if !self.inherited {
            // Fails only when the socket does not listen any more.
            let _ = SockRef::from(&self.socket).shutdown(std::net::Shutdown::Both);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let (Address::Unix(path), false) = (&self.address, self.inherited) {
            // A path that somebody else removed needs no removal.
            let _ = fs::remove_file(path);
        }
    }
}

/// The longest path of a Unix socket, in bytes (`sun_path` less the final zero).
const SOCKET_PATH_MAX_BYTES: usize =
    size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path) - 1;

fn too_long(path: &Path) -> io::Error {
    let text = format!(
        "the path of the Unix socket {} has {} bytes, of which the system takes \
         {SOCKET_PATH_MAX_BYTES}: choose a shorter one",
        path.display(),
        path.as_os_str().len()
    );
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// The addresses that a `server-host` stands for, in the order to try them, each with
/// whether an IPv6 socket refuses IPv4.
fn candidates(host: &str, port: u16) -> io::Result<Vec<(SocketAddr, bool)>> {
    let v4 = (SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), false);
    let both = (SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), false);
    Ok(match host {
        "*" | "*6" => vec![both, v4],
        "*4" => vec![v4, both],
        "!4" => vec![v4],
        "!6" => vec![(both.0, true)],
        // The system's way with the address itself, as PostgREST has it.
        "::" | "[::]" => vec![both],
        _ => {
            let name = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
            (name, port)
                .to_socket_addrs()
                .map_err(|error| {
                    io::Error::new(error.kind(), format!("cannot resolve {host:?}: {error}"))
                })?
                .map(|address| (address, true))
                .collect()
        }
    })
}

fn tcp_socket(address: SocketAddr, only_v6: bool, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if matches!(address.ip(), IpAddr::V6(_)) {
        socket.set_only_v6(only_v6)?;
    }
    // A restart must not wait for old connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Removes the socket file of a server that is gone; refuses when one still answers there or
/// the file is no socket.
fn remove_stale_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(file) if !file.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file is not a socket"))
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, "a server listens there"))
        }
        Ok(_) => fs::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(host: &str) -> Settings {
        Settings { listen: Listen::Tcp { host: host.to_owned(), port: 0 }, ..Settings::default() }
    }

    #[test]
    fn special_hosts_choose_the_family() {
        let bound = |host| Listener::bind(&settings(host)).map(|l| l.address().tcp().unwrap());
        assert!(bound("!4").unwrap().is_ipv4());
        assert!(bound("*4").unwrap().is_ipv4());
        assert!(bound("*").unwrap().ip().is_unspecified());
        assert!(bound("127.0.0.1").unwrap().ip().is_loopback());
        assert!(bound("localhost").unwrap().ip().is_loopback());
        assert!(bound("no host").is_err());
    }

    #[test]
    fn the_address_of_all_hears_ipv4_too_where_it_is_meant() {
        for (host, v4, v6) in [
            ("::", true, true),
            ("[::]", true, true),
            ("*", true, true),
            ("*6", true, true),
            ("*4", true, false),
            ("!4", true, false),
            ("!6", false, true),
            ("0.0.0.0", true, false),
            ("::1", false, true),
        ] {
            let listener = Listener::bind(&settings(host)).unwrap();
            let port = listener.address().tcp().unwrap().port();
            let hears = |address: IpAddr| std::net::TcpStream::connect((address, port)).is_ok();
            assert_eq!(hears(Ipv4Addr::LOCALHOST.into()), v4, "{host}");
            let has_v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
            assert_eq!(hears(Ipv6Addr::LOCALHOST.into()), v6 && has_v6, "{host}");
        }
    }

    #[test]
    fn a_path_that_is_too_long_is_named_with_what_would_fit() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(120)));
        let listen = Listen::Unix { path, mode: 0o600 };
        let error = Listener::bind(&Settings { listen, ..Settings::default() }).unwrap_err();
        assert!(error.to_string().contains("has 125 bytes"), "{error}");
    }

    #[test]
    fn a_port_in_use_is_refused_unless_it_is_shared() {
        let mut shared = Settings { reuse_port: true, ..settings("127.0.0.1") };
        let first = Listener::bind(&shared).unwrap();
        let port = first.address().tcp().unwrap().port();
        shared.listen = Listen::Tcp { host: "127.0.0.1".to_owned(), port };
        assert!(Listener::bind(&shared).is_ok());
        let exclusive = Settings { reuse_port: false, ..shared };
        let error = Listener::bind(&exclusive).unwrap_err();
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    }

    #[test]
    fn a_unix_socket_gets_its_mode_and_replaces_only_a_dead_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let settings = Settings {
            listen: Listen::Unix { path: path.clone(), mode: 0o640 },
            ..Settings::default()
        };
        drop(UnixListener::bind(&path).unwrap());
        let listener = Listener::bind(&settings).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(Listener::bind(&settings).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert!(Listener::bind(&settings).is_err());
        assert!(path.exists());
    }
}
