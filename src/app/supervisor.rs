//! The supervisor: the one thread that loads, at the start, when a reload is asked for, and
//! after the database was away; and that starts the listener.

use super::App;
use super::backoff::Backoff;
use super::failure::{LoadError, StartError};
use super::live::Live;
use super::loader::Loader;
use super::notifications::Listener;
use super::reloads::{Next, Wanted};
use crate::config::Config;
use crate::observe::Event;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The waits between attempts to reach a database that is away. One thread makes them, so
/// the longest may be short: the service is back that soon after the database.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// The waits after a database that is there refused to be read.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(32);

/// How long a load waits for the listener, so that nothing falls between the two.
const LISTENER_PATIENCE: Duration = Duration::from_millis(300);

/// How much lower than that of the workers the priority of loading is (nice(2)).
const NICENESS: i32 = 10;

/// Between looks at whether the last request has let go of a replaced schema cache, and how
/// long that goes on.
const RELEASE_INTERVAL: Duration = Duration::from_millis(5);
const RELEASE_PATIENCE: Duration = Duration::from_millis(200);

/// The longest rest between two readings of the revocations.
const REVOCATIONS_REST_MAX: Duration = Duration::from_secs(1);

/// How often the same failure is told while it goes on.
const TELL_INTERVAL: Duration = Duration::from_secs(30);

/// What the thread works with.
pub struct Supervisor {
    loader: Loader,
    app: Arc<App>,
    /// The channel of the listener that was started, when there is one.
    channel: Option<String>,
    reconnect: Backoff,
    retry: Backoff,
    /// When revocations that somebody asks for are read again at the earliest.
    next_revocations: Instant,
    /// The failure that was told last, and when.
    told: Option<(String, Instant)>,
}

impl Supervisor {
    /// A supervisor of what `loader` has started.
    pub fn new(loader: Loader, app: Arc<App>) -> Self {
        Supervisor {
            loader,
            app,
            channel: None,
            reconnect: Backoff::new(RECONNECT_FIRST, RECONNECT_MAX),
            retry: Backoff::new(RETRY_FIRST, RETRY_MAX),
            next_revocations: Instant::now(),
            told: None,
        }
    }

    /// Loads everything, and then what is asked for, until [`Reloads::end`](super::Reloads::end).
    /// Calls `tried` after the first attempt, whatever came of it.
    ///
    /// # Errors
    /// When the database refuses this user or password at the start, or cannot be reached or
    /// ends a connection and `db-pool-automatic-recovery` is off.
    pub fn run(mut self, tried: impl FnOnce()) -> Result<(), StartError> {
        self.keep_listener()?;
        let mut tried = Some(tried);
        let mut wanted = Wanted::ALL;
        loop {
            let patience = if wanted.is_empty() {
                None
            } else {
                match self.load(&mut wanted) {
                    Ok(()) => {
                        wanted = Wanted::default();
                        self.succeeded()?;
                        None
                    }
                    Err(error) => Some(self.failed(&error)?),
                }
            };
            if let Some(tried) = tried.take() {
                tried();
                lower_priority();
            }
            match self.app.reloads().next(patience) {
                Next::Load(more) => wanted |= more,
                Next::GiveUp(reason) => {
                    self.app.observer().observe(&Event::RecoveryDisabled);
                    return Err(StartError::new(reason));
                }
                Next::End => return Ok(()),
            }
        }
    }

    fn load(&mut self, wanted: &mut Wanted) -> Result<(), LoadError> {
        let replaced = self.app.live();
        // A configuration that takes nothing from the database need not wait for it.
        if wanted.config && !self.loader.needs_database(&self.app) {
            self.loader.reload(&self.app, Wanted::CONFIG, None)?;
            (wanted.config, wanted.revocations) = (false, false);
            if wanted.is_empty() && !self.app.reloads().is_database_lost() {
                self.loader.reload_role_settings(&self.app);
            }
        }
        if !wanted.is_empty() {
            self.rest_between_revocations(*wanted);
            let begun = Instant::now();
            let mut client = self.loader.connect(&self.app)?;
            *wanted |= self.app.reloads().meet_listener(LISTENER_PATIENCE);
            self.loader.catch_up(&self.app, &mut client)?;
            self.loader.reload(&self.app, *wanted, Some(&mut client))?;
            self.next_revocations = Instant::now() + begun.elapsed().min(REVOCATIONS_REST_MAX);
        }
        release(replaced, &self.app);
        Ok(())
    }

    /// Everybody with a login can ask for the revocations, as often as they like: reading them
    /// takes half of the time at most.
    fn rest_between_revocations(&self, wanted: Wanted) {
        if wanted == Wanted::REVOCATIONS {
            self.app.reloads().rest_until(self.next_revocations);
        }
    }

    fn succeeded(&mut self) -> Result<(), StartError> {
        self.reconnect.reset();
        self.retry.reset();
        self.told = None;
        self.app.reloads().loaded();
        self.app.pool().retry_now();
        self.keep_listener()
    }

    /// What to do about a failure: how long to wait, or to give up.
    fn failed(&mut self, error: &LoadError) -> Result<Duration, StartError> {
        let live = self.app.live();
        if error.is_loss() {
            self.app.reloads().database_lost();
        }
        if error.is_refusal() && live.schema.is_none() {
            return Err(StartError::new(error));
        }
        if !error.is_query() && !live.config.db_pool_automatic_recovery {
            self.app.observer().observe(&Event::RecoveryDisabled);
            return Err(StartError::new(error));
        }
        let quick = error.is_loss() || error.is_busy();
        let wait = if quick { &mut self.reconnect } else { &mut self.retry }.after_failure();
        self.tell(error, wait);
        Ok(wait)
    }

    /// Tells of a failure, unless it has been told a moment ago.
    fn tell(&mut self, error: &LoadError, wait: Duration) {
        let text = error.to_string();
        let told = self.told.as_ref();
        if told.is_some_and(|(last, at)| *last == text && at.elapsed() < TELL_INTERVAL) {
            return;
        }
        let observer = self.app.observer();
        if error.is_query() {
            // The error itself has been told by who asked.
            observer.observe(&Event::LoadingAgain(wait));
        } else {
            observer.observe(&Event::DatabaseFailed(error));
            observer.observe(&Event::Reconnecting(wait));
        }
        self.told = Some((text, Instant::now()));
    }

    /// Starts a listener when the configuration wants one, or another one.
    fn keep_listener(&mut self) -> Result<(), StartError> {
        let live = self.app.live();
        let channel = wanted_channel(&live.config);
        if channel == self.channel {
            return Ok(());
        }
        let number = self.app.reloads().new_listener(channel.is_some());
        self.channel = channel.clone();
        if let Some(channel) = channel {
            let listener = Listener {
                connector: self.loader.listener_connector(&live.config)?,
                channel,
                app: self.app.clone(),
                number,
            };
            listener.spawn().map_err(StartError::new)?;
        }
        Ok(())
    }
}

fn wanted_channel(config: &Config) -> Option<String> {
    config.db_channel_enabled.then(|| config.db_channel.clone())
}

/// Waits a moment for requests to let go of what was replaced, so that the memory of a large
/// schema cache is given back here, and not by the last of them.
fn release(replaced: Arc<Live>, app: &App) {
    let Some(schema) = replaced.schema.clone() else { return };
    drop(replaced);
    if app.live().schema.as_ref().is_some_and(|running| Arc::ptr_eq(running, &schema)) {
        return;
    }
    let begun = Instant::now();
    while Arc::strong_count(&schema) > 1 && begun.elapsed() < RELEASE_PATIENCE {
        thread::sleep(RELEASE_INTERVAL);
    }
}

/// Lets requests go before loading where both want the processor.
fn lower_priority() {
    // SAFETY: setpriority touches no memory of ours. On Linux, 0 is the calling thread.
    // When it fails, loading has the priority of the others.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
}
