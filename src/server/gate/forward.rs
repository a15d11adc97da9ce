//! Requests go to tiny_http over the links, and responses come back over them.

use super::connection::{Pending, Phase, Watched};
use super::fault::Fault;
use super::head::SLOT_FIELD;
use super::links::{EMPTY_LINE, Owner, Piece};
use super::tally::Incident;
use super::{FIRST_LINK_KEY, Gate, READ_BYTES};
use crate::server::slots::{PROBE_SLOT, Slot};
use polling::PollMode;
use std::borrow::Cow;
use std::io::{ErrorKind, Read, Write};

/// Buffers read in one turn of the loop from links whose responses are large; what else
/// happened waits so long.
const BULK_READS: usize = 2;

impl Gate {
    /// Sends a whole request on its way: to tiny_http when a link is free, else to the queue.
    pub(super) fn submit(
        &mut self,
        key: usize,
        mut request: Box<Pending>,
        wire: Cow<'_, [u8]>,
        body: Cow<'_, [u8]>,
    ) {
        let (limits, now) = (&self.parts.limits, self.now);
        request.submitted = now;
        let Some(connection) = self.connections.get_mut(key) else { return };
        let lane = connection.lane();
        let next = self.queue.is_free_for(lane);
        if let Some(link) = next.then(|| self.links.take_idle(lane.known)).flatten() {
            connection.request = Some(request);
            return self.forward(key, link, &wire, &body);
        }
        request.wire = wire.into_owned();
        request.content = body.into_owned();
        connection.request = Some(request);
        if self.queue.len() >= limits.queue_max {
            self.count(Incident::Overload);
            return self.answer_fault(key, Fault::QueueFull, &[], true);
        }
        connection.enter(Phase::Queued, now);
        self.queue.push(connection.lane(), key);
        let deadline = now + limits.queue_timeout;
        self.set_deadline(key, Some(deadline));
    }

    /// Sends a request over a link.
    fn forward(&mut self, key: usize, index: usize, wire: &[u8], body: &[u8]) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(request) = connection.request.as_deref_mut() else { return };
        let slot = Slot {
            peer: connection.peer,
            version: request.head.version,
            arrived: request.arrived,
            waited: self.now.saturating_duration_since(request.submitted),
            cancel: request.cancel.clone(),
            texts: std::mem::take(&mut request.head.texts),
            withdrawn: None,
        };
        let to_head = request.head.is_head;
        connection.phase = Phase::InFlight(index);
        // tiny_http has a queue too, though a short one.
        let deadline = request.arrived + self.parts.limits.queue_timeout;
        if !connection.half_closed {
            self.set_deadline(key, Some(deadline));
        }
        self.parts.slots.put(index, slot);

        let mut tail = Vec::with_capacity(64);
        // Writing to a Vec cannot fail.
        if !body.is_empty() {
            let _ = write!(tail, "Content-Length: {}\r\n", body.len());
        }
        let _ = write!(tail, "{SLOT_FIELD}: {index}\r\n\r\n");
        let Some(link) = self.links.get_mut(index) else { return };
        link.sent_at = Some(self.now);
        if link.send([wire, &tail, body], Owner::Client(key), to_head).is_err() {
            return self.break_link(index);
        }
        if link.has_unsent() {
            self.watch_link(index, Watched { readable: true, writable: true });
        }
    }

    /// Gives free links the requests that wait.
    fn forward_queued(&mut self) {
        while self.links.has_idle(true) {
            let known_only = !self.links.has_idle(false);
            let Some(key) = self.queue.pop(known_only) else { return };
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let known = connection.lane().known;
            let Some(request) = connection.request.as_deref_mut() else { continue };
            let wire = std::mem::take(&mut request.wire);
            let body = std::mem::take(&mut request.content);
            let Some(index) = self.links.take_idle(known) else { return };
            self.forward(key, index, &wire, &body);
            self.account(key);
        }
    }

    /// Sends on a request that the link's socket did not take at once.
    pub(super) fn flush_link(&mut self, index: usize) {
        let Some(link) = self.links.get_mut(index) else { return };
        if link.flush().is_err() {
            self.break_link(index);
        } else if !link.has_unsent() {
            self.watch_link(index, Watched::READ);
        }
    }

    /// Takes what has come of a response. What is more than one buffer comes after all else
    /// that happened.
    pub(super) fn read_link(&mut self, index: usize) {
        let Some(link) = self.links.get_mut(index) else { return };
        if link.has_begun() || self.read_link_once(index) {
            self.bulk.push(index);
        }
    }

    /// Takes more of large responses, the oldest first: the sooner one is done, the sooner its
    /// worker is free.
    pub(super) fn read_bulk(&mut self) {
        let mut bulk = std::mem::take(&mut self.bulk);
        bulk.sort_unstable_by_key(|index| self.links.get_mut(*index).map(|link| link.sent_at));
        let mut reads = 0;
        for index in bulk.drain(..) {
            while reads < BULK_READS {
                if self.must_pause(index) {
                    self.links_paused = true;
                    let wanted = Watched { readable: false, writable: false };
                    self.watch_link(index, wanted);
                    break;
                }
                reads += 1;
                if !self.read_link_once(index) {
                    break;
                }
            }
        }
        self.bulk = bulk;
    }

    /// Reads one buffer from a link; returns whether it was full, so that there may be more.
    fn read_link_once(&mut self, index: usize) -> bool {
        let mut full = false;
        let mut scratch = std::mem::take(&mut self.scratch);
        if let Some(link) = self.links.get_mut(index) {
            match (&link.socket).read(&mut scratch) {
                Ok(0) => self.break_link(index),
                Ok(length) => {
                    full = length == scratch.len();
                    self.receive_response(index, &scratch[..length]);
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => self.break_link(index),
            }
        }
        self.scratch = scratch;
        full
    }

    /// Whether the response on a link has to wait, because its client is slow and the buffers
    /// are full.
    fn must_pause(&mut self, index: usize) -> bool {
        let Some(Owner::Client(key)) = self.links.get_mut(index).map(|link| link.owner) else {
            return false;
        };
        let waits = self.connections.get(key).is_some_and(|c| !c.output.is_empty());
        waits && !self.make_room(READ_BYTES, Some(key))
    }

    /// Reads on from links that had to wait.
    pub(super) fn resume_links(&mut self) {
        if !std::mem::take(&mut self.links_paused) {
            return;
        }
        for index in 0..self.links.len() {
            let paused = self.links.get_mut(index).is_some_and(|link| !link.watched.readable);
            if paused && self.must_pause(index) {
                self.links_paused = true;
            } else if paused {
                self.watch_link(index, Watched::READ);
            }
        }
    }

    fn receive_response(&mut self, index: usize, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(index) else { return };
        let owner = link.owner;
        let Ok(piece) = link.receive(bytes) else { return self.break_link(index) };
        let (done, closing) = (link.is_done(), link.is_closing());
        if let (Some(piece), Owner::Client(key)) = (piece, owner) {
            self.forward_response(key, &piece, closing);
        }
        if !done {
            return;
        }
        // The phase first: a client that is done with must not touch the link again.
        let client = match owner {
            Owner::Client(key) => self.connections.get_mut(key).map(|connection| {
                connection.phase = Phase::Writing;
                (key, connection.output.is_empty())
            }),
            _ => None,
        };
        if closing {
            self.remove_link(index);
        } else {
            self.links.release(index);
        }
        self.forward_queued();
        if let Some((key, true)) = client {
            self.finish(key);
        }
    }

    /// Gives a client a piece of its response.
    fn forward_response(&mut self, key: usize, piece: &Piece<'_>, closing: bool) {
        let (now, shutting_down) = (self.now, self.closing_at.is_some());
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(head) = piece.head() else {
            return self.send_client(key, &[piece.body()], piece.left);
        };
        connection.since = now;
        connection.transferred = 0;
        connection.keep_alive &= !closing && !shutting_down;
        let version = connection.request.as_ref().map_or(1, |request| request.head.version);
        let persistence: &[u8] = match (connection.keep_alive, version) {
            // tiny_http has said so itself.
            _ if closing => b"",
            (false, _) => b"Connection: close\r\n",
            (true, 0) => b"Connection: keep-alive\r\n",
            (true, _) => b"",
        };
        self.send_client(key, &[head, persistence, EMPTY_LINE, piece.body()], piece.left);
    }

    /// Gives up a link that does not behave as tiny_http should.
    fn break_link(&mut self, index: usize) {
        let Some((owner, begun)) = self.links.get_mut(index).map(|l| (l.owner, l.has_begun()))
        else {
            return;
        };
        self.remove_link(index);
        match owner {
            Owner::Client(_) | Owner::Gone | Owner::Probe => {
                log::error!("a private connection to tiny_http broke and is replaced");
            }
            Owner::Nobody => log::debug!("tiny_http closed an idle private connection"),
        }
        if let Owner::Client(key) = owner {
            if begun {
                // Half a response cannot be taken back; closing tells that it is not whole.
                self.close(key);
            } else {
                self.answer_fault(key, Fault::NoAnswer, &[], true);
            }
        }
    }

    pub(super) fn remove_link(&mut self, index: usize) {
        if let Some(link) = self.links.remove(index) {
            // The descriptor is open still, so it cannot be unknown to the poller.
            let _ = self.poller.delete(&link.socket);
        }
    }

    /// Connects a link that is down, and sends it a probe.
    pub(super) fn connect_links(&mut self) {
        if let Some(index) = self.links.overdue_probe(self.now) {
            self.remove_link(index);
            self.helper.run(self.parts.revive.clone());
        }
        let Some(index) = self.links.connect_next(&self.parts.private, self.now) else { return };
        let Some(link) = self.links.get_mut(index) else { return };
        let event = Watched::READ.event(FIRST_LINK_KEY + index);
        // SAFETY: `remove_link`, the only way out of the links, deletes the socket from the
        // poller before it is closed.
        let added = unsafe { self.poller.add_with_mode(&link.socket, event, PollMode::Level) };
        let probe = format!("GET / HTTP/1.1\r\n{SLOT_FIELD}: {PROBE_SLOT}\r\n\r\n");
        let sent = link.send([probe.as_bytes(), b"", b""], Owner::Probe, false);
        if added.and(sent).is_err() {
            self.remove_link(index);
        }
    }

    fn watch_link(&mut self, index: usize, wanted: Watched) {
        let Some(link) = self.links.get_mut(index) else { return };
        if link.watched != wanted {
            link.watched = wanted;
            let event = wanted.event(FIRST_LINK_KEY + index);
            let watched = self.poller.modify_with_mode(&link.socket, event, PollMode::Level);
            if let Err(error) = watched {
                log::error!("a private connection cannot be watched: {error}");
                self.break_link(index);
            }
        }
    }
}
