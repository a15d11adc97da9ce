//! The connections to the database: at most `db-pool` of them, opened when a request
//! needs one, and never shared by two requests at a time.
//!
//! r2d2 hands out *slots*; the worker that holds a slot opens the connection in it. So an
//! unreachable database is known to the request at once instead of after the whole
//! acquisition timeout, and there are never more attempts to connect than workers that
//! want to.

use crate::config::connection::{ConnectError, Connector};
use crate::transaction::StatementCache;
use postgres::Client;
use r2d2::ManageConnection;
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A connection that has been idle for longer is tried before it is used: the server may
/// have closed it meanwhile.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// How long that trial may take.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// After a failed attempt to connect, the others fail without an attempt for this long;
/// it doubles with each failure up to the maximum.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

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
    failure: Mutex<Option<Failure>>,
    /// Connections of an older generation are replaced before they are used.
    generation: AtomicU64,
    waiting: AtomicU64,
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
}

impl Pool {
    /// A pool that opens its connections with `connector`, none yet.
    pub fn new(connector: Connector, settings: &Settings) -> Self {
        let slots = r2d2::Pool::builder()
            .max_size(u32::try_from(settings.size).unwrap_or(u32::MAX).max(1))
            .min_idle(Some(0))
            .test_on_check_out(false)
            .max_lifetime(non_zero(settings.max_lifetime))
            .idle_timeout(non_zero(settings.max_idle_time))
            .thread_pool(Arc::new(scheduler()))
            .build_unchecked(Slots);
        let shared = Shared {
            connector,
            failure: Mutex::new(None),
            generation: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
        };
        Self {
            slots,
            shared: Arc::new(shared),
            acquisition_timeout: settings.acquisition_timeout,
        }
    }

    /// A connection for one request.
    ///
    /// # Errors
    /// When all stay in use for the acquisition timeout, or the database cannot be reached.
    pub fn get(&self) -> Result<Pooled, Unavailable> {
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let slot = self.slots.get_timeout(self.acquisition_timeout);
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        let mut pooled = Pooled(slot.map_err(|_| Unavailable::Exhausted)?);
        self.ready(&mut pooled)?;
        Ok(pooled)
    }

    /// Opens the slot's connection unless it holds one that can be trusted.
    fn ready(&self, slot: &mut Slot) -> Result<(), Unavailable> {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if let Some(connection) = &mut slot.connection
            && connection.generation == generation
            && connection.is_alive()
        {
            return Ok(());
        }
        slot.connection = None;
        let client = self.connect()?;
        slot.connection = Some(Connection {
            client,
            statements: StatementCache::default(),
            in_doubt: false,
            connector: self.shared.connector.clone(),
            generation,
            used_at: Instant::now(),
        });
        Ok(())
    }

    fn connect(&self) -> Result<Client, Unavailable> {
        if let Some(failure) = &*self.failure()
            && Instant::now() < failure.retry_at
        {
            return Err(Unavailable::Unreachable(failure.error.clone()));
        }
        match self.shared.connector.connect() {
            Ok(client) => {
                *self.failure() = None;
                Ok(client)
            }
            Err(error) => Err(Unavailable::Unreachable(self.note_failure(error))),
        }
    }

    fn note_failure(&self, error: ConnectError) -> Arc<ConnectError> {
        let error = Arc::new(error);
        let mut slot = self.failure();
        let backoff = match &*slot {
            Some(last) => (last.backoff * 2).min(BACKOFF_MAX),
            None => BACKOFF_FIRST,
        };
        *slot = Some(Failure {
            error: error.clone(),
            retry_at: Instant::now() + backoff,
            backoff,
        });
        error
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<Failure>> {
        // Whoever panicked left a whole value behind.
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets every connection be replaced before its next use.
    pub fn renew(&self) {
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// What connects, for connections outside the pool.
    pub fn connector(&self) -> &Connector {
        &self.shared.connector
    }

    /// Slots in use or idle, slots free for use, and requests that wait for one.
    pub fn state(&self) -> PoolState {
        let state = self.slots.state();
        PoolState {
            open: state.connections,
            idle: state.idle_connections,
            waiting: self.shared.waiting.load(Ordering::Relaxed),
            max: self.slots.max_size(),
        }
    }
}

/// What a pool holds at a moment.
#[derive(Debug, Clone, Copy)]
pub struct PoolState {
    /// Connections there are.
    pub open: u32,
    /// Those not in use.
    pub idle: u32,
    /// Requests that wait for one.
    pub waiting: u64,
    /// How many there may be.
    pub max: u32,
}

/// r2d2 takes no zero; a zero setting means no limit.
fn non_zero(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

/// One thread makes slots and drops idle connections.
fn scheduler() -> scheduled_thread_pool::ScheduledThreadPool {
    scheduled_thread_pool::ScheduledThreadPool::builder()
        .num_threads(1)
        .thread_name_pattern("pool")
        .build()
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
}

/// A connection and what belongs to its session.
pub struct Connection {
    /// The session.
    pub client: Client,
    /// The statements that are prepared in it.
    pub statements: StatementCache,
    /// Whether the session may be in the midst of something. It is set before anything is
    /// sent and unset once the session is known to be clean, so that an error, a timeout
    /// or a panic between the two closes the connection.
    pub in_doubt: bool,
    connector: Connector,
    generation: u64,
    /// When it was last known to work.
    pub used_at: Instant,
}

impl Connection {
    /// What stops the statement that runs in this session, from another thread.
    pub fn canceller(&self) -> impl FnOnce() + Send + 'static {
        let (token, connector) = (self.client.cancel_token(), self.connector.clone());
        move || {
            if let Err(error) = connector.cancel(&token) {
                log::warn!("could not cancel a query: {error}");
            }
        }
    }

    fn is_alive(&mut self) -> bool {
        if self.in_doubt || self.client.is_closed() {
            return false;
        }
        self.used_at.elapsed() < TRUSTED_IDLE || self.client.is_valid(TRIAL_TIMEOUT).is_ok()
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

    fn has_broken(&self, slot: &mut Slot) -> bool {
        slot.connection.as_ref().is_none_or(|c| c.in_doubt || c.client.is_closed())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.state()).finish()
    }
}
