//! The state of one client connection. What is idle holds no buffer.

use super::body::BodyReader;
use super::head::{Head, Scanner};
use super::queue::{Lane, Source};
use crate::cancel::Cancel;
use crate::server::flights::Ticket;
use crate::server::output::Output;
use polling::Event;
use socket2::Socket;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where a connection is in the life of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between requests.
    Idle,
    /// A head has begun to arrive.
    Head,
    /// The body arrives.
    Body,
    /// The request is whole and waits for a worker to be free.
    Queued,
    /// The request is with the workers, who write to the socket.
    InFlight(Ticket),
    /// The response is whole and being written to the client.
    Writing,
    /// Everything is written and the sending side is closed; what still arrives is thrown
    /// away, because closing at once could take the response from the client's kernel.
    Lingering,
}

/// A client connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Lent to a worker with each request.
    pub(super) socket: Arc<Socket>,
    pub(super) peer: Option<IpAddr>,
    pub(super) source: Source,
    pub(super) phase: Phase,
    pub(super) scanner: Scanner,
    /// What has arrived and is not consumed: a head in pieces, or the requests that follow.
    pub(super) input: Vec<u8>,
    /// The current request, from its head to its response.
    pub(super) request: Option<Box<Pending>>,
    pub(super) output: Output,
    /// When the phase takes too long.
    pub(super) deadline: Option<Instant>,
    /// When the current transfer began: head, body or response.
    pub(super) since: Instant,
    /// Bytes of the current transfer so far.
    pub(super) transferred: u64,
    /// Whether the connection serves another request after this one.
    pub(super) keep_alive: bool,
    /// Whether the client has closed its sending side.
    pub(super) half_closed: bool,
    /// Whether a request was answered on it.
    pub(super) used: bool,
    /// What the poller watches.
    pub(super) watched: Watched,
    /// Bytes of its buffers in the gate's account.
    pub(super) accounted: usize,
    /// Bytes of its response that a worker holds, because the buffers are full.
    pub(super) pressed: usize,
}

/// What the poller is asked about a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) readable: bool,
    pub(super) writable: bool,
}

impl Watched {
    pub(super) const READ: Watched = Watched { readable: true, writable: false };

    pub(super) fn event(self, key: usize) -> Event {
        Event::new(key, self.readable, self.writable)
    }
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) head: Head,
    /// The normalised head. Empty when it was sent from the gate's own buffer.
    pub(super) wire: Vec<u8>,
    pub(super) body: BodyReader,
    pub(super) content: Vec<u8>,
    /// Bytes of the body so far.
    pub(super) received: u64,
    /// Whether the body exceeds its limit and is only skipped.
    pub(super) too_large: bool,
    pub(super) arrived: Instant,
    /// When it was whole and could have gone to a worker.
    pub(super) submitted: Instant,
    pub(super) cancel: Arc<Cancel>,
}

impl Connection {
    pub(super) fn new(socket: Socket, peer: Option<IpAddr>, now: Instant) -> Connection {
        Connection {
            socket: Arc::new(socket),
            peer,
            source: Source::of(peer),
            phase: Phase::Idle,
            scanner: Scanner::default(),
            input: Vec::new(),
            request: None,
            output: Output::default(),
            deadline: None,
            since: now,
            transferred: 0,
            keep_alive: true,
            half_closed: false,
            used: false,
            watched: Watched::READ,
            accounted: 0,
            pressed: 0,
        }
    }

    /// Begins a phase with a transfer of its own.
    pub(super) fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
        self.transferred = 0;
    }

    /// Where its request waits for a worker.
    pub(super) fn lane(&self) -> Lane {
        Lane { source: self.source, known: self.used }
    }

    /// Bytes of memory in its buffers.
    pub(super) fn buffered(&self) -> usize {
        let request = self.request.as_ref();
        let pending = request.map_or(0, |r| r.wire.capacity() + r.content.capacity());
        self.input.capacity() + self.output.memory() + pending
    }

    /// Bytes of memory that it holds, also those in the hands of a worker.
    pub(super) fn held(&self) -> usize {
        self.accounted + self.pressed
    }

    /// Whether it holds memory because of its client's pace.
    pub(super) fn is_slow_transfer(&self) -> bool {
        match self.phase {
            Phase::Head | Phase::Body => self.accounted > 0,
            Phase::InFlight(_) => self.pressed > 0,
            Phase::Writing => !self.output.is_empty(),
            Phase::Idle | Phase::Queued | Phase::Lingering => false,
        }
    }

    /// Bytes a second of the current transfer.
    pub(super) fn rate(&self, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.since).max(Duration::from_millis(1));
        self.transferred.saturating_mul(1000) / u64::try_from(millis.as_millis()).unwrap_or(1)
    }
}
