//! The one way to stop a request's work from outside: its client has gone away.
//!
//! The server makes a [`Cancel`] for each request and cancels it when the client closes the
//! connection. Whoever does something that can be stopped, such as a database query,
//! registers for as long as it runs:
//!
//! ```
//! use goldenkey::cancel::Cancel;
//! let cancel = Cancel::default();
//! let query = cancel.on_cancel(|| println!("stop the query"));
//! // The query runs here; when the client leaves, the closure is called on another thread.
//! drop(query);
//! assert!(!cancel.is_cancelled());
//! ```

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether a request's client has gone, and what to call when it goes.
#[derive(Default)]
pub struct Cancel {
    cancelled: AtomicBool,
    hook: Mutex<Option<Hook>>,
}

type Hook = Box<dyn FnOnce() + Send>;

impl Cancel {
    /// Calls `hook` when the client goes away while the returned guard lives; at once, on this
    /// thread, when it has gone already. A second registration replaces the first.
    pub fn on_cancel(&self, hook: impl FnOnce() + Send + 'static) -> CancelGuard<'_> {
        let mut slot = self.lock();
        if self.is_cancelled() {
            drop(slot);
            hook();
        } else {
            *slot = Some(Box::new(hook));
        }
        CancelGuard(self)
    }

    /// Whether the client has gone.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Marks the request as cancelled and runs the hook, which may block.
    pub fn cancel(&self) {
        let mut slot = self.lock();
        self.cancelled.store(true, Ordering::Release);
        // The lock is held while the hook runs, so that the guard waits for it.
        if let Some(hook) = slot.take() {
            hook();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Hook>> {
        // A hook that panicked leaves an empty slot, which is a sound state.
        self.hook.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

/// Keeps a hook registered. Dropping it waits for a hook that is running.
#[must_use = "dropping the guard unregisters the hook"]
#[derive(Debug)]
pub struct CancelGuard<'a>(&'a Cancel);

impl CancelGuard<'_> {
    /// Unregisters the hook, and tells whether it has run. What it asked for may still be on
    /// its way then.
    pub fn finish(self) -> bool {
        self.0.lock().take().is_none()
    }
}

impl Drop for CancelGuard<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    fn counting_hook(count: &Arc<AtomicUsize>) -> impl FnOnce() + Send + use<> {
        let count = count.clone();
        move || {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_hook_runs_once_when_the_request_is_cancelled_while_registered() {
        let (cancel, count) = (Cancel::default(), Arc::default());
        let _guard = cancel.on_cancel(counting_hook(&count));
        cancel.cancel();
        cancel.cancel();
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn the_hook_does_not_run_after_its_guard_is_dropped() {
        let (cancel, count) = (Cancel::default(), Arc::default());
        drop(cancel.on_cancel(counting_hook(&count)));
        cancel.cancel();
        assert_eq!(count.load(Ordering::SeqCst), 0);
        assert!(cancel.is_cancelled());
    }

    #[test]
    fn a_hook_registered_after_the_cancellation_runs_at_once() {
        let (cancel, count) = (Cancel::default(), Arc::default());
        cancel.cancel();
        let guard = cancel.on_cancel(counting_hook(&count));
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert!(guard.finish());
    }

    #[test]
    fn the_guard_tells_whether_the_hook_has_run() {
        let (cancel, count) = (Cancel::default(), Arc::default());
        assert!(!cancel.on_cancel(counting_hook(&count)).finish());
        let guard = cancel.on_cancel(counting_hook(&count));
        cancel.cancel();
        assert!(guard.finish());
    }
}
