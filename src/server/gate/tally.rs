//! Counts what the gate refuses and whom it disconnects, for one log line now and then
//! instead of one a client.

use std::time::{Duration, Instant};

/// Between two lines about the same thing.
const INTERVAL: Duration = Duration::from_secs(10);

/// Something that clients do in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Incident {
    /// The limit of connections in all refused one.
    ConnectionLimit,
    /// The limit of connections an address refused one.
    AddressLimit,
    /// The system had no file descriptor or memory for one.
    AcceptFailed,
    /// A request was malformed or beyond a limit.
    Refused,
    /// A head or body came too slowly.
    SlowSender,
    /// A response was taken too slowly.
    SlowReader,
    /// The buffers or all places were full, and this client held the most, or was idle for
    /// longest.
    Evicted,
    /// A request found no place in the queue or waited there too long.
    Overload,
    /// A client left before it was answered.
    Gone,
}

impl Incident {
    /// All of them, in their order.
    pub(in crate::server) const ALL: [Incident; 9] = [
        Incident::ConnectionLimit,
        Incident::AddressLimit,
        Incident::AcceptFailed,
        Incident::Refused,
        Incident::SlowSender,
        Incident::SlowReader,
        Incident::Evicted,
        Incident::Overload,
        Incident::Gone,
    ];

    /// The word in metrics.
    pub(in crate::server) fn label(self) -> &'static str {
        match self {
            Incident::ConnectionLimit => "connection_limit",
            Incident::AddressLimit => "address_limit",
            Incident::AcceptFailed => "accept_failed",
            Incident::Refused => "malformed",
            Incident::SlowSender => "slow_sender",
            Incident::SlowReader => "slow_reader",
            Incident::Evicted => "evicted",
            Incident::Overload => "overload",
            Incident::Gone => "client_gone",
        }
    }
}

/// Incidents, with the words for each.
const WORDS: [(Incident, &str); 9] = [
    (Incident::ConnectionLimit, "connections refused: the limit of connections is reached"),
    (Incident::AddressLimit, "connections refused: their address holds too many"),
    (Incident::AcceptFailed, "connections failed: the system is out of descriptors or memory"),
    (Incident::Refused, "requests refused: malformed or beyond a limit"),
    (Incident::SlowSender, "requests refused: they arrived too slowly"),
    (Incident::SlowReader, "connections closed: their response was taken too slowly"),
    (Incident::Evicted, "connections closed: others needed the room they held the most of"),
    (Incident::Overload, "requests refused: no worker was free"),
    (Incident::Gone, "clients left before their request was answered"),
];

/// The counts since the last lines.
#[derive(Debug)]
pub(super) struct Tally {
    counts: [u64; WORDS.len()],
    told: Option<Instant>,
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally { counts: [0; WORDS.len()], told: None }
    }

    pub(super) fn count(&mut self, incident: Incident) {
        if let Some(at) = WORDS.iter().position(|(known, _)| *known == incident) {
            self.counts[at] += 1;
        }
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// Logs what was counted, unless it did so a moment ago; returns when to call again.
    pub(super) fn tell(&mut self, now: Instant) -> Option<Instant> {
        if self.is_empty() {
            return None;
        }
        if let Some(next) = self.told.map(|told| told + INTERVAL).filter(|next| now < *next) {
            return Some(next);
        }
        self.told = Some(now);
        for (count, (incident, words)) in self.counts.iter_mut().zip(WORDS) {
            match (*count, incident) {
                (0, _) => {}
                (n, Incident::Refused | Incident::Gone) => log::info!("gate: {n} {words}"),
                (n, _) => log::warn!("gate: {n} {words}"),
            }
            *count = 0;
        }
        None
    }
}
