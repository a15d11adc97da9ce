//! The requests that are with the workers: what the gate lends with each, who may write to its
//! client's socket, and how the gate learns that a worker is done.
//!
//! A request has a place, and its number tells it from those that had the place before. Only
//! place and number travel through tiny_http; everything else lies here, where no client can
//! forge it. The state of the place says whose the writing side of the client's socket is:
//!
//! | state | the writing side | goes on by |
//! | --- | --- | --- |
//! | free | the gate's | [`Flights::depart`] |
//! | sent | the gate's, which leaves it alone | [`Flights::take`], [`Flights::withdraw`] |
//! | withdrawn | the gate's | a worker that comes to it |
//! | held | the worker's | [`Held::land`], or the end of its guard |
//! | landed | the gate's | [`Flights::collect`] |
//!
//! A worker that is done wakes the gate only when something waits for that. What the gate asks
//! of a place and what the worker does with it happen under the lock of the place, so that one
//! of them always sees the other's.

use super::output::Output;
use super::roster::Roster;
use crate::cancel::Cancel;
use socket2::Socket;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A request on its way: its place, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) place: usize,
    number: u32,
}

impl Ticket {
    /// The target under which it goes through tiny_http.
    pub(super) fn write_target(self, out: &mut Vec<u8>) {
        use std::io::Write;
        // Writing to a Vec cannot fail.
        let _ = write!(out, "/{}/{}", self.place, self.number);
    }

    fn parse(target: &str) -> Option<Ticket> {
        let (place, number) = target.strip_prefix('/')?.split_once('/')?;
        Some(Ticket { place: place.parse().ok()?, number: number.parse().ok()? })
    }
}

/// A request as the gate lends it.
#[derive(Debug)]
pub(super) struct Order {
    /// The client's socket; `None` when the gate itself has to write.
    pub(super) socket: Option<Arc<Socket>>,
    /// The client's address; `None` on a Unix socket.
    pub(super) peer: Option<IpAddr>,
    /// The minor version of HTTP/1 that the client speaks.
    pub(super) version: u8,
    /// Whether the client wants to keep its connection.
    pub(super) keep_alive: bool,
    /// The normalised head, without its empty line.
    pub(super) wire: Vec<u8>,
    /// Values of fields beyond ASCII, with the index of their field.
    pub(super) texts: Vec<(usize, String)>,
    /// The body.
    pub(super) body: Vec<u8>,
    /// When the request began to arrive.
    pub(super) arrived: Instant,
    /// How long it waited for a worker.
    pub(super) waited: Duration,
    /// Cancelled when the client leaves.
    pub(super) cancel: Arc<Cancel>,
}

/// What became of a response.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The client's socket took all of it.
    Sent,
    /// This is left to be sent; its memory is in the account of the buffers.
    Rest(Output),
    /// The client has gone.
    Gone,
    /// The client took it too slowly.
    TooSlow,
    /// Nothing was sent, because the worker failed.
    Unanswered,
    /// The worker failed in the middle of it.
    Broken,
    /// The request had been withdrawn.
    Withdrawn,
}

/// What a worker gives back.
#[derive(Debug)]
pub(super) struct Landing {
    pub(super) outcome: Outcome,
    /// Whether the response left the connection open.
    pub(super) keep_alive: bool,
    /// The head, and its buffer.
    pub(super) wire: Vec<u8>,
    pub(super) at: Instant,
}

#[derive(Debug)]
enum State {
    Free,
    Sent(Order),
    Withdrawn,
    Held { abandoned: bool },
    Landed(Landing),
}

#[derive(Debug)]
struct Place {
    number: u32,
    state: State,
    /// Whether the gate is to be woken when the worker is done.
    awaited: bool,
}

/// All places, and what the gate and the workers tell each other.
#[derive(Debug)]
pub(super) struct Flights {
    places: Vec<Mutex<Place>>,
    /// Places that have landed and are not collected.
    landed: Mutex<Vec<usize>>,
    /// How many those are.
    landed_count: AtomicUsize,
    /// From how many on the gate is woken, whatever the places say.
    landed_wanted: AtomicUsize,
    /// Requests whose responses find no room, and the memory that each needs.
    pressed: Mutex<Vec<(Ticket, usize)>>,
    has_pressed: AtomicBool,
    /// Whether responses close their connections, because the server ends.
    closing: AtomicBool,
    /// Bytes in the buffers of the gate.
    buffered: AtomicUsize,
    buffer_max_bytes: usize,
    /// Whether something has happened that the gate has to look at.
    rung: AtomicBool,
    /// Whether the gate sleeps, or is about to.
    asleep: AtomicBool,
    bell: Bell,
    roster: Roster,
}

impl Flights {
    /// That many places, whose responses may fill the buffers with so many bytes.
    ///
    /// # Errors
    /// The system gives no descriptor to wake the gate with.
    pub(super) fn new(count: usize, buffer_max_bytes: usize) -> std::io::Result<Flights> {
        let place = || Mutex::new(Place { number: 0, state: State::Free, awaited: false });
        Ok(Flights {
            places: (0..count).map(|_| place()).collect(),
            landed: Mutex::new(Vec::with_capacity(count)),
            landed_count: AtomicUsize::new(0),
            landed_wanted: AtomicUsize::new(usize::MAX),
            pressed: Mutex::default(),
            has_pressed: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            buffered: AtomicUsize::new(0),
            buffer_max_bytes,
            rung: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            bell: Bell::new()?,
            roster: Roster::default(),
        })
    }

    /// The number of places.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    // The gate's side.

    /// Puts a request into a free place. `awaited` is whether the gate is to be woken when
    /// the worker is done.
    pub(super) fn depart(&self, place: usize, order: Order, awaited: bool) -> Ticket {
        let mut it = lock(&self.places[place]);
        it.number = it.number.wrapping_add(1);
        it.state = State::Sent(order);
        it.awaited = awaited;
        let ticket = Ticket { place, number: it.number };
        drop(it);
        self.roster.request_comes();
        ticket
    }

    /// Takes back a request that no worker has begun; `None` when one has. The place stays
    /// taken until a worker comes to it.
    pub(super) fn withdraw(&self, ticket: Ticket) -> Option<Order> {
        let mut it = self.place(ticket)?;
        match std::mem::replace(&mut it.state, State::Withdrawn) {
            State::Sent(order) => Some(order),
            other => {
                it.state = other;
                None
            }
        }
    }

    /// Frees the place of a request that no worker will come to. False when one has already.
    pub(super) fn forget(&self, ticket: Ticket) -> bool {
        let Some(mut it) = self.place(ticket) else { return false };
        let lost = matches!(it.state, State::Sent(_) | State::Withdrawn);
        if lost {
            it.number = it.number.wrapping_add(1);
            it.state = State::Free;
            self.roster.request_came();
        }
        lost
    }

    /// Tells the worker that nobody wants the response any more.
    pub(super) fn abandon(&self, ticket: Ticket) {
        if let Some(mut it) = self.place(ticket)
            && let State::Held { abandoned } = &mut it.state
        {
            *abandoned = true;
        }
    }

    /// Lets the gate be woken when the worker is done with the request, or see it at once when
    /// it is.
    pub(super) fn await_landing(&self, ticket: Ticket) {
        let Some(mut it) = self.place(ticket) else { return };
        it.awaited = true;
        if matches!(it.state, State::Landed(_)) {
            self.rung.store(true, Ordering::SeqCst);
        }
    }

    /// From how many landings on the gate is woken, whoever they concern.
    pub(super) fn wake_from(&self, landings: Option<usize>) {
        let wanted = landings.unwrap_or(usize::MAX);
        if self.landed_wanted.load(Ordering::Relaxed) != wanted {
            self.landed_wanted.store(wanted, Ordering::SeqCst);
        }
    }

    /// Lets all responses close their connections from now on, and wake the gate.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Gives the places that have landed to `into`.
    pub(super) fn take_landed(&self, into: &mut Vec<usize>) {
        if self.landed_count.load(Ordering::SeqCst) > 0 {
            let mut landed = lock(&self.landed);
            self.landed_count.fetch_sub(landed.len(), Ordering::SeqCst);
            into.append(&mut landed);
        }
    }

    /// Takes what a worker gave back, and frees its place.
    pub(super) fn collect(&self, place: usize) -> Option<Landing> {
        let mut it = lock(&self.places[place]);
        match std::mem::replace(&mut it.state, State::Free) {
            State::Landed(landing) => Some(landing),
            other => {
                it.state = other;
                None
            }
        }
    }

    /// Requests whose responses found no room, and the memory that each needs.
    pub(super) fn take_pressed(&self) -> Vec<(Ticket, usize)> {
        if self.has_pressed.swap(false, Ordering::SeqCst) {
            std::mem::take(&mut lock(&self.pressed))
        } else {
            Vec::new()
        }
    }

    /// Whether the gate may sleep: nothing has happened that it has to look at. From then on
    /// it is woken for what happens.
    pub(super) fn may_sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let enough = self.landed_wanted.load(Ordering::SeqCst);
        let happened = self.rung.swap(false, Ordering::SeqCst)
            || self.landed_count.load(Ordering::SeqCst) >= enough;
        if happened {
            self.awake();
        }
        !happened
    }

    /// The gate does not sleep any more.
    pub(super) fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// What wakes the gate.
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Frees all places for a new gate, and tells the workers that nobody wants their
    /// responses.
    pub(super) fn abandon_all(&self) {
        for place in &self.places {
            let mut it = lock(place);
            match &mut it.state {
                State::Held { abandoned } => *abandoned = true,
                state => {
                    if matches!(state, State::Sent(_) | State::Withdrawn) {
                        self.roster.request_came();
                    }
                    it.number = it.number.wrapping_add(1);
                    it.state = State::Free;
                }
            }
        }
        self.buffered.store(0, Ordering::SeqCst);
    }

    /// Whether a worker has the place.
    pub(super) fn is_held(&self, place: usize) -> bool {
        matches!(lock(&self.places[place]).state, State::Held { .. } | State::Landed(_))
    }

    // Both sides.

    /// Which workers wait for requests.
    pub(super) fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Bytes in the buffers of the gate.
    pub(super) fn buffered(&self) -> usize {
        self.buffered.load(Ordering::SeqCst)
    }

    /// Changes the account of the buffers from `old` bytes to `new` ones.
    pub(super) fn account(&self, old: usize, new: usize) {
        if new > old {
            self.buffered.fetch_add(new - old, Ordering::SeqCst);
        } else if old > new {
            // What a gate before this one had counted is not in the account any more.
            let less = |bytes: usize| Some(bytes.saturating_sub(old - new));
            let _ = self.buffered.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        }
    }

    // The workers' side.

    /// Takes over the request of that target: with it the writing side of its client's socket.
    /// `None` when it was withdrawn, or is none.
    pub(super) fn take(&self, target: &str) -> Option<(Held<'_>, Order)> {
        let ticket = Ticket::parse(target)?;
        let mut it = self.place(ticket)?;
        match std::mem::replace(&mut it.state, State::Held { abandoned: false }) {
            State::Sent(order) => {
                self.roster.request_came();
                let held = Held { flights: self, ticket, begun: false, landed: false };
                Some((held, order))
            }
            State::Withdrawn => {
                drop(it);
                self.roster.request_came();
                let (outcome, at) = (Outcome::Withdrawn, Instant::now());
                self.land(ticket, Landing { outcome, keep_alive: true, wire: Vec::new(), at });
                None
            }
            other => {
                it.state = other;
                None
            }
        }
    }

    /// Whether responses close their connections, because the server ends.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn land(&self, ticket: Ticket, landing: Landing) {
        let awaited = {
            let Some(mut it) = self.place(ticket) else { return };
            let quiet = matches!(landing.outcome, Outcome::Sent | Outcome::Withdrawn);
            it.state = State::Landed(landing);
            it.awaited || !quiet
        };
        let count = {
            let mut landed = lock(&self.landed);
            landed.push(ticket.place);
            self.landed_count.fetch_add(1, Ordering::SeqCst) + 1
        };
        if awaited
            || count >= self.landed_wanted.load(Ordering::SeqCst)
            || self.closing.load(Ordering::SeqCst)
        {
            self.ring();
        }
    }

    fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.bell.ring();
        }
    }

    /// The place of a request, while it is that request's.
    fn place(&self, ticket: Ticket) -> Option<MutexGuard<'_, Place>> {
        let it = lock(self.places.get(ticket.place)?);
        (it.number == ticket.number).then_some(it)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked has left a whole state: each is set in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request in the hands of a worker. However the worker ends with it, the gate gets the
/// client's socket back.
#[derive(Debug)]
pub(super) struct Held<'a> {
    flights: &'a Flights,
    ticket: Ticket,
    /// Whether a part of the response may have been sent.
    begun: bool,
    landed: bool,
}

impl Held<'_> {
    /// Notes that a part of the response may be sent from now on.
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    /// Whether nobody wants the response any more.
    pub(super) fn is_abandoned(&self) -> bool {
        let it = self.flights.place(self.ticket);
        it.is_none_or(|it| !matches!(it.state, State::Held { abandoned: false }))
    }

    /// Takes so many bytes of the buffers, when there are as many.
    pub(super) fn reserve(&self, bytes: usize) -> bool {
        let max = self.flights.buffer_max_bytes;
        let more = |buffered: usize| buffered.checked_add(bytes).filter(|sum| *sum <= max);
        let buffered = &self.flights.buffered;
        buffered.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    /// Asks the gate to make room for so many bytes.
    pub(super) fn ask_for_room(&self, bytes: usize) {
        lock(&self.flights.pressed).push((self.ticket, bytes));
        self.flights.has_pressed.store(true, Ordering::SeqCst);
        self.flights.ring();
    }

    /// Gives the request back, and with it the writing side of its client's socket.
    pub(super) fn land(mut self, outcome: Outcome, keep_alive: bool, wire: Vec<u8>) {
        self.landed = true;
        self.flights.land(self.ticket, Landing { outcome, keep_alive, wire, at: Instant::now() });
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.landed {
            let outcome = if self.begun { Outcome::Broken } else { Outcome::Unanswered };
            let at = Instant::now();
            let landing = Landing { outcome, keep_alive: false, wire: Vec::new(), at };
            self.flights.land(self.ticket, landing);
        }
    }
}

pub(super) use bell::Bell;

#[cfg(target_os = "linux")]
mod bell {
    use polling::{Event, PollMode, Poller};
    use rustix::event::{EventfdFlags, eventfd};
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};

    /// Wakes the gate from any thread.
    #[derive(Debug)]
    pub(in crate::server) struct Bell(OwnedFd);

    impl Bell {
        pub(super) fn new() -> io::Result<Bell> {
            Ok(Bell(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
        }

        pub(super) fn ring(&self) {
            // Nobody reads the counter: each write is an event of its own to a poller that
            // looks at edges. It is full after 2^64 of them.
            let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
        }

        /// Lets the bell end the waits of `poller`, under that key.
        pub(in crate::server) fn attach(&self, poller: &Poller, key: usize) -> io::Result<()> {
            // SAFETY: `detach` is called before the bell is closed.
            unsafe { poller.add_with_mode(&self.0, Event::readable(key), PollMode::Edge) }
        }

        pub(in crate::server) fn detach(&self, poller: &Poller) {
            // It was attached.
            let _ = poller.delete(self.0.as_fd());
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod bell {
    use polling::Poller;
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    /// Wakes the gate from any thread.
    #[derive(Debug)]
    pub(in crate::server) struct Bell(Mutex<Option<Arc<Poller>>>);

    impl Bell {
        pub(super) fn new() -> io::Result<Bell> {
            Ok(Bell(Mutex::new(None)))
        }

        pub(super) fn ring(&self) {
            if let Some(poller) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
                // Without a wake-up the gate sees it at its next event.
                let _ = poller.notify();
            }
        }

        /// Lets the bell end the waits of `poller`.
        pub(in crate::server) fn attach(&self, poller: &Arc<Poller>, _: usize) -> io::Result<()> {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(poller.clone());
            Ok(())
        }

        pub(in crate::server) fn detach(&self, _: &Poller) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::Ordering::SeqCst;

    fn flights(count: usize) -> Flights {
        Flights::new(count, 1000).unwrap()
    }

    fn order() -> Order {
        Order {
            socket: None,
            peer: None,
            version: 1,
            keep_alive: true,
            wire: b"GET / HTTP/1.1\r\n".to_vec(),
            texts: Vec::new(),
            body: Vec::new(),
            arrived: Instant::now(),
            waited: Duration::ZERO,
            cancel: Arc::default(),
        }
    }

    fn target(ticket: Ticket) -> String {
        let mut bytes = Vec::new();
        ticket.write_target(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    fn landed(flights: &Flights) -> Vec<usize> {
        let mut places = Vec::new();
        flights.take_landed(&mut places);
        places
    }

    fn outcome(flights: &Flights, place: usize) -> Option<Outcome> {
        flights.collect(place).map(|landing| landing.outcome)
    }

    #[test]
    fn a_request_goes_to_one_worker_and_comes_back() {
        let flights = flights(2);
        let ticket = flights.depart(1, order(), false);
        let (held, order) = flights.take(&target(ticket)).unwrap();
        assert!(flights.take(&target(ticket)).is_none(), "it has one owner");
        assert!(landed(&flights).is_empty() && flights.collect(1).is_none());
        held.land(Outcome::Sent, true, order.wire);
        assert_eq!(landed(&flights), [1]);
        assert!(matches!(outcome(&flights, 1), Some(Outcome::Sent)));
        assert!(flights.collect(1).is_none());
    }

    #[test]
    fn what_no_request_of_the_gate_names_is_nothing() {
        let flights = flights(1);
        let ticket = flights.depart(0, order(), false);
        for target in ["/", "/0", "/0/", "/0/0", "/1/1", "/0/-1", "0/1", "/0/1/1", "*"] {
            assert!(flights.take(target).is_none(), "{target}");
        }
        assert!(flights.take(&target(ticket)).is_some());
    }

    #[test]
    fn a_withdrawn_request_is_not_begun_and_keeps_its_place_until_a_worker_comes() {
        let flights = flights(1);
        let ticket = flights.depart(0, order(), false);
        assert!(flights.withdraw(ticket).is_some());
        assert!(flights.withdraw(ticket).is_none());
        assert!(landed(&flights).is_empty());
        assert!(flights.take(&target(ticket)).is_none());
        assert_eq!(landed(&flights), [0]);
        assert!(matches!(outcome(&flights, 0), Some(Outcome::Withdrawn)));
    }

    #[test]
    fn what_a_worker_has_begun_cannot_be_withdrawn_or_forgotten() {
        let flights = flights(1);
        let ticket = flights.depart(0, order(), false);
        let (held, _) = flights.take(&target(ticket)).unwrap();
        assert!(flights.withdraw(ticket).is_none() && !flights.forget(ticket));
        assert!(!held.is_abandoned());
        flights.abandon(ticket);
        assert!(held.is_abandoned());
        drop(held);
        assert!(flights.withdraw(ticket).is_none() && !flights.forget(ticket));
        assert_eq!(landed(&flights), [0]);
    }

    #[test]
    fn a_forgotten_request_is_not_begun_by_a_worker_that_comes_late() {
        let flights = flights(1);
        let lost = flights.depart(0, order(), false);
        assert!(flights.forget(lost));
        let ticket = flights.depart(0, order(), false);
        assert!(flights.take(&target(lost)).is_none());
        assert!(flights.withdraw(lost).is_none() && !flights.forget(lost));
        flights.abandon(lost);
        assert!(!flights.take(&target(ticket)).unwrap().0.is_abandoned());
    }

    #[test]
    fn a_worker_that_panics_gives_the_connection_back() {
        let flights = flights(1);
        for (begins, expected) in [(false, "Unanswered"), (true, "Broken")] {
            let ticket = flights.depart(0, order(), false);
            assert!(flights.may_sleep());
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let (mut held, _) = flights.take(&target(ticket)).unwrap();
                if begins {
                    held.begin();
                }
                panic!("a worker fails");
            }));
            assert!(!flights.may_sleep(), "the gate is woken");
            assert_eq!(landed(&flights), [0]);
            assert_eq!(format!("{:?}", outcome(&flights, 0).unwrap()), expected);
        }
    }

    #[test]
    fn the_gate_sleeps_on_unless_something_waits_for_the_end() {
        let flights = flights(3);
        let fly = |place: usize, awaited: bool| {
            let ticket = flights.depart(place, order(), awaited);
            let (held, order) = flights.take(&target(ticket)).unwrap();
            (ticket, move || held.land(Outcome::Sent, true, order.wire))
        };
        let collect = || {
            for place in landed(&flights) {
                flights.collect(place);
            }
        };
        let (_, land) = fly(0, false);
        assert!(flights.may_sleep());
        land();
        assert!(flights.asleep.load(SeqCst) && flights.may_sleep(), "nobody waits");
        collect();
        let (_, land) = fly(0, true);
        assert!(flights.may_sleep());
        land();
        assert!(!flights.asleep.load(SeqCst) && !flights.may_sleep(), "it was awaited");
        collect();
        // Awaited before it lands, and after.
        for late in [false, true] {
            let (ticket, land) = fly(0, false);
            if !late {
                flights.await_landing(ticket);
            }
            land();
            if late {
                flights.await_landing(ticket);
            }
            assert!(!flights.may_sleep());
            collect();
        }
        // Somebody waits for two to land.
        let ((_, first), (_, second)) = (fly(0, false), fly(1, false));
        flights.wake_from(Some(2));
        first();
        assert!(flights.may_sleep());
        second();
        assert!(!flights.asleep.load(SeqCst) && !flights.may_sleep());
    }

    #[test]
    fn buffers_are_taken_only_while_there_are_any() {
        let flights = flights(1);
        let ticket = flights.depart(0, order(), false);
        let (held, _) = flights.take(&target(ticket)).unwrap();
        assert!(held.reserve(600) && !held.reserve(401) && held.reserve(400));
        flights.account(600, 0);
        assert_eq!(flights.buffered(), 400);
        assert!(!held.reserve(usize::MAX));
        held.ask_for_room(700);
        assert!(!flights.may_sleep());
        assert_eq!(flights.take_pressed(), [(ticket, 700)]);
        assert!(flights.take_pressed().is_empty());
    }

    #[test]
    fn a_new_gate_finds_all_places_free_but_those_that_workers_have() {
        let flights = flights(3);
        let sent = flights.depart(0, order(), false);
        let begun = flights.depart(1, order(), false);
        let (held, _) = flights.take(&target(begun)).unwrap();
        flights.abandon_all();
        assert!(held.is_abandoned());
        assert_eq!([0, 1, 2].map(|place| flights.is_held(place)), [false, true, false]);
        assert!(flights.take(&target(sent)).is_none());
        drop(held);
        assert_eq!(landed(&flights), [1]);
        assert!(flights.collect(1).is_some());
    }

    /// What the gate and a worker do with one place, in any order.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Take,
        Land,
        Fail,
        Withdraw,
        Abandon,
        Forget,
        Await,
        Collect,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        use Step::{Abandon, Await, Collect, Fail, Forget, Land, Take, Withdraw};
        let step =
            prop::sample::select(vec![Take, Land, Fail, Withdraw, Abandon, Forget, Await, Collect]);
        prop::collection::vec(step, 0..12)
    }

    proptest! {
        /// However the steps fall, the writing side is never two parties', and the place comes
        /// free in the end.
        #[test]
        fn the_writing_side_has_one_owner(steps in steps()) {
            let flights = flights(1);
            let ticket = flights.depart(0, order(), false);
            let name = target(ticket);
            let (mut held, mut gate_has_it, mut free) = (None, false, false);
            for step in steps {
                match step {
                    Step::Take => if let Some((taken, _)) = flights.take(&name) {
                        prop_assert!(!gate_has_it && held.is_none());
                        held = Some(taken);
                    },
                    Step::Land => if let Some(held) = held.take() {
                        Held::land(held, Outcome::Sent, true, Vec::new());
                    },
                    Step::Fail => drop(held.take()),
                    Step::Withdraw => if flights.withdraw(ticket).is_some() {
                        prop_assert!(held.is_none() && !gate_has_it);
                        gate_has_it = true;
                    },
                    Step::Abandon => flights.abandon(ticket),
                    Step::Forget => if flights.forget(ticket) {
                        prop_assert!(held.is_none() && !free);
                        (gate_has_it, free) = (true, true);
                    },
                    Step::Await => flights.await_landing(ticket),
                    Step::Collect => for place in landed(&flights) {
                        if flights.collect(place).is_some() {
                            prop_assert!(held.is_none() && !free);
                            (gate_has_it, free) = (true, true);
                        }
                    },
                }
            }
            drop(held);
            // The worker that comes last.
            drop(flights.take(&name));
            for place in landed(&flights) {
                free |= flights.collect(place).is_some();
            }
            prop_assert!(free);
        }
    }

    /// The gate goes to sleep while workers land: it never sleeps through what it awaits.
    #[test]
    fn no_landing_that_is_awaited_is_slept_through() {
        let flights = flights(1);
        let (tickets, departed) = std::sync::mpsc::channel::<Ticket>();
        std::thread::scope(|scope| {
            let flights = &flights;
            scope.spawn(move || {
                for ticket in departed {
                    let (held, order) = flights.take(&target(ticket)).unwrap();
                    held.land(Outcome::Sent, true, order.wire);
                }
            });
            for round in 0..20_000 {
                let ticket = flights.depart(0, order(), round % 2 == 0);
                flights.wake_from((round % 2 == 1).then_some(1));
                tickets.send(ticket).unwrap();
                let until = Instant::now() + Duration::from_secs(10);
                while landed(flights).is_empty() {
                    // A gate that may sleep is one whose `asleep` the worker takes back.
                    if flights.may_sleep() {
                        while flights.asleep.load(SeqCst) {
                            assert!(Instant::now() < until, "slept through round {round}");
                            std::hint::spin_loop();
                        }
                    }
                }
                flights.collect(0).unwrap();
            }
            drop(tickets);
        });
    }
}
