//! What the gate holds and has refused, for metrics: written by the event loop, read by
//! anybody.

use super::gate::Incident;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The numbers of one gate. All are zero while there is none.
#[derive(Debug, Default)]
pub struct Statistics {
    connections: AtomicUsize,
    connections_max: AtomicUsize,
    waiting: AtomicUsize,
    waiting_max: AtomicUsize,
    is_stuck: AtomicBool,
    incidents: [AtomicU64; Incident::ALL.len()],
}

impl Statistics {
    /// Client connections that are open.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The most that there may be.
    pub fn connections_max(&self) -> usize {
        self.connections_max.load(Ordering::Relaxed)
    }

    /// Requests that wait for a worker.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The most that may.
    pub fn waiting_max(&self) -> usize {
        self.waiting_max.load(Ordering::Relaxed)
    }

    /// Whether requests wait and no worker has been free for some seconds.
    pub fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }

    /// How often something was refused or given up, with the word for the reason.
    pub fn incidents(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.incidents.iter().map(|count| count.load(Ordering::Relaxed));
        Incident::ALL.into_iter().map(Incident::label).zip(counts)
    }

    pub(super) fn set_limits(&self, connections_max: usize, waiting_max: usize) {
        self.connections_max.store(connections_max, Ordering::Relaxed);
        self.waiting_max.store(waiting_max, Ordering::Relaxed);
    }

    pub(super) fn set(&self, connections: usize, waiting: usize, is_stuck: bool) {
        self.is_stuck.store(is_stuck, Ordering::Relaxed);
        self.connections.store(connections, Ordering::Relaxed);
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    pub(super) fn count(&self, incident: Incident) {
        self.incidents[incident as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_incident_is_counted_under_its_own_word() {
        let statistics = Statistics::default();
        statistics.count(Incident::Gone);
        statistics.count(Incident::Gone);
        statistics.count(Incident::ConnectionLimit);
        let counted: Vec<_> = statistics.incidents().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("connection_limit", 1), ("client_gone", 2)]);
    }
}
