//! What is to be loaded anew: asked for by signals, notifications and failed requests, and
//! done by the supervisor, one load at a time. Whatever is asked for while a load runs
//! makes one further load, however often it is asked for.

use std::ops::BitOrAssign;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a load shall renew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The configuration, and what is read with it.
    pub config: bool,
    /// The schema cache.
    pub schema: bool,
    /// The revoked claims, which are read with the configuration too.
    pub revocations: bool,
}

impl Wanted {
    /// All there is.
    pub const ALL: Wanted = Wanted { config: true, schema: true, revocations: true };
    /// The configuration only.
    pub const CONFIG: Wanted = Wanted { config: true, schema: false, revocations: true };
    /// The schema cache, and the configuration where it comes from the database.
    pub const SCHEMA: Wanted = Wanted { config: false, schema: true, revocations: false };
    /// The revoked claims only.
    pub const REVOCATIONS: Wanted = Wanted { config: false, schema: false, revocations: true };

    /// Whether nothing is wanted.
    pub fn is_empty(self) -> bool {
        self == Wanted::default()
    }
}

impl BitOrAssign for Wanted {
    fn bitor_assign(&mut self, other: Wanted) {
        self.config |= other.config;
        self.schema |= other.schema;
        self.revocations |= other.revocations;
    }
}

/// The one place where supervisor, listener, signals and requests meet.
#[derive(Debug, Default)]
pub struct Reloads {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    wanted: Wanted,
    /// Since when the database is known to be away until all was loaded again.
    database_lost: bool,
    listener: Listener,
    /// Counts listeners; those of earlier settings have no say.
    listener_generation: u64,
    /// Whether a notification may have been missed that came after the last load began.
    missed: bool,
    /// Why a connection was lost that is not to be replaced.
    lost: Option<String>,
    ending: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Listener {
    #[default]
    Off,
    Connecting,
    Listening,
    /// Waits before it connects again.
    Waiting,
}

/// What the supervisor does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Loads this, or what it could not load before.
    Load(Wanted),
    /// Ends, since a connection was lost for this reason.
    GiveUp(String),
    /// Ends.
    End,
}

impl Reloads {
    /// Asks for a load.
    pub fn want(&self, wanted: Wanted) {
        self.lock().wanted |= wanted;
        self.changed.notify_all();
    }

    /// Tells that the database could not be reached: all is loaded anew as soon as it is back.
    pub fn database_lost(&self) {
        let mut state = self.lock();
        if !state.database_lost {
            state.database_lost = true;
            state.wanted |= Wanted::ALL;
            self.changed.notify_all();
        }
    }

    /// Whether the database is away as far as is known.
    pub fn is_database_lost(&self) -> bool {
        self.lock().database_lost
    }

    /// Tells that a connection was lost where connections are not to be replaced
    /// (`db-pool-automatic-recovery`).
    pub fn give_up(&self, reason: impl Into<String>) {
        self.lock().lost.get_or_insert(reason.into());
        self.changed.notify_all();
    }

    /// Ends the supervisor.
    pub fn end(&self) {
        self.lock().ending = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs with the lock held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done`, or for as long as `patience`.
    fn wait(
        &self,
        patience: Option<Duration>,
        mut done: impl FnMut(&State) -> bool,
    ) -> MutexGuard<'_, State> {
        let state = self.lock();
        let pending = |state: &mut State| !done(state);
        match patience {
            None => self.changed.wait_while(state, pending).unwrap_or_else(PoisonError::into_inner),
            Some(time) => {
                let waited = self.changed.wait_timeout_while(state, time, pending);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

/// For the supervisor.
impl Reloads {
    /// Waits until something is wanted, or for as long as `patience`.
    pub(super) fn next(&self, patience: Option<Duration>) -> Next {
        let is_called =
            |state: &State| state.ending || state.lost.is_some() || !state.wanted.is_empty();
        let mut state = self.wait(patience, is_called);
        if state.ending {
            return Next::End;
        }
        if let Some(reason) = state.lost.take() {
            return Next::GiveUp(reason);
        }
        Next::Load(std::mem::take(&mut state.wanted))
    }

    /// Waits for a moment, unless the end comes before or more than revocations is wanted.
    pub(super) fn rest_until(&self, moment: Instant) {
        let patience = moment.saturating_duration_since(Instant::now());
        drop(self.wait(Some(patience), |state| {
            state.ending || state.wanted.config || state.wanted.schema
        }));
    }

    /// Lets the listener connect now, waits until it has succeeded or failed, or for as long
    /// as `patience`, and gives what has been asked for meanwhile. The load that follows sees
    /// everything that was announced before.
    pub(super) fn meet_listener(&self, patience: Duration) -> Wanted {
        let mut state = self.lock();
        if state.listener == Listener::Waiting {
            state.listener = Listener::Connecting;
            self.changed.notify_all();
        }
        drop(state);
        let mut state = self.wait(Some(patience), |state| state.listener != Listener::Connecting);
        state.missed = state.listener != Listener::Listening;
        std::mem::take(&mut state.wanted)
    }

    /// Tells that a load has succeeded.
    pub(super) fn loaded(&self) {
        self.lock().database_lost = false;
    }

    /// Gives a new listener its number, and takes the say from the one before.
    pub(super) fn new_listener(&self, starts: bool) -> u64 {
        let mut state = self.lock();
        state.listener_generation += 1;
        state.listener = if starts { Listener::Connecting } else { Listener::Off };
        self.changed.notify_all();
        state.listener_generation
    }
}

/// For the listener, which names its number.
impl Reloads {
    /// Whether the listener has been replaced.
    pub(super) fn is_replaced(&self, listener: u64) -> bool {
        self.lock().listener_generation != listener
    }

    /// Tells that notifications are heard from now on.
    pub(super) fn listening(&self, listener: u64) {
        let mut state = self.lock();
        if state.listener_generation == listener {
            state.listener = Listener::Listening;
            if std::mem::take(&mut state.missed) {
                state.wanted |= Wanted::ALL;
            }
            self.changed.notify_all();
        }
    }

    /// Tells that notifications are not heard any more, and that it connects again at once.
    pub(super) fn connecting(&self, listener: u64) {
        let mut state = self.lock();
        if state.listener_generation == listener {
            state.listener = Listener::Connecting;
            state.missed = true;
        }
    }

    /// Waits before the listener connects again: until the supervisor has reached the
    /// database, or for as long as `patience`.
    pub(super) fn wait_to_connect(&self, listener: u64, patience: Duration) {
        let begun = Instant::now();
        let mut state = self.lock();
        if state.listener_generation != listener {
            return;
        }
        state.listener = Listener::Waiting;
        self.changed.notify_all();
        drop(state);
        let left = patience.saturating_sub(begun.elapsed());
        let mut state = self.wait(Some(left), |state| {
            state.listener_generation != listener || state.listener != Listener::Waiting
        });
        if state.listener_generation == listener {
            state.listener = Listener::Connecting;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    #[test]
    fn what_is_asked_for_twice_is_loaded_once() {
        let reloads = Reloads::default();
        reloads.want(Wanted::SCHEMA);
        reloads.want(Wanted::SCHEMA);
        reloads.want(Wanted::CONFIG);
        assert_eq!(reloads.next(None), Next::Load(Wanted::ALL));
        assert_eq!(reloads.next(Some(NONE)), Next::Load(Wanted::default()));
    }

    #[test]
    fn a_lost_database_is_told_once_until_all_is_loaded_again() {
        let reloads = Reloads::default();
        reloads.database_lost();
        assert_eq!(reloads.next(None), Next::Load(Wanted::ALL));
        reloads.database_lost();
        assert_eq!(reloads.next(Some(NONE)), Next::Load(Wanted::default()));
        assert!(reloads.is_database_lost());
        reloads.loaded();
        reloads.database_lost();
        assert_eq!(reloads.next(None), Next::Load(Wanted::ALL));
    }

    #[test]
    fn a_load_that_met_the_listener_need_not_be_repeated() {
        let reloads = Reloads::default();
        let listener = reloads.new_listener(true);
        reloads.listening(listener);
        assert_eq!(reloads.meet_listener(NONE), Wanted::default());
        assert_eq!(reloads.next(Some(NONE)), Next::Load(Wanted::default()));
    }

    #[test]
    fn a_listener_that_comes_after_the_load_began_asks_for_another() {
        let reloads = Reloads::default();
        let listener = reloads.new_listener(true);
        assert_eq!(reloads.meet_listener(NONE), Wanted::default());
        reloads.listening(listener);
        assert_eq!(reloads.next(None), Next::Load(Wanted::ALL));
    }

    #[test]
    fn a_listener_that_was_away_asks_for_a_load_that_the_one_under_way_takes_over() {
        let reloads = Reloads::default();
        let listener = reloads.new_listener(true);
        reloads.listening(listener);
        reloads.connecting(listener);
        reloads.listening(listener);
        assert_eq!(reloads.meet_listener(NONE), Wanted::ALL);
        assert_eq!(reloads.next(Some(NONE)), Next::Load(Wanted::default()));
    }

    #[test]
    fn a_listener_of_earlier_settings_has_no_say() {
        let reloads = Reloads::default();
        let old = reloads.new_listener(true);
        let new = reloads.new_listener(false);
        reloads.connecting(old);
        reloads.listening(old);
        assert!(reloads.is_replaced(old) && !reloads.is_replaced(new));
        assert_eq!(reloads.next(Some(NONE)), Next::Load(Wanted::default()));
    }

    #[test]
    fn a_waiting_listener_connects_when_the_supervisor_has_reached_the_database() {
        let reloads = Reloads::default();
        let listener = reloads.new_listener(true);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                reloads.wait_to_connect(listener, Duration::from_secs(3600));
                reloads.listening(listener);
            });
            drop(reloads.wait(None, |state| state.listener == Listener::Waiting));
            assert_eq!(reloads.meet_listener(Duration::from_secs(3600)), Wanted::default());
            waiting.join().unwrap();
        });
        assert_eq!(reloads.lock().listener, Listener::Listening);
    }

    #[test]
    fn the_end_comes_before_all_else() {
        let reloads = Reloads::default();
        reloads.want(Wanted::ALL);
        reloads.end();
        assert_eq!(reloads.next(None), Next::End);
    }
}
