//! Requests go to the workers, and the connections come back from them.

use super::connection::{Pending, Phase, Watched};
use super::fault::Fault;
use super::tally::Incident;
use super::{FIRST_LINK_KEY, Gate};
use crate::server::flights::{Landing, Order, Outcome};
use polling::PollMode;
use std::borrow::Cow;
use std::io::{ErrorKind, Read};
use std::sync::Arc;

/// The largest buffer of a head that is kept for the next one.
const KEPT_WIRE_BYTES: usize = 8 << 10;

impl Gate {
    /// Sends a whole request on its way: to the workers when there is a place, else to the
    /// queue.
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
        self.pace.look(now);
        let next = self.links.are_up()
            && self.queue.is_free_for(lane)
            && self.departures.is_below(self.pace.bound(), now);
        if let Some(place) = next.then(|| self.departures.take_idle(lane.known)).flatten() {
            connection.request = Some(request);
            let wire = match wire {
                Cow::Borrowed(bytes) => {
                    let mut wire = self.spare_wires.pop().unwrap_or_default();
                    wire.extend_from_slice(bytes);
                    wire
                }
                Cow::Owned(wire) => wire,
            };
            return self.depart(key, place, wire, body.into_owned());
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

    /// Gives a request to the workers, and lends them its socket.
    fn depart(&mut self, key: usize, place: usize, wire: Vec<u8>, body: Vec<u8>) {
        let closing = self.closing_at.is_some();
        let Some(connection) = self.connections.get_mut(key) else { return };
        let lane = connection.lane();
        let Some(request) = connection.request.as_deref_mut() else { return };
        let order = Order {
            socket: connection.output.is_empty().then(|| connection.socket.clone()),
            peer: connection.peer,
            version: request.head.version,
            keep_alive: connection.keep_alive && !closing,
            wire,
            texts: std::mem::take(&mut request.head.texts),
            body,
            arrived: request.arrived,
            waited: self.now.saturating_duration_since(request.submitted),
            cancel: request.cancel.clone(),
        };
        // Somebody waits for the end of these; the others are noticed with what comes next.
        let awaited = !order.keep_alive || connection.half_closed || !connection.input.is_empty();
        // tiny_http has a queue too, though a short one.
        let deadline = request.arrived + self.parts.limits.queue_timeout;
        let half_closed = connection.half_closed;
        let ticket = self.parts.flights.depart(place, order, awaited);
        connection.phase = Phase::InFlight(ticket);
        self.departed_at = self.now;
        self.departures.depart(ticket, key, lane.known, self.now);
        if !half_closed {
            self.set_deadline(key, Some(deadline));
        }
        self.links.write(ticket);
    }

    /// Gives the workers requests that wait.
    pub(super) fn forward_queued(&mut self) {
        while self.queue.len() > 0
            && self.links.are_up()
            && self.departures.has_idle(true)
            && self.departures.is_below(self.pace.bound(), self.now)
        {
            let known_only = !self.departures.has_idle(false);
            let Some(key) = self.queue.pop(known_only) else { return };
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let known = connection.lane().known;
            let Some(request) = connection.request.as_deref_mut() else { continue };
            let wire = std::mem::take(&mut request.wire);
            let body = std::mem::take(&mut request.content);
            let Some(place) = self.departures.take_idle(known) else { return };
            self.depart(key, place, wire, body);
            self.account(key);
        }
    }

    /// Sends the requests that were written to the links.
    pub(super) fn flush_links(&mut self) {
        match self.links.flush() {
            Ok(full) => full.for_each(|index| self.watch_link(index, true)),
            Err(_) => self.break_links(),
        }
    }

    /// Something happened on a link: it takes more, or it broke, for tiny_http has nothing to
    /// say on it.
    pub(super) fn on_link(&mut self, index: usize, readable: bool) {
        let Some(link) = self.links.get_mut(index) else { return };
        if readable {
            match (&link.socket).read(&mut [0; 64]) {
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                _ => return self.break_links(),
            }
        }
        self.watch_link(index, false);
        self.flush_links();
    }

    /// Takes back what the workers are done with.
    pub(super) fn collect_landed(&mut self) {
        self.relieve_pressed();
        let mut landed = std::mem::take(&mut self.landed);
        self.parts.flights.take_landed(&mut landed);
        if !landed.is_empty() {
            for place in landed.drain(..) {
                if let Some(landing) = self.parts.flights.collect(place) {
                    self.land(place, landing);
                }
            }
            self.forward_queued();
        }
        self.landed = landed;
    }

    /// A worker has given a connection back.
    fn land(&mut self, place: usize, landing: Landing) {
        let Landing { outcome, keep_alive, wire, at } = landing;
        self.keep_wire(wire);
        let owner = self.departures.release(place);
        let Some((key, connection)) =
            owner.and_then(|key| Some((key, self.connections.get_mut(key)?)))
        else {
            if let Outcome::Rest(output) = outcome {
                self.parts.flights.account(output.memory(), 0);
            }
            return;
        };
        connection.keep_alive &= keep_alive;
        connection.pressed = 0;
        connection.phase = Phase::Writing;
        match outcome {
            // A withdrawn request has no owner.
            Outcome::Sent | Outcome::Withdrawn => self.finish(key, at),
            Outcome::Rest(mut output) => {
                connection.enter(Phase::Writing, at);
                connection.accounted += output.memory();
                if let Some(holding) = self.sources.get_mut(&connection.source) {
                    holding.bytes += output.memory();
                }
                output.put_behind(std::mem::take(&mut connection.output));
                connection.output = output;
                // It may have made room since.
                self.flush_client(key);
            }
            Outcome::Gone => {
                self.count(Incident::Gone);
                self.close(key);
            }
            Outcome::TooSlow => {
                self.count(Incident::SlowReader);
                self.close(key);
            }
            Outcome::Unanswered => self.answer_fault(key, Fault::NoAnswer, &[], keep_alive),
            // Half a response cannot be taken back; closing tells that it is not whole.
            Outcome::Broken => self.close(key),
        }
    }

    fn keep_wire(&mut self, mut wire: Vec<u8>) {
        let kept = self.spare_wires.len() < self.parts.flights.len();
        if kept && (1..=KEPT_WIRE_BYTES).contains(&wire.capacity()) {
            wire.clear();
            self.spare_wires.push(wire);
        }
    }

    /// Lets the gate notice when the worker that has a connection is done with it.
    pub(super) fn await_landing(&mut self, key: usize) {
        if let Some(connection) = self.connections.get(key)
            && let Phase::InFlight(ticket) = connection.phase
        {
            self.parts.flights.await_landing(ticket);
        }
    }

    /// Gives up all links. What no worker has begun waits again.
    fn break_links(&mut self) {
        log::error!("the private connection to tiny_http broke and is replaced");
        for link in self.links.drain() {
            // The descriptor is open still, so it cannot be unknown to the poller.
            let _ = self.poller.delete(&link.socket);
        }
        for departure in self.departures.all() {
            let order = self.parts.flights.withdraw(departure.ticket);
            if !self.parts.flights.forget(departure.ticket) {
                continue;
            }
            let owner = self.departures.release(departure.ticket.place);
            if let (Some(key), Some(order)) = (owner, order) {
                self.queue_again(key, order);
            }
        }
    }

    fn queue_again(&mut self, key: usize, order: Order) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(request) = connection.request.as_deref_mut() else { return };
        request.wire = order.wire;
        request.content = order.body;
        request.head.texts = order.texts;
        connection.phase = Phase::Queued;
        self.queue.push(connection.lane(), key);
        self.account(key);
    }

    /// Takes the links to a new tiny_http when there are none.
    pub(super) fn connect_links(&mut self) {
        let (private, revive) = (self.parts.private.clone(), self.parts.revive.clone());
        let helper = &self.helper;
        let connected = self.links.connect(&self.parts.private, self.now, || {
            helper.run(Arc::new(move || {
                if private.is_wanted() {
                    revive();
                }
            }));
        });
        for index in 0..connected {
            let Some(link) = self.links.get_mut(index) else { continue };
            let event = Watched::READ.event(FIRST_LINK_KEY + index);
            // SAFETY: `break_links`, the only way out of the links, deletes the socket from
            // the poller before it is closed.
            let added = unsafe { self.poller.add_with_mode(&link.socket, event, PollMode::Level) };
            if let Err(error) = added {
                log::error!("a private connection cannot be watched: {error}");
            }
        }
        if connected > 0 {
            self.forward_queued();
        }
    }

    fn watch_link(&mut self, index: usize, writable: bool) {
        let Some(link) = self.links.get_mut(index) else { return };
        let wanted = Watched { writable, ..Watched::READ };
        if link.watched != wanted {
            link.watched = wanted;
            let event = wanted.event(FIRST_LINK_KEY + index);
            if let Err(error) = self.poller.modify_with_mode(&link.socket, event, PollMode::Level) {
                log::error!("a private connection cannot be watched: {error}");
                self.break_links();
            }
        }
    }
}
