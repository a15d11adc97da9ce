//! The private connections to tiny_http, which carry requests only, many at a time; and which
//! requests are with the workers.

use super::connection::Watched;
use super::pace::SLOW;
use super::private::PrivateSocket;
use crate::server::flights::Ticket;
use socket2::Socket;
use std::io;
use std::time::{Duration, Instant};

/// Requests beside one a worker, so that a worker that is done finds its next one waiting.
pub(super) const SPARE_REQUESTS: usize = 2;
/// One worker of so many is kept for connections that were answered before.
const KEPT_WORKERS_DIVISOR: usize = 4;
/// Between two looks for connections to a new tiny_http.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(50);

/// A private connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: Socket,
    pub(super) watched: Watched,
    /// Requests that are not sent yet.
    unsent: Vec<u8>,
}

impl Link {
    /// Sends the requests that were written; returns whether all are sent.
    fn flush(&mut self) -> io::Result<bool> {
        match self.socket.send(&self.unsent) {
            Ok(sent) => drop(self.unsent.drain(..sent)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(self.unsent.is_empty())
    }
}

/// The connections to one tiny_http.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: Vec<Link>,
    /// The link that gets the next request.
    next: usize,
    next_attempt: Option<Instant>,
}

impl Links {
    /// Whether requests can be sent.
    pub(super) fn are_up(&self) -> bool {
        !self.links.is_empty()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Link> {
        self.links.get_mut(index)
    }

    /// Writes a request, to be sent with the next flush.
    pub(super) fn write(&mut self, ticket: Ticket) {
        self.next = (self.next + 1) % self.links.len().max(1);
        if let Some(link) = self.links.get_mut(self.next) {
            link.unsent.extend_from_slice(b"GET ");
            ticket.write_target(&mut link.unsent);
            link.unsent.extend_from_slice(b" HTTP/1.1\r\n\r\n");
        }
    }

    /// Sends what was written; returns each link that had something with whether all of it is
    /// sent.
    ///
    /// # Errors
    /// A link is broken.
    pub(super) fn flush(&mut self) -> io::Result<impl Iterator<Item = usize> + use<>> {
        let mut full = Vec::new();
        for (index, link) in self.links.iter_mut().enumerate() {
            if !link.unsent.is_empty() && !link.flush()? {
                full.push(index);
            }
        }
        Ok(full.into_iter())
    }

    /// Takes new connections when there are none; returns how many there are then. `revive`
    /// is called when none have been made.
    pub(super) fn connect(
        &mut self,
        socket: &PrivateSocket,
        now: Instant,
        revive: impl FnOnce(),
    ) -> usize {
        if self.are_up() || self.next_attempt.is_some_and(|next| now < next) {
            return 0;
        }
        let link = |stream: std::os::unix::net::UnixStream| Link {
            socket: stream.into(),
            watched: Watched::READ,
            unsent: Vec::new(),
        };
        self.links = socket.take().into_iter().map(link).collect();
        self.next_attempt = None;
        if !self.are_up() {
            revive();
            self.next_attempt = Some(now + RECONNECT_INTERVAL);
        }
        self.links.len()
    }

    /// Takes all links out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Link> + '_ {
        self.links.drain(..)
    }

    /// When the links need attention without an event.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next_attempt
    }
}

/// A request that is with the workers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure {
    pub(super) ticket: Ticket,
    /// The client connection whose it is; `None` when the client has left.
    pub(super) owner: Option<usize>,
    /// Whether the connection was not answered before.
    is_new: bool,
    /// When it went to the workers.
    at: Instant,
}

/// The requests that are with the workers, by their place.
#[derive(Debug)]
pub(super) struct Departures {
    places: Vec<Option<Departure>>,
    idle: Vec<usize>,
    /// How many are of connections that were not answered before.
    new_in_flight: usize,
}

impl Departures {
    /// For that many places, some of which are taken still by requests of a gate before this.
    pub(super) fn new(count: usize, is_taken: impl Fn(usize) -> bool) -> Departures {
        Departures {
            places: vec![None; count],
            idle: (0..count).rev().filter(|place| !is_taken(*place)).collect(),
            new_in_flight: 0,
        }
    }

    /// A free place for a request of a connection that was answered before or not.
    pub(super) fn take_idle(&mut self, known: bool) -> Option<usize> {
        if self.has_idle(known) { self.idle.pop() } else { None }
    }

    /// Whether a place is free for such a request.
    pub(super) fn has_idle(&self, known: bool) -> bool {
        !self.idle.is_empty() && (known || self.new_in_flight < self.new_max())
    }

    /// How many places those that were not answered before may hold: a burst of them must not
    /// hold all workers.
    fn new_max(&self) -> usize {
        let workers = self.places.len() - SPARE_REQUESTS;
        match workers / KEPT_WORKERS_DIVISOR {
            0 => self.places.len(),
            kept => workers - kept,
        }
    }

    /// Notes a request that goes to the workers.
    pub(super) fn depart(&mut self, ticket: Ticket, owner: usize, known: bool, at: Instant) {
        self.new_in_flight += usize::from(!known);
        self.places[ticket.place] =
            Some(Departure { ticket, owner: Some(owner), is_new: !known, at });
    }

    /// Whether one more request may go to the workers when so many may be worked on at once.
    pub(super) fn is_below(&self, bound: Option<usize>, now: Instant) -> bool {
        bound.is_none_or(|bound| {
            let all = self.places.len() - self.idle.len();
            all < bound + SPARE_REQUESTS || all - self.slow(now) < bound + SPARE_REQUESTS
        })
    }

    /// How many requests that are with the workers are slow.
    pub(super) fn slow(&self, now: Instant) -> usize {
        self.places.iter().flatten().filter(|departure| departure.at + SLOW <= now).count()
    }

    /// When the next request that is with the workers begins to be slow.
    pub(super) fn next_slow(&self, now: Instant) -> Option<Instant> {
        let slow = self.places.iter().flatten().map(|departure| departure.at + SLOW);
        slow.filter(|at| *at > now).min()
    }

    /// The request at a place.
    pub(super) fn get(&self, place: usize) -> Option<Departure> {
        self.places.get(place).copied().flatten()
    }

    /// Notes that the client of a request has left, or was answered.
    pub(super) fn disown(&mut self, place: usize) {
        if let Some(Some(departure)) = self.places.get_mut(place) {
            departure.owner = None;
        }
    }

    /// Frees a place; returns whose request it had.
    pub(super) fn release(&mut self, place: usize) -> Option<usize> {
        let departure = self.places.get_mut(place)?.take();
        self.idle.push(place);
        let departure = departure?;
        self.new_in_flight -= usize::from(departure.is_new);
        departure.owner
    }

    /// All requests that are with the workers.
    pub(super) fn all(&self) -> Vec<Departure> {
        self.places.iter().copied().flatten().collect()
    }

    /// From how many landings on somebody who waits can go on, before a worker has nothing to
    /// do.
    pub(super) fn landings_wanted(&self) -> usize {
        if self.idle.is_empty() { SPARE_REQUESTS } else { 1 }
    }
}
