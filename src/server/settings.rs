//! What the operator can choose of the server; every setting's default is its [`Default`].

use super::limits::Limits;
use std::path::PathBuf;
use std::time::Duration;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A TCP port.
    Tcp {
        /// A host name, an address, or one of `*` (IPv6 and IPv4), `*4` (IPv4, else IPv6),
        /// `!4` (IPv4 only), `*6` (IPv6, else IPv4) and `!6` (IPv6 only) for all addresses.
        host: String,
        /// The port; 0 lets the system choose one.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its path; a socket left there by a server that is gone is replaced.
        path: PathBuf,
        /// Its file mode.
        mode: u32,
    },
}

/// Settings of a [`Server`](super::Server).
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen. Default: all IPv4 addresses, port 3000.
    pub listen: Listen,
    /// Use the listening socket that systemd passes (`LISTEN_FDS`) when there is one,
    /// instead of [`Settings::listen`]. Default: false.
    pub socket_activation: bool,
    /// Let several processes listen on the same port (`SO_REUSEPORT`). Default: false.
    pub reuse_port: bool,
    /// Put the gate between clients and tiny_http. Without it only a loopback address or a
    /// Unix socket is bound, for use behind a proxy that buffers and limits. Default: true.
    pub gate: bool,
    /// Worker threads. Default: 10.
    pub threads: usize,
    /// The largest request body; a larger one is answered 413. Default: 10 MiB.
    pub body_max_bytes: usize,
    /// Limits of the gate.
    pub limits: Limits,
    /// How long requests in flight may take after a shutdown has begun. Default: 30 s.
    pub shutdown_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            listen: Listen::Tcp { host: "!4".to_owned(), port: 3000 },
            socket_activation: false,
            reuse_port: false,
            gate: true,
            threads: 10,
            body_max_bytes: 10 << 20,
            limits: Limits::default(),
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}
