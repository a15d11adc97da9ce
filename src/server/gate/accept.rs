//! New connections: taken as they come, refused beyond the limits, and never the end of the
//! service.

use super::connection::{Connection, Phase, Watched};
use super::fault::Fault;
use super::queue::Source;
use super::send::fault_bytes;
use super::tally::Incident;
use super::{FIRST_CLIENT_KEY, Gate, LISTENER_KEY};
use polling::{Event, PollMode};
use socket2::Socket;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Connections taken before others get their turn.
const BATCH: usize = 64;
/// How long no connection is taken when the system refuses to give one.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a connection is idle at least before it gives way to a new one.
const IDLE_MIN_AGE: Duration = Duration::from_secs(2);

/// What accepting needs beside the listener.
pub(super) struct Accepting {
    /// A descriptor to give up when there are none left, so that a client can be taken and
    /// turned away instead of left hanging.
    reserve: Option<File>,
    paused_until: Option<Instant>,
    /// Until then no connection has been idle for long enough to give way.
    no_idle_before: Option<Instant>,
    /// False once a shutdown has begun.
    open: bool,
}

impl Accepting {
    pub(super) fn new() -> Accepting {
        Accepting { reserve: reserve(), paused_until: None, no_idle_before: None, open: true }
    }

    /// When to accept again after a pause.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.paused_until
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

impl Gate {
    /// Lets clients come.
    pub(super) fn start_accepting(&mut self) -> io::Result<()> {
        let event = Event::readable(LISTENER_KEY);
        // SAFETY: the listener outlives the poller's interest in it: the gate holds both, and
        // deletes it from the poller when it is dropped at the latest.
        unsafe { self.poller.add_with_mode(&*self.parts.listener, event, PollMode::Level) }
    }

    /// Takes the connections that wait, a batch of them.
    pub(super) fn accept(&mut self) {
        for _ in 0..BATCH {
            match self.parts.listener.accept() {
                Ok((socket, peer)) => self.admit(socket, peer),
                Err(error) => match error.raw_os_error() {
                    _ if error.kind() == io::ErrorKind::WouldBlock => return,
                    Some(libc::EMFILE | libc::ENFILE) => return self.turn_away(),
                    Some(libc::ENOBUFS | libc::ENOMEM) => return self.pause_accepting(),
                    // Errors of the connection that was to be taken, such as ECONNABORTED
                    // (accept(2)): the next one may be sound.
                    _ => self.count(Incident::AcceptFailed),
                },
            }
        }
    }

    /// Takes one client with the last descriptor, only to close it.
    fn turn_away(&mut self) {
        self.count(Incident::AcceptFailed);
        if self.accepting.reserve.take().is_some() {
            drop(self.parts.listener.accept());
        }
        self.accepting.reserve = reserve();
        if self.accepting.reserve.is_none() {
            self.pause_accepting();
        }
    }

    fn pause_accepting(&mut self) {
        self.count(Incident::AcceptFailed);
        self.watch_listener(Event::none(LISTENER_KEY));
        self.accepting.paused_until = Some(self.now + PAUSE);
    }

    /// Accepts again after a pause.
    pub(super) fn resume_accepting(&mut self) {
        if self.accepting.paused_until.is_some_and(|until| until <= self.now) {
            self.accepting.paused_until = None;
            if self.accepting.reserve.is_none() {
                self.accepting.reserve = reserve();
            }
            self.watch_listener(Event::readable(LISTENER_KEY));
        }
    }

    fn watch_listener(&mut self, event: Event) {
        let listener = &*self.parts.listener;
        if self.accepting.open
            && let Err(error) = self.poller.modify_with_mode(listener, event, PollMode::Level)
        {
            log::error!("the listening socket cannot be watched: {error}");
        }
    }

    /// Takes what waits already, and nothing after it.
    pub(super) fn stop_accepting(&mut self) {
        if std::mem::replace(&mut self.accepting.open, false) {
            // A connection in the kernel's queue would be reset; its client thinks that it is
            // connected.
            self.accept();
            self.accepting.paused_until = None;
            // The listener was registered when the gate was made.
            let _ = self.poller.delete(&*self.parts.listener);
            self.parts.listener.close();
        }
    }

    fn admit(&mut self, socket: Socket, peer: Option<IpAddr>) {
        let source = Source::of(peer);
        let held = self.sources.get(&source).map_or(0, |holding| holding.connections);
        if held >= self.parts.limits.per_address() {
            return self.refuse(&socket, Incident::AddressLimit);
        }
        let is_full = self.connections.len() >= self.parts.limits.connections_max;
        if is_full && !self.close_longest_idle() {
            return self.refuse(&socket, Incident::ConnectionLimit);
        }
        let key = self.connections.insert(Connection::new(socket, peer, self.now));
        self.sources.entry(source).or_default().connections += 1;
        let Some(connection) = self.connections.get(key) else { return };
        let event = Watched::READ.event(FIRST_CLIENT_KEY + key);
        // SAFETY: `Gate::close`, the only way out of the table, deletes the socket from the
        // poller before it is closed.
        let added =
            unsafe { self.poller.add_with_mode(&*connection.socket, event, PollMode::Level) };
        match added {
            Ok(()) => self.set_deadline(key, Some(self.now + self.parts.limits.idle_timeout)),
            Err(error) => {
                log::error!("a connection cannot be watched: {error}");
                self.close(key);
            }
        }
    }

    /// Closes the connection that has been idle for longest, so that another has its place;
    /// returns whether there was one.
    fn close_longest_idle(&mut self) -> bool {
        let now = self.now;
        if self.accepting.no_idle_before.is_some_and(|at| now < at) {
            return false;
        }
        let idle = self.connections.iter().filter(|(_, c)| {
            c.phase == Phase::Idle
                && c.input.is_empty()
                && now.saturating_duration_since(c.since) >= IDLE_MIN_AGE
        });
        let Some((key, _)) = idle.min_by_key(|(_, c)| c.since) else {
            self.accepting.no_idle_before = Some(now + PAUSE);
            return false;
        };
        self.count(Incident::Evicted);
        self.close(key);
        true
    }

    /// Tells a client that there is no room, as far as that can be done without waiting.
    fn refuse(&mut self, socket: &Socket, incident: Incident) {
        self.count(incident);
        let (bytes, _) = fault_bytes(Fault::TooManyConnections, false, false);
        let _ = socket.send(&bytes);
        let _ = socket.shutdown(std::net::Shutdown::Write);
    }
}
