//! The private Unix-socket connections between the gate and tiny_http.
//!
//! Each tiny_http gets a listening socket of its own, to which the gate has connected before,
//! and which takes no more connections. So nobody else can ever connect, and nothing is left
//! behind however the process ends. On Linux its name is abstract: no file is needed.

use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Connections to a tiny_http.
const CONNECTIONS: usize = 1;
/// How often somebody else may be first to connect before giving up.
const ATTEMPTS: u32 = 100;

/// Where the gate finds its connections to a tiny_http that was started.
#[derive(Debug, Default)]
pub(in crate::server) struct PrivateSocket(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    fresh: Vec<UnixStream>,
    /// Whether the gate has none.
    wanted: bool,
}

impl PrivateSocket {
    /// A listening socket for tiny_http, with the gate's connections waiting in it.
    ///
    /// # Errors
    /// The system refuses the socket.
    pub(in crate::server) fn listener(&self) -> io::Result<tiny_http::Listener> {
        let explain = |error: io::Error| {
            io::Error::new(error.kind(), format!("the private socket cannot be made: {error}"))
        };
        let (listener, connections) = connected_listener().map_err(explain)?;
        self.lock().fresh = connections;
        Ok(listener.into())
    }

    /// The connections to the tiny_http that was started last, unless they were taken before:
    /// then there are none, and another one is wanted.
    pub(super) fn take(&self) -> Vec<UnixStream> {
        let mut state = self.lock();
        state.wanted = state.fresh.is_empty();
        std::mem::take(&mut state.fresh)
    }

    /// Whether a tiny_http has to be started for the gate.
    pub(super) fn is_wanted(&self) -> bool {
        let state = self.lock();
        state.wanted && state.fresh.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listening socket with our connections waiting in it, which takes no others.
fn connected_listener() -> io::Result<(UnixListener, Vec<UnixStream>)> {
    let mut result = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..ATTEMPTS {
        result = try_connected_listener();
        match &result {
            // Somebody has taken a place in the queue, which is as long as we need it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    result
}

fn try_connected_listener() -> io::Result<(UnixListener, Vec<UnixStream>)> {
    let (socket, name) = name::bind()?;
    // One more than the length that is asked for may wait (unix(7), listen(2)).
    socket.listen(CONNECTIONS as i32 - 1)?;
    let connect = |_| {
        let ours = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        ours.set_nonblocking(true)?;
        ours.connect(&name.address)?;
        Ok(UnixStream::from(OwnedFd::from(ours)))
    };
    let connections: Vec<_> = (0..CONNECTIONS).map(connect).collect::<io::Result<_>>()?;
    // All places are taken, by us. What waits is still accepted, and then nothing.
    name::close(&socket);
    Ok((UnixListener::from(OwnedFd::from(socket)), connections))
}

#[cfg(target_os = "linux")]
mod name {
    use super::{Domain, SockAddr, Socket, Type, io};

    pub(super) struct Name {
        pub(super) address: SockAddr,
    }

    /// A socket under an abstract name that the kernel chooses (unix(7), autobind).
    pub(super) fn bind() -> io::Result<(Socket, Name)> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix("")?)?;
        let address = socket.local_addr()?;
        Ok((socket, Name { address }))
    }

    /// Lets nobody connect any more; what has connected is still accepted.
    pub(super) fn close(socket: &Socket) {
        // Fails only when it does not listen.
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }
}

#[cfg(not(target_os = "linux"))]
mod name {
    use super::{Domain, SockAddr, Socket, Type, io};
    use std::fs::DirBuilder;
    use std::os::unix::fs::DirBuilderExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::SystemTime;

    /// Its file lasts as long as this.
    pub(super) struct Name {
        pub(super) address: SockAddr,
        folder: PathBuf,
    }

    /// A socket in a new folder that only this user can enter.
    pub(super) fn bind() -> io::Result<(Socket, Name)> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let nanos = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |t| t.subsec_nanos());
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("goldenkey-{}-{nanos}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        // Creating a folder fails when somebody else has put one, or a link, in its place.
        DirBuilder::new().mode(0o700).create(&folder).map_err(|error| {
            let explained = format!("{}: {error} (see TMPDIR)", folder.display());
            io::Error::new(error.kind(), explained)
        })?;
        let address = SockAddr::unix(folder.join("s"))?;
        let name = Name { address, folder };
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&name.address)?;
        Ok((socket, name))
    }

    /// Without its file nobody finds the socket.
    pub(super) fn close(_: &Socket) {}

    impl Drop for Name {
        fn drop(&mut self) {
            // What was not made needs no removal.
            let _ = std::fs::remove_file(self.folder.join("s"));
            let _ = std::fs::remove_dir(&self.folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn our_connections_are_accepted_and_nobody_else_can_connect() {
        let (listener, mut ours) = connected_listener().unwrap();
        let address = socket2::SockRef::from(&listener).local_addr().unwrap();
        let other = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        assert!(other.connect(&address).is_err());
        for ours in &mut ours {
            let (mut theirs, _) = listener.accept().unwrap();
            ours.write_all(b"x").unwrap();
            let mut byte = [0];
            theirs.read_exact(&mut byte).unwrap();
            assert_eq!(&byte, b"x");
        }
        assert!(other.connect(&address).is_err());
        // The accept loop of whoever listens ends.
        #[cfg(target_os = "linux")]
        assert!(listener.accept().is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn somebody_who_connects_first_is_noticed() {
        let (socket, name) = name::bind().unwrap();
        socket.listen(CONNECTIONS as i32 - 1).unwrap();
        let intruder = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        intruder.connect(&name.address).unwrap();
        let ours = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        ours.set_nonblocking(true).unwrap();
        assert_eq!(ours.connect(&name.address).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
