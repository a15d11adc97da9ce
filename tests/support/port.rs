//! Free loopback ports that tests running side by side do not take from each other.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that Linux gives to outgoing connections, so that none of those is in
/// the way when the server binds.
const FIRST: u16 = 18_000;
const COUNT: u16 = 14_000;

/// A port of 127.0.0.1 that nobody listens on, never the same one twice, also among test
/// processes: each holds an abstract Unix socket named by the port until it ends.
pub fn free() -> u16 {
    static RESERVED: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes start at different places, so that they rarely meet.
    let offset = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(offset) % COUNT;
        let port = FIRST + step;
        let name = SocketAddr::from_abstract_name(format!("goldenkey-test-port-{port}"))
            .expect("the name is short");
        let Ok(reservation) = UnixListener::bind_addr(&name) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            RESERVED.lock().expect("nothing panics with it").push(reservation);
            return port;
        }
    }
    panic!("no port of 127.0.0.1 from {FIRST} on is free");
}
