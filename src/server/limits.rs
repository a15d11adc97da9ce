//! The limits that keep one client's slowness, size or number from the others.

use std::time::Duration;

/// Limits of the gate; every limit's default is its [`Default`].
#[derive(Debug, Clone)]
pub struct Limits {
    /// Client connections in all; fewer when the system allows fewer open files.
    /// Default: 16,384.
    pub connections_max: usize,
    /// Client connections from one address, or one IPv6 network of 64 bits. Those of a Unix
    /// socket count as one address. 0 means three quarters of all. Default: 0.
    pub connections_per_address_max: usize,
    /// Bytes of a request's head; more is answered 414 or 431. Default: 64 KiB.
    pub head_max_bytes: usize,
    /// From the first byte of a head to its last; a slower one is answered 408. Default: 10 s.
    pub head_timeout: Duration,
    /// How long a connection may wait for its next request. Default: 75 s.
    pub idle_timeout: Duration,
    /// How long a transfer may take before its rate counts. Default: 10 s.
    pub rate_grace: Duration,
    /// Average rate of a body; a slower one is answered 408; 0 for none. Default: 1,024 bytes
    /// a second.
    pub body_min_bytes_per_second: u64,
    /// Average rate at which a client takes a response; the connection of a slower one is
    /// closed; 0 for none. Default: 1,024 bytes a second.
    pub response_min_bytes_per_second: u64,
    /// Requests that wait for a worker; one more is answered 503. Default: 1,000.
    pub queue_max: usize,
    /// How long a request waits for a worker before it is answered 503. Default: 10 s.
    pub queue_timeout: Duration,
    /// Memory for requests and responses that wait for somebody, in all. When it is used up
    /// the slowest clients are disconnected. Default: 128 MiB.
    pub buffer_max_bytes: usize,
}

/// What stands for no limit of time: far enough to never matter.
const FOREVER: Duration = Duration::from_secs(365 * 86_400);

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 16_384,
            connections_per_address_max: 0,
            head_max_bytes: 64 << 10,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            rate_grace: Duration::from_secs(10),
            body_min_bytes_per_second: 1024,
            response_min_bytes_per_second: 1024,
            queue_max: 1000,
            queue_timeout: Duration::from_secs(10),
            buffer_max_bytes: 128 << 20,
        }
    }
}

impl Limits {
    /// Connections that one address may hold.
    pub(super) fn per_address(&self) -> usize {
        match self.connections_per_address_max {
            0 => (self.connections_max * 3 / 4).max(1),
            max => max,
        }
    }

    /// How long a transfer of so many bytes may have taken.
    pub(super) fn time_allowed(&self, bytes: u64, min_bytes_per_second: u64) -> Duration {
        match bytes.saturating_mul(1000).checked_div(min_bytes_per_second) {
            Some(millis) => (self.rate_grace + Duration::from_millis(millis)).min(FOREVER),
            None => FOREVER,
        }
    }
}
