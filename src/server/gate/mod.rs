//! The gate: one thread with an event loop that owns all client connections, and gives
//! the workers whole, checked and normalised requests, by way of tiny_http. With each request
//! it lends the client's socket, to which the worker writes the response.
//!
//! tiny_http has no limits and no deadlines, and gives each connection a thread; behind the
//! gate it sees one fast, well-behaved client. Everything is level-triggered and nothing
//! blocks: the rooms below each hold one part of the loop.
//!
//! | room | its part |
//! | --- | --- |
//! | `accept` | new connections, and their limits |
//! | `receive` | bytes from clients become requests |
//! | `forward` | requests go to the workers, connections come back |
//! | `send` | what is left of responses, and the gate's own errors, go to clients |
//! | `sweep` | deadlines, memory, shutdown |

mod accept;
pub mod body;
mod connection;
mod fault;
mod forward;
pub mod head;
mod helper;
mod links;
mod pace;
mod private;
mod queue;
mod receive;
mod send;
mod sweep;
mod table;
mod tally;
mod wait;

pub use fault::Fault;
pub(super) use private::PrivateSocket;
pub(super) use tally::Incident;

use super::flights::Flights;
use super::limits::Limits;
use super::listener::Listener;
use super::statistics::Statistics;
use super::{Handler, Shutdown};
use connection::{Connection, Watched};
use helper::Helper;
use links::{Departures, Links};
use pace::Pace;
use polling::{PollMode, Poller};
use queue::{FairQueue, Source};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::Table;
use tally::Tally;
use wait::{Happened, Waiter};

/// Keys of the poller: the public listener, what wakes the gate, then the links, then the
/// client connections.
const LISTENER_KEY: usize = 0;
const BELL_KEY: usize = 1;
const FIRST_LINK_KEY: usize = 2;
const FIRST_CLIENT_KEY: usize = 1 << 16;

/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 << 10;

/// What the gate is built from.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) listener: Arc<Listener>,
    pub(super) private: Arc<PrivateSocket>,
    /// Starts tiny_http anew if it does not accept any more.
    pub(super) revive: Arc<dyn Fn() + Send + Sync>,
    pub(super) flights: Arc<Flights>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) statistics: Arc<Statistics>,
    pub(super) limits: Limits,
    pub(super) body_max_bytes: usize,
    pub(super) shutdown: Shutdown,
    pub(super) shutdown_timeout: Duration,
}

/// How many requests may be with that many workers.
pub(super) fn places(workers: usize) -> usize {
    workers.max(1) + links::SPARE_REQUESTS
}

/// Serves clients until a shutdown is begun and done. A panic in the event loop costs the
/// clients that are connected, not the service.
///
/// # Errors
/// The system refuses what the event loop needs.
pub(super) fn serve(parts: &Parts) -> io::Result<()> {
    loop {
        let mut gate = Gate::new(parts.clone())?;
        match catch_unwind(AssertUnwindSafe(|| gate.run())) {
            Ok(ended) => return ended,
            Err(_) => log::error!("the gate panicked and is started anew"),
        }
    }
}

/// What an address holds.
#[derive(Debug, Default, Clone, Copy)]
struct Holding {
    connections: usize,
    /// Bytes in their buffers.
    bytes: usize,
}

/// The state of the event loop.
pub(super) struct Gate {
    parts: Parts,
    poller: Arc<Poller>,
    connections: Table<Connection>,
    /// What each address holds.
    sources: HashMap<Source, Holding>,
    links: Links,
    departures: Departures,
    pace: Pace,
    /// Places that workers are done with; empty between uses.
    landed: Vec<usize>,
    /// Buffers of heads, to be used again.
    spare_wires: Vec<Vec<u8>>,
    queue: FairQueue,
    /// Connections whose next request has arrived already.
    ready: VecDeque<usize>,
    helper: Helper,
    tally: Tally,
    /// Whether it was said that a client speaks HTTP/2.
    told_http_2: bool,
    accepting: accept::Accepting,
    /// For reading from sockets.
    scratch: Vec<u8>,
    /// For the normalised head of the request at hand.
    wire: Vec<u8>,
    now: Instant,
    next_sweep: Instant,
    /// When a request last went to a worker.
    departed_at: Instant,
    /// When a shutdown that has begun ends for those that are not done.
    closing_at: Option<Instant>,
}

impl Gate {
    /// Makes the event loop ready.
    ///
    /// # Errors
    /// The system refuses a poller or a thread.
    pub(super) fn new(parts: Parts) -> io::Result<Gate> {
        let poller = Arc::new(Poller::new()?);
        let waker = poller.clone();
        parts.shutdown.on_begin(move || {
            // Without a wake-up the loop sees the shutdown at its next event.
            let _ = waker.notify();
        });
        parts.listener.set_nonblocking()?;
        parts.flights.bell().attach(&poller, BELL_KEY)?;
        parts.flights.abandon_all();
        let now = Instant::now();
        Ok(Gate {
            links: Links::default(),
            departures: Departures::new(parts.flights.len(), |place| parts.flights.is_held(place)),
            pace: Pace::new(now),
            landed: Vec::new(),
            spare_wires: Vec::new(),
            helper: Helper::start(parts.handler.clone())?,
            accepting: accept::Accepting::new(),
            parts,
            poller,
            connections: Table::default(),
            sources: HashMap::new(),
            queue: FairQueue::default(),
            ready: VecDeque::new(),
            tally: Tally::new(),
            told_http_2: false,
            scratch: vec![0; READ_BYTES],
            wire: Vec::with_capacity(4096),
            now,
            next_sweep: now,
            departed_at: now,
            closing_at: None,
        })
    }

    /// Serves clients until a shutdown is begun and done.
    ///
    /// # Errors
    /// The poller fails, which it does not do while its arguments are sound.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let mut waiter = Waiter::new();
        self.start_accepting()?;
        loop {
            if self.parts.shutdown.has_begun() {
                self.begin_shutdown();
            }
            self.sweep();
            if self.is_done() {
                return Ok(());
            }
            self.turn(&mut waiter)?;
        }
    }

    /// Waits for events, and handles them.
    fn turn(&mut self, waiter: &mut Waiter) -> io::Result<()> {
        self.connect_links();
        self.flush_links();
        let (waiting, bound) = (self.queue.len() > 0, self.pace.bound());
        let landings = waiting.then(|| self.departures.landings_wanted());
        self.parts.flights.wake_from(landings);
        let slow = |bound| self.departures.slow(self.now) + bound;
        self.parts.flights.roster().set_active_max(bound.map_or(usize::MAX, slow));
        let timeout = self.timeout();
        let sleeps = self.parts.flights.may_sleep();
        waiter.wait(&self.poller, if sleeps { timeout } else { Some(Duration::ZERO) })?;
        self.parts.flights.awake();
        self.now = Instant::now();
        // First, because what comes next on a connection finds it given back then.
        self.collect_landed();
        for event in waiter.events() {
            self.dispatch(event);
        }
        self.collect_landed();
        while let Some(key) = self.ready.pop_front() {
            self.receive_buffered(key);
        }
        self.forward_queued();
        Ok(())
    }

    fn dispatch(&mut self, event: Happened) {
        match event.key {
            LISTENER_KEY => self.accept(),
            BELL_KEY => {}
            key if key < FIRST_CLIENT_KEY => self.on_link(key - FIRST_LINK_KEY, event.readable),
            key => self.on_client(key - FIRST_CLIENT_KEY, event),
        }
    }

    /// How long the loop may sleep.
    fn timeout(&self) -> Option<Duration> {
        let links = self.links.next_deadline();
        let sweep = self.has_deadlines().then_some(self.next_sweep);
        let waiting = self.queue.len() > 0 || self.parts.flights.roster().is_short();
        let room = self.pace.bound().filter(|_| waiting);
        let room = room.and_then(|_| self.departures.next_slow(self.now));
        let next = [links, sweep, self.accepting.retry_at(), room].into_iter().flatten().min();
        next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn on_client(&mut self, key: usize, event: Happened) {
        if event.gone {
            return self.abort(key);
        }
        if event.writable {
            self.flush_client(key);
        }
        if event.readable {
            self.read_client(key);
        }
    }

    /// Asks the poller to watch a client for what it is wanted for now.
    fn watch_client(&mut self, key: usize, wanted: Watched) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.watched != wanted {
            connection.watched = wanted;
            let event = wanted.event(FIRST_CLIENT_KEY + key);
            let watched = self.poller.modify_with_mode(&*connection.socket, event, PollMode::Level);
            if let Err(error) = watched {
                log::error!("a connection cannot be watched: {error}");
                self.abort(key);
            }
        }
    }

    /// Brings the account of a connection's buffers up to date.
    fn account(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key) {
            let bytes = connection.buffered();
            if bytes != connection.accounted {
                self.parts.flights.account(connection.accounted, bytes);
                if let Some(holding) = self.sources.get_mut(&connection.source) {
                    holding.bytes = (holding.bytes + bytes).saturating_sub(connection.accounted);
                }
                connection.accounted = bytes;
            }
        }
    }

    /// Bytes in the buffers of an address's connections.
    fn bytes_of(&self, source: Source) -> usize {
        self.sources.get(&source).map_or(0, |holding| holding.bytes)
    }

    /// Sets when the current phase of a connection takes too long.
    fn set_deadline(&mut self, key: usize, deadline: Option<Instant>) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.deadline = deadline;
            if let Some(deadline) = deadline {
                self.next_sweep = self.next_sweep.min(deadline);
            }
        }
    }

    /// Takes a connection out of everything and closes it.
    fn close(&mut self, key: usize) {
        let Some(connection) = self.connections.remove(key) else { return };
        // The descriptor is open still, so it cannot be unknown to the poller.
        let _ = self.poller.delete(&*connection.socket);
        self.parts.flights.account(connection.accounted, 0);
        if let Some(holding) = self.sources.get_mut(&connection.source) {
            holding.connections -= 1;
            holding.bytes = holding.bytes.saturating_sub(connection.accounted);
            if holding.connections == 0 {
                self.sources.remove(&connection.source);
            }
        }
        match connection.phase {
            connection::Phase::Queued => self.queue.remove(connection.lane(), key),
            connection::Phase::InFlight(ticket) => self.departures.disown(ticket.place),
            _ => {}
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Both may outlive the gate, in one that replaces it after a panic.
        let _ = self.poller.delete(&*self.parts.listener);
        self.parts.flights.bell().detach(&self.poller);
        // Nobody takes the responses that workers still write.
        self.parts.flights.abandon_all();
    }
}
