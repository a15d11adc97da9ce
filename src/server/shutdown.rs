//! The end of the service, begun by a signal and waited for by the server.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A handle that ends a server: no new connections, the requests in flight are answered.
///
/// Clones are handles of the same server. It takes locks, so a signal handler must not call it
/// directly; a thread that waits for signals may.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    begun: Condvar,
}

#[derive(Default)]
struct State {
    begun: bool,
    wakers: Vec<Box<dyn Fn() + Send>>,
}

impl Shutdown {
    /// Begins the shutdown; a second call changes nothing.
    pub fn begin(&self) {
        let mut state = self.lock();
        if !state.begun {
            state.begun = true;
            state.wakers.drain(..).for_each(|wake| wake());
            self.0.begun.notify_all();
        }
    }

    /// Whether the shutdown has begun.
    pub fn has_begun(&self) -> bool {
        self.lock().begun
    }

    /// Blocks until the shutdown begins.
    pub fn wait(&self) {
        let state = self.lock();
        drop(self.0.begun.wait_while(state, |s| !s.begun).unwrap_or_else(PoisonError::into_inner));
    }

    /// Calls `wake` when the shutdown begins; at once when it has begun.
    pub(super) fn on_begin(&self, wake: impl Fn() + Send + 'static) {
        let mut state = self.lock();
        if state.begun {
            wake();
        } else {
            state.wakers.push(Box::new(wake));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("begun", &self.has_begun()).finish()
    }
}
