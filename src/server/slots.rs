//! What the gate tells a worker about a request beside the request itself, within the
//! process: where no client can forge it.

use crate::cancel::Cancel;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a request of the gate itself names instead of a slot: it asks for any answer.
pub(super) const PROBE_SLOT: &str = "probe";

/// One slot a private connection; the request on it names the slot in a field that the gate
/// takes out of what clients send.
#[derive(Debug)]
pub(super) struct Slots(Vec<Mutex<Option<Slot>>>);

/// What is known of a request in flight.
#[derive(Debug)]
pub(super) struct Slot {
    /// The client's address; `None` on a Unix socket.
    pub(super) peer: Option<IpAddr>,
    /// The minor version of HTTP/1 that the client speaks.
    pub(super) version: u8,
    /// When the request began to arrive.
    pub(super) arrived: Instant,
    /// How long it waited for a worker.
    pub(super) waited: Duration,
    /// Cancelled when the client leaves.
    pub(super) cancel: Arc<Cancel>,
    /// Values of fields that tiny_http cannot carry, with the index of their field.
    pub(super) texts: Vec<(usize, String)>,
    /// The status that the gate has answered, when it did so before a worker had begun: the
    /// worker only reports the request.
    pub(super) withdrawn: Option<u16>,
}

impl Slots {
    pub(super) fn new(count: usize) -> Slots {
        Slots((0..count).map(|_| Mutex::new(None)).collect())
    }

    /// The number of slots.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Fills a slot for the worker that gets the request.
    pub(super) fn put(&self, index: usize, slot: Slot) {
        if let Some(mut place) = self.lock(index) {
            *place = Some(slot);
        }
    }

    /// Empties the slot of that name, when there is one and it is filled.
    pub(super) fn take(&self, name: &str) -> Option<Slot> {
        self.lock(name.parse().ok()?)?.take()
    }

    /// Withdraws a request that the gate answers with `status`; returns false when a worker
    /// has begun with it.
    pub(super) fn withdraw(&self, index: usize, status: u16) -> bool {
        let Some(mut slot) = self.lock(index) else { return false };
        match slot.as_mut() {
            Some(slot) => {
                slot.withdrawn = Some(status);
                true
            }
            None => false,
        }
    }

    fn lock(&self, index: usize) -> Option<MutexGuard<'_, Option<Slot>>> {
        Some(self.0.get(index)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
