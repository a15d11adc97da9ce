//! The connections to the database: at most `db-pool` of them, opened when a request
//! needs one, and never shared by two requests at a time.
//!
//! r2d2 hands out *slots*; the worker that holds a slot opens the connection in it. So an
//! unreachable database is known to the request at once instead of after the whole
//! acquisition timeout, and there are never more attempts to connect than workers that
//! want to.

use crate::cancel::Cancel;
use crate::config::connection::{
    ConnectError, Connector, SessionDefaults, SessionSocket, close_aside,
};
use crate::observe::{ConnectionEnd, Event, Observer};
use crate::transaction::StatementCache;
use postgres::error::SqlState;
use postgres::{CancelToken, Client, SimpleQueryMessage};
use r2d2::ManageConnection;
use scheduled_thread_pool::ScheduledThreadPool;
use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A connection that has been idle for longer is tried before it is used: the server may
/// have closed it meanwhile.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// How long that trial may take.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// After a failed attempt to connect, the others fail without an attempt for this long;
/// it doubles with each failure up to the maximum. Then one is made, and only one.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A request that waits for a connection notices after so long that its client has left.
const CANCEL_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A cancellation is repeated after this long: the first one may have come before its query.
const CANCEL_REPEAT: Duration = Duration::from_secs(1);

/// When a cancelled query has not ended after this long, its connection is shut down.
const CANCEL_PATIENCE: Duration = Duration::from_secs(3);

/// At most so many cancellations are on their way at a time. Each holds a thread; those that
/// find none are left to be repeated.
const MAX_CANCELLATIONS: usize = 16;

/// Stack of a thread that cancels.
const CANCEL_STACK_BYTES: usize = 256 << 10;

/// How many connections there may be and how long they live.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `db-pool`
    pub size: usize,
    /// `db-pool-acquisition-timeout`
    pub acquisition_timeout: Duration,
    /// `db-pool-max-lifetime`
    pub max_lifetime: Duration,
    /// `db-pool-max-idletime`
    pub max_idle_time: Duration,
}

/// The pool. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    slots: r2d2::Pool<Slots>,
    shared: Arc<Shared>,
    acquisition_timeout: Duration,
}

struct Shared {
    connector: Connector,
    observer: Arc<Observer>,
    max_lifetime: Option<Duration>,
    failure: Mutex<Option<Failure>>,
    /// See [`Pool::set_session_defaults`].
    session_defaults: Mutex<Option<Arc<SessionDefaults>>>,
    /// Connections of an older generation are replaced before they are used.
    generation: AtomicU64,
    /// What was last known to work at this time after `epoch`, in microseconds, or earlier, is
    /// tried before it is used.
    doubted_until: AtomicU64,
    epoch: Instant,
    open: AtomicU64,
    waiting: AtomicU64,
    scheduler: Arc<ScheduledThreadPool>,
    /// Cancellations on their way.
    cancellations: AtomicUsize,
}

struct Failure {
    error: Arc<ConnectError>,
    retry_at: Instant,
    backoff: Duration,
}

/// Why there is no connection.
#[derive(Debug, Clone)]
pub enum Unavailable {
    /// All connections stayed in use for the whole acquisition timeout.
    Exhausted,
    /// The database cannot be reached, or refuses.
    Unreachable(Arc<ConnectError>),
    /// The client has left while its request waited.
    Cancelled,
}

impl Unavailable {
    /// Whether the database went away, rather than having no connection to spare.
    pub fn is_loss(&self) -> bool {
        match self {
            Unavailable::Exhausted | Unavailable::Cancelled => false,
            Unavailable::Unreachable(error) => {
                error.code() != Some(&SqlState::TOO_MANY_CONNECTIONS)
            }
        }
    }
}

impl Pool {
    /// A pool that opens its connections with `connector`, none yet, and tells `observer`.
    pub fn new(connector: Connector, settings: &Settings, observer: Arc<Observer>) -> Self {
        let scheduler = Arc::new(scheduler());
        let slots = r2d2::Pool::builder()
            .max_size(u32::try_from(settings.size).unwrap_or(u32::MAX).max(1))
            .min_idle(Some(0))
            .test_on_check_out(false)
            .max_lifetime(non_zero(settings.max_lifetime))
            .idle_timeout(non_zero(settings.max_idle_time))
            .thread_pool(scheduler.clone())
            .build_unchecked(Slots);
        let shared = Shared {
            connector,
            observer,
            max_lifetime: non_zero(settings.max_lifetime),
            failure: Mutex::new(None),
            session_defaults: Mutex::new(None),
            generation: AtomicU64::new(0),
            doubted_until: AtomicU64::new(0),
            epoch: Instant::now(),
            open: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            scheduler,
            cancellations: AtomicUsize::new(0),
        };
        Self { slots, shared: Arc::new(shared), acquisition_timeout: settings.acquisition_timeout }
    }

    /// A connection for one request.
    ///
    /// # Errors
    /// When all stay in use for the acquisition timeout, the database cannot be reached, or
    /// the client has left.
    pub fn get(&self, cancel: Option<&Cancel>) -> Result<Pooled, Unavailable> {
        let mut pooled = self.slot(cancel)?;
        let Err(unavailable) = self.ready(&mut pooled) else { return Ok(pooled) };
        // Where the database gives no further connections, an idle one will do.
        let mut without = vec![pooled];
        while let Some(slot) = self.slots.try_get() {
            let mut pooled = Pooled(slot);
            if self.shared.reuse(&mut pooled) {
                return Ok(pooled);
            }
            without.push(pooled);
        }
        Err(unavailable)
    }

    /// A slot, as soon as one is free.
    fn slot(&self, cancel: Option<&Cancel>) -> Result<Pooled, Unavailable> {
        let Shared { waiting, observer, .. } = &*self.shared;
        let begun = Instant::now();
        waiting.fetch_add(1, Ordering::Relaxed);
        let slot = self.wait_for_slot(begun + self.acquisition_timeout, cancel);
        waiting.fetch_sub(1, Ordering::Relaxed);
        observer.observe(&Event::PoolWaited(begun.elapsed()));
        if let Err(Unavailable::Exhausted) = slot {
            observer.observe(&Event::PoolTimeout);
        }
        slot
    }

    fn wait_for_slot(
        &self,
        deadline: Instant,
        cancel: Option<&Cancel>,
    ) -> Result<Pooled, Unavailable> {
        let has_left = || cancel.is_some_and(Cancel::is_cancelled);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.slots.get_timeout(left.min(CANCEL_POLL_INTERVAL)) {
                _ if has_left() => return Err(Unavailable::Cancelled),
                Ok(slot) => return Ok(Pooled(slot)),
                Err(_) if left <= CANCEL_POLL_INTERVAL => return Err(Unavailable::Exhausted),
                Err(_) => {}
            }
        }
    }

    /// Opens the slot's connection unless it holds one that can be trusted.
    fn ready(&self, slot: &mut Slot) -> Result<(), Unavailable> {
        if self.shared.reuse(slot) {
            return Ok(());
        }
        let generation = self.shared.generation.load(Ordering::Acquire);
        let defaults = lock(&self.shared.session_defaults).clone();
        let (mut client, socket) = self.connect(defaults.as_deref())?;
        let search_path = defaults.map(|defaults| defaults.search_path.clone());
        let search_path = search_path.filter(|path| falls_back_to(&mut client, path));
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        self.shared.observer.observe(&Event::ConnectionOpened);
        let session = Session {
            token: client.cancel_token(),
            socket,
            closed: Mutex::new(false),
            shared: self.shared.clone(),
        };
        slot.connection = Some(Connection {
            client,
            session: Arc::new(session),
            search_path,
            statements: StatementCache::default(),
            in_doubt: false,
            is_swollen: false,
            generation,
            opened_at: Instant::now(),
            used_at: Instant::now(),
            end: ConnectionEnd::Expired,
        });
        Ok(())
    }

    fn connect(
        &self,
        defaults: Option<&SessionDefaults>,
    ) -> Result<(Client, Option<SessionSocket>), Unavailable> {
        if let Some(failure) = &mut *self.failure() {
            let now = Instant::now();
            if now < failure.retry_at {
                return Err(Unavailable::Unreachable(failure.error.clone()));
            }
            // This attempt speaks for all others meanwhile.
            failure.retry_at = now + failure.backoff;
        }
        match self.shared.connector.connect_with(defaults) {
            Ok(connected) => {
                *self.failure() = None;
                Ok(connected)
            }
            Err(error) => Err(Unavailable::Unreachable(self.note_failure(error))),
        }
    }

    fn note_failure(&self, error: ConnectError) -> Arc<ConnectError> {
        self.shared.observer.observe(&Event::ConnectionFailed(&error));
        let error = Arc::new(error);
        let mut slot = self.failure();
        let backoff = match &*slot {
            Some(last) => (last.backoff * 2).min(BACKOFF_MAX),
            None => BACKOFF_FIRST,
        };
        let retry_at = Instant::now() + backoff;
        *slot = Some(Failure { error: error.clone(), retry_at, backoff });
        error
    }

    fn failure(&self) -> MutexGuard<'_, Option<Failure>> {
        lock(&self.shared.failure)
    }

    /// Lets the next request connect at once: the database is known to be back.
    pub fn retry_now(&self) {
        *self.failure() = None;
    }

    /// Lets every connection be tried before its next use: the database may have gone.
    pub fn doubt(&self) {
        let now = self.shared.micros(Instant::now());
        self.shared.doubted_until.fetch_max(now, Ordering::AcqRel);
    }

    /// Lets every connection be replaced before its next use.
    pub fn renew(&self) {
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// What learns of the pool's events.
    pub fn observer(&self) -> &Arc<Observer> {
        &self.shared.observer
    }

    /// Sets what sessions begin with and fall back to. To return to a search path is cheap for
    /// PostgreSQL, to set one as a text is not. Sessions with other defaults are replaced
    /// before their next use.
    pub fn set_session_defaults(&self, defaults: Option<SessionDefaults>) {
        let mut current = lock(&self.shared.session_defaults);
        if current.as_deref() != defaults.as_ref() {
            *current = defaults.map(Arc::new);
            self.renew();
        }
    }

    /// What connects, for connections outside the pool.
    pub fn connector(&self) -> &Connector {
        &self.shared.connector
    }

    /// What it holds now.
    pub fn state(&self) -> PoolState {
        let slots = self.slots.state();
        let lent = u64::from(slots.connections - slots.idle_connections);
        let open = self.shared.open.load(Ordering::Relaxed);
        PoolState {
            open,
            idle: open.saturating_sub(lent),
            waiting: self.shared.waiting.load(Ordering::Relaxed),
            max: self.slots.max_size().into(),
        }
    }
}

/// What a pool holds at a moment.
#[derive(Debug, Clone, Copy)]
pub struct PoolState {
    /// Connections there are.
    pub open: u64,
    /// Those not in use.
    pub idle: u64,
    /// Requests that wait for one.
    pub waiting: u64,
    /// How many there may be.
    pub max: u64,
}

impl Shared {
    /// Whether the slot holds a connection that can be trusted; one that cannot is closed.
    fn reuse(&self, slot: &mut Slot) -> bool {
        let Some(connection) = &mut slot.connection else { return false };
        let end = if connection.generation != self.generation.load(Ordering::Acquire) {
            ConnectionEnd::Renewed
        } else if self.max_lifetime.is_some_and(|max| connection.opened_at.elapsed() >= max) {
            ConnectionEnd::Expired
        } else if !connection.is_alive(self.doubted_until.load(Ordering::Acquire)) {
            ConnectionEnd::Lost
        } else {
            return true;
        };
        slot.close(end);
        false
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_micros()).unwrap_or(u64::MAX)
    }
}

/// Whether the session has that search path to fall back to.
fn falls_back_to(client: &mut Client, path: &str) -> bool {
    let answer = client.simple_query("SHOW search_path").unwrap_or_default();
    answer
        .iter()
        .any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some(path)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked left a whole value behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// r2d2 takes no zero; a zero setting means no limit.
fn non_zero(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

/// One thread makes slots, drops idle connections and looks after cancelled queries.
fn scheduler() -> ScheduledThreadPool {
    ScheduledThreadPool::builder().num_threads(1).thread_name_pattern("pool").build()
}

/// A connection on loan. It goes back when dropped; one in doubt is closed.
pub struct Pooled(r2d2::PooledConnection<Slots>);

impl std::ops::Deref for Pooled {
    type Target = Slot;
    fn deref(&self) -> &Slot {
        &self.0
    }
}

impl std::ops::DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Slot {
        &mut self.0
    }
}

/// A place for a connection.
#[derive(Default)]
pub struct Slot {
    connection: Option<Connection>,
}

impl Slot {
    /// The connection. [`Pool::get`] has opened it.
    pub fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    fn close(&mut self, end: ConnectionEnd) {
        if let Some(mut connection) = self.connection.take() {
            connection.end = end;
            if end == ConnectionEnd::Lost && !connection.client.is_closed() {
                close_aside(connection);
            }
        }
    }
}

/// A connection and what belongs to its session.
pub struct Connection {
    /// The session.
    pub client: Client,
    /// The search path, as SQL, that `SET search_path TO DEFAULT` brings back.
    pub search_path: Option<Arc<str>>,
    /// The statements that are prepared in it.
    pub statements: StatementCache,
    /// Whether the session may be in the midst of something. It is set before anything is
    /// sent and unset once the session is known to be clean, so that an error, a timeout
    /// or a panic between the two closes the connection.
    pub in_doubt: bool,
    /// Whether it holds the memory of a large result, so that it is closed instead of kept.
    pub is_swollen: bool,
    session: Arc<Session>,
    generation: u64,
    opened_at: Instant,
    /// When it was last known to work.
    pub used_at: Instant,
    /// Why it is closed, when it is.
    end: ConnectionEnd,
}

impl Connection {
    /// What stops the statement that runs in this session, from another thread. The session is
    /// closed afterwards.
    pub fn canceller(&self) -> impl FnOnce() + Send + 'static {
        let session = self.session.clone();
        move || session.stop()
    }

    /// Whether it works; what is known from before `doubted_until` does not count.
    fn is_alive(&mut self, doubted_until: u64) -> bool {
        if self.in_doubt || self.client.is_closed() {
            return false;
        }
        let trusted = self.used_at.elapsed() < TRUSTED_IDLE
            && self.session.shared.micros(self.used_at) > doubted_until;
        trusted || self.client.is_valid(TRIAL_TIMEOUT).is_ok()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Session { shared, closed, .. } = &*self.session;
        *lock(closed) = true;
        shared.open.fetch_sub(1, Ordering::Relaxed);
        shared.observer.observe(&Event::ConnectionClosed(self.end));
    }
}

/// What of a session can be reached from other threads.
struct Session {
    token: CancelToken,
    socket: Option<SessionSocket>,
    /// Whether it is being closed; then its socket's descriptor may be another's any moment.
    closed: Mutex<bool>,
    shared: Arc<Shared>,
}

impl Session {
    /// Stops what the session is doing, without waiting: asks the server to cancel it, asks
    /// again, and shuts the connection down when nothing helps.
    fn stop(self: Arc<Self>) {
        let (repeating, ending) = (self.clone(), self.clone());
        let scheduler = &self.shared.scheduler;
        scheduler.execute_after(CANCEL_REPEAT, move || repeating.cancel());
        scheduler.execute_after(CANCEL_PATIENCE, move || ending.shut_down());
        self.cancel();
    }

    /// Asks the server to cancel what it does for this session, on a thread of its own: a
    /// server that does not answer the session may not answer this either.
    fn cancel(self: Arc<Self>) {
        let cancellations = &self.shared.cancellations;
        if *lock(&self.closed) || cancellations.load(Ordering::Relaxed) >= MAX_CANCELLATIONS {
            return;
        }
        cancellations.fetch_add(1, Ordering::Relaxed);
        let session = self.clone();
        let thread = thread::Builder::new().name("cancel".to_owned());
        let spawned = thread.stack_size(CANCEL_STACK_BYTES).spawn(move || {
            let cancel = || session.shared.connector.cancel(&session.token);
            // `postgres` panics without file descriptors.
            if let Ok(Err(error)) = catch_unwind(AssertUnwindSafe(cancel)) {
                log::warn!("could not cancel a query: {error}");
            }
            session.shared.cancellations.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = spawned {
            self.shared.cancellations.fetch_sub(1, Ordering::Relaxed);
            log::warn!("could not cancel a query: {error}");
        }
    }

    fn shut_down(&self) {
        let closed = lock(&self.closed);
        if let (false, Some(socket)) = (*closed, self.socket) {
            log::warn!("a session did not answer to a cancellation and was closed");
            socket.shut_down();
        }
    }
}

/// Makes empty slots; r2d2 counts them.
struct Slots;

impl ManageConnection for Slots {
    type Connection = Slot;
    type Error = Infallible;

    fn connect(&self) -> Result<Slot, Infallible> {
        Ok(Slot::default())
    }

    fn is_valid(&self, _: &mut Slot) -> Result<(), Infallible> {
        Ok(())
    }

    /// Closes a connection that cannot be used again, and keeps the slot: r2d2 does not tell
    /// those who wait that a slot was given up.
    fn has_broken(&self, slot: &mut Slot) -> bool {
        match &slot.connection {
            Some(connection) if connection.client.is_closed() => slot.close(ConnectionEnd::Lost),
            Some(connection) if connection.in_doubt => slot.close(ConnectionEnd::InDoubt),
            Some(connection) if connection.is_swollen => slot.close(ConnectionEnd::Swollen),
            _ => {}
        }
        false
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.state()).finish()
    }
}
