//! What happens without an event: deadlines, the bound on memory, and the shutdown.

use super::Gate;
use super::connection::Phase;
use super::fault::Fault;
use super::send::LINGER_AT_SHUTDOWN;
use super::tally::Incident;
use std::time::Duration;

/// Between two walks over all connections: the precision of deadlines.
const SWEEP_INTERVAL: Duration = Duration::from_millis(20);
/// Between two walks when nothing is due.
const SWEEP_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// When requests wait and none has gone to a worker for this long, the service is not ready.
const STUCK_AFTER: Duration = Duration::from_secs(5);
/// How old a transfer must be for its rate to tell anything.
const RATE_MIN_AGE: Duration = Duration::from_millis(20);
/// How long a connection that was opened just before a shutdown may take to send a request.
const FRESH_GRACE: Duration = Duration::from_millis(500);

impl Gate {
    /// Whether the loop has to wake up without an event.
    pub(super) fn has_deadlines(&self) -> bool {
        self.connections.len() > 0 || !self.tally.is_empty() || self.closing_at.is_some()
    }

    /// Counts an incident, to be logged soon.
    pub(super) fn count(&mut self, incident: Incident) {
        self.tally.count(incident);
        self.parts.statistics.count(incident);
        self.next_sweep = self.next_sweep.min(self.now + SWEEP_INTERVAL);
    }

    /// Ends what has taken too long.
    pub(super) fn sweep(&mut self) {
        let waiting = self.queue.len();
        let stuck_at = self.departed_at + STUCK_AFTER;
        let is_stuck = waiting > 0 && self.now >= stuck_at;
        if waiting > 0 && !is_stuck {
            self.next_sweep = self.next_sweep.min(stuck_at);
        }
        self.parts.statistics.set(self.connections.len(), waiting, is_stuck);
        self.resume_accepting();
        if self.now < self.next_sweep {
            return;
        }
        // What is done below may set earlier deadlines, which bring it forward again.
        self.next_sweep = self.now + SWEEP_INTERVAL_MAX;
        let mut next = self.tally.tell(self.now);
        for key in 0..self.connections.bound() {
            let Some(deadline) = self.connections.get(key).and_then(|c| c.deadline) else {
                continue;
            };
            if deadline <= self.now {
                self.expire(key);
            } else {
                next = Some(next.map_or(deadline, |next| next.min(deadline)));
            }
        }
        let next = [next, self.closing_at].into_iter().flatten().min();
        let next = next.unwrap_or(self.next_sweep).max(self.now + SWEEP_INTERVAL);
        self.next_sweep = self.next_sweep.min(next);
    }

    /// The deadline of a connection's phase has passed.
    fn expire(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.deadline = None;
        match connection.phase {
            Phase::Idle | Phase::Lingering => self.close(key),
            Phase::Head => self.expire_request(key, Fault::HeadTimeout),
            Phase::Body => self.expire_request(key, Fault::BodyTimeout),
            Phase::Queued | Phase::InFlight(_) if connection.half_closed => self.abort(key),
            Phase::Queued => {
                let lane = connection.lane();
                self.queue.remove(lane, key);
                self.give_up_waiting(key);
            }
            Phase::InFlight(ticket) => {
                // A worker that has begun may take its time.
                if self.withdraw(key, ticket) {
                    self.give_up_waiting(key);
                }
            }
            Phase::Writing => {
                self.count(Incident::SlowReader);
                self.abort(key);
            }
        }
    }

    fn give_up_waiting(&mut self, key: usize) {
        self.count(Incident::Overload);
        self.answer_fault(key, Fault::QueueTimeout, &[], true);
    }

    fn expire_request(&mut self, key: usize, fault: Fault) {
        self.count(Incident::SlowSender);
        let Some(connection) = self.connections.get_mut(key) else { return };
        let raw = std::mem::take(&mut connection.input);
        self.answer_fault(key, fault, &raw, false);
    }

    /// Keeps the buffers within their bounds after the connection `key` has got some.
    pub(super) fn relieve(&mut self, key: usize) {
        let share = share_of(self.parts.limits.buffer_max_bytes);
        let Some(source) = self.connections.get(key).map(|connection| connection.source) else {
            return;
        };
        if self.bytes_of(source) <= share && self.make_room(0, None) {
            return;
        }
        // Its address has more than its share, or nobody else can make room.
        let Some(connection) = self.connections.get_mut(key) else { return };
        if matches!(connection.phase, Phase::Head | Phase::Body) && connection.accounted > 0 {
            let raw = std::mem::take(&mut connection.input);
            self.refuse_request(key, Fault::BuffersFull, &raw);
        }
    }

    /// Makes room for responses that workers hold because there is none.
    pub(super) fn relieve_pressed(&mut self) {
        for (ticket, bytes) in self.parts.flights.take_pressed() {
            let owner = self.departures.get(ticket.place).filter(|d| d.ticket == ticket);
            let Some(key) = owner.and_then(|departure| departure.owner) else { continue };
            let Some(connection) = self.connections.get_mut(key) else { continue };
            connection.pressed = bytes;
            self.make_room(bytes, Some(key));
        }
    }

    /// Makes room for that many bytes by disconnecting those who hold the most, except one;
    /// returns whether there is room now.
    pub(super) fn make_room(&mut self, bytes: usize, except: Option<usize>) -> bool {
        while self.parts.flights.buffered() + bytes > self.parts.limits.buffer_max_bytes {
            let now = self.now;
            let largest = self
                .connections
                .iter()
                .filter(|(key, c)| {
                    Some(*key) != except
                        && c.is_slow_transfer()
                        && now.saturating_duration_since(c.since) >= RATE_MIN_AGE
                })
                // Of two that hold as much, the one that is slower.
                .max_by_key(|(_, c)| (c.held(), std::cmp::Reverse(c.rate(now))))
                .map(|(key, _)| key);
            let Some(key) = largest else { return false };
            self.count(Incident::Evicted);
            self.abort(key);
        }
        true
    }

    /// Takes no more connections, and ends those that wait for nothing.
    pub(super) fn begin_shutdown(&mut self) {
        if self.closing_at.is_some() {
            return;
        }
        self.stop_accepting();
        let end = self.now + self.parts.shutdown_timeout;
        self.closing_at = Some(end);
        self.parts.flights.close();
        self.collect_landed();
        self.next_sweep = self.now;
        for key in 0..self.connections.bound() {
            // A request may have arrived while the shutdown began.
            if self.connections.get(key).is_some_and(|c| c.phase == Phase::Idle) {
                self.read_client(key);
            }
            match self.connections.get(key) {
                Some(c) if c.phase == Phase::Idle && c.used => self.close(key),
                Some(c) if c.phase == Phase::Idle => {
                    self.set_deadline(key, Some(self.now + FRESH_GRACE));
                }
                Some(c) if c.phase == Phase::Lingering => {
                    self.set_deadline(key, Some(self.now + LINGER_AT_SHUTDOWN));
                }
                _ => {}
            }
        }
    }

    /// Whether a shutdown has begun and nobody is left, or its time is over.
    pub(super) fn is_done(&self) -> bool {
        self.closing_at.is_some_and(|end| self.connections.len() == 0 || end <= self.now)
    }
}

/// What one address may hold of the buffers.
fn share_of(all: usize) -> usize {
    all / 4 * 3
}
