//! The socket of a session, to be shut down from outside when its peer does not answer any
//! more: `postgres` waits for ever and does not give it away.
//!
//! It is found by looking at what sockets to the server there are before and after a
//! connection is made. Where that does not tell, as without `/proc`, a session has no known
//! socket.

use super::settings::Host;
use socket2::{SockAddr, SockRef};
use std::fs;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// One connection at a time can be told from the others.
static TURN: Mutex<()> = Mutex::new(());

/// How long a connection waits for its turn; without it, its socket stays unknown.
const TURN_TIMEOUT: Duration = Duration::from_millis(200);

/// Between two looks: for the turn, or for other sockets to the server, such as those of
/// cancellations, to be gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// So often is looked for the one new socket.
const LOOKS: usize = 4;

/// A descriptor and the number of the socket that it stands for, which is not used again
/// while the system runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSocket {
    descriptor: RawFd,
    inode: u64,
}

/// Whose address a socket must have at its other end.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    /// The name of a Unix socket, whatever the folder is called.
    Unix(String),
    /// A TCP port.
    Tcp(u16),
}

/// The sockets to a server before a connection is made.
pub(super) struct Watch<'p> {
    peer: &'p Peer,
    before: Vec<SessionSocket>,
    _turn: MutexGuard<'static, ()>,
}

impl SessionSocket {
    /// Ends the connection both ways, so that whoever waits for it gets an error. The caller
    /// sees to it that the session is not closed meanwhile.
    pub fn shut_down(self) {
        if inode_of(self.descriptor) == Some(self.inode) {
            // SAFETY: the descriptor is open, as the caller sees to.
            let socket = unsafe { BorrowedFd::borrow_raw(self.descriptor) };
            // Fails only where the connection has ended.
            let _ = SockRef::from(&socket).shutdown(Shutdown::Both);
        }
    }
}

impl Peer {
    pub(super) fn of(host: &Host, port: u16) -> Peer {
        match host {
            Host::Unix(_) => Peer::Unix(format!(".s.PGSQL.{port}")),
            Host::Tcp { .. } => Peer::Tcp(port),
        }
    }

    fn is_at(&self, address: &SockAddr) -> bool {
        match self {
            Peer::Tcp(port) => address.as_socket().is_some_and(|socket| socket.port() == *port),
            Peer::Unix(name) => {
                let path = address.as_pathname();
                path.and_then(|path| path.file_name()).is_some_and(|file| file == name.as_str())
            }
        }
    }

    /// The sockets of this process that are connected to the server.
    fn sockets(&self) -> Vec<SessionSocket> {
        let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
        let descriptors =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        descriptors
            .filter_map(|descriptor| {
                let inode = inode_of(descriptor)?;
                // SAFETY: should another thread have closed it meanwhile, the kernel says so,
                // or tells of another socket, which has another number.
                let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
                let address = SockRef::from(&socket).peer_addr().ok()?;
                self.is_at(&address).then_some(SessionSocket { descriptor, inode })
            })
            .collect()
    }
}

impl<'p> Watch<'p> {
    /// Begins to watch; `None` when others take too long.
    pub(super) fn begin(peer: &'p Peer) -> Option<Watch<'p>> {
        let until = Instant::now() + TURN_TIMEOUT;
        let turn = loop {
            match TURN.try_lock() {
                Ok(turn) => break turn,
                // There is nothing that a panic could have left half done.
                Err(TryLockError::Poisoned(turn)) => break turn.into_inner(),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => return None,
                Err(TryLockError::WouldBlock) => thread::sleep(LOOK_INTERVAL),
            }
        };
        Some(Watch { peer, before: peer.sockets(), _turn: turn })
    }

    /// The socket of the connection that has been made since.
    pub(super) fn find(&self) -> Option<SessionSocket> {
        for look in 0..LOOKS {
            if look > 0 {
                thread::sleep(LOOK_INTERVAL);
            }
            let mut now = self.peer.sockets();
            now.retain(|socket| !self.before.contains(socket));
            match now[..] {
                [] => return None,
                [socket] => return Some(socket),
                _ => {}
            }
        }
        None
    }
}

/// The number of the socket that a descriptor stands for.
fn inode_of(descriptor: RawFd) -> Option<u64> {
    let target = fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_one_new_socket_is_found_and_shut_down() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _older = TcpStream::connect(address).unwrap();
        let peer = Peer::Tcp(address.port());
        let watch = Watch::begin(&peer).unwrap();
        assert_eq!(watch.find(), None);
        let mut ours = TcpStream::connect(address).unwrap();
        let found = watch.find().unwrap();
        let reading = thread::spawn(move || ours.read(&mut [0]).unwrap_or(0));
        found.shut_down();
        assert_eq!(reading.join().unwrap(), 0);
    }

    #[test]
    fn of_several_new_sockets_none_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = Peer::Tcp(address.port());
        let watch = Watch::begin(&peer).unwrap();
        let _two = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
        assert_eq!(watch.find(), None);
    }
}
