//! Which workers wait at tiny_http for a request, and which rest until there are more.
//!
//! tiny_http wakes its waiting threads in turn. So that a few workers, with warm caches, serve
//! what a few can, the others rest here, and the one that was busy last is called first.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};

/// Workers that may wait for a request beside those that have one.
const IDLE_MAX: usize = 2;

/// The workers of one server.
#[derive(Debug)]
pub(super) struct Roster {
    /// Requests on their way to a worker.
    coming: AtomicUsize,
    /// Workers that wait for one.
    idle: AtomicUsize,
    /// Workers that do not rest.
    active: AtomicUsize,
    /// The most that there may be of those.
    active_max: AtomicUsize,
    resting: Mutex<Vec<Thread>>,
    open: AtomicBool,
}

impl Default for Roster {
    fn default() -> Roster {
        Roster {
            coming: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            active_max: AtomicUsize::new(usize::MAX),
            resting: Mutex::default(),
            open: AtomicBool::new(true),
        }
    }
}

impl Roster {
    /// A worker begins its life.
    pub(super) fn begin(&self) {
        self.active.fetch_add(1, Ordering::SeqCst);
    }

    /// A worker is about to wait for a request; rests first while others suffice.
    pub(super) fn enter(&self) {
        if self.idle.load(Ordering::SeqCst) >= IDLE_MAX || self.has_too_many() {
            self.rest();
        }
        self.idle.fetch_add(1, Ordering::SeqCst);
    }

    /// A worker has waited.
    pub(super) fn leave(&self) {
        self.idle.fetch_sub(1, Ordering::SeqCst);
    }

    fn rest(&self) {
        let me = thread::current();
        let mut resting = self.resting();
        resting.push(me.clone());
        self.active.fetch_sub(1, Ordering::SeqCst);
        // Whoever has called since the look at the numbers did not find us.
        if self.is_wanted() || !self.open.load(Ordering::SeqCst) {
            resting.pop();
            self.active.fetch_add(1, Ordering::SeqCst);
            return;
        }
        drop(resting);
        while self.resting().iter().any(|thread| thread.id() == me.id()) {
            thread::park();
        }
    }

    /// A request is on its way; a worker is called for it unless one waits.
    pub(super) fn request_comes(&self) {
        self.coming.fetch_add(1, Ordering::SeqCst);
        self.call();
    }

    /// A request has come, or will not any more.
    pub(super) fn request_came(&self) {
        self.coming.fetch_sub(1, Ordering::SeqCst);
    }

    /// Sets how many workers there may be beside those that rest.
    pub(super) fn set_active_max(&self, max: usize) {
        if self.active_max.swap(max, Ordering::SeqCst) < max {
            let (coming, idle) = (&self.coming, &self.idle);
            let short = coming.load(Ordering::SeqCst).saturating_sub(idle.load(Ordering::SeqCst));
            (0..short).for_each(|_| self.call());
        }
    }

    /// Calls a worker when one is wanted.
    fn call(&self) {
        if self.is_wanted() {
            let called = {
                let mut resting = self.resting();
                let called = resting.pop();
                self.active.fetch_add(usize::from(called.is_some()), Ordering::SeqCst);
                called
            };
            if let Some(thread) = called {
                thread.unpark();
            }
        }
    }

    /// Whether a request comes for which no worker waits.
    pub(super) fn is_short(&self) -> bool {
        self.coming.load(Ordering::SeqCst) > self.idle.load(Ordering::SeqCst)
    }

    /// Lets nobody rest any more.
    pub(super) fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
        let called: Vec<_> = self.resting().drain(..).collect();
        self.active.fetch_add(called.len(), Ordering::SeqCst);
        called.iter().for_each(Thread::unpark);
    }

    /// Whether a request comes for which no worker waits, and one may be called.
    fn is_wanted(&self) -> bool {
        self.is_short()
            && self.active.load(Ordering::SeqCst) < self.active_max.load(Ordering::SeqCst)
    }

    fn has_too_many(&self) -> bool {
        self.active.load(Ordering::SeqCst) > self.active_max.load(Ordering::SeqCst)
    }

    fn resting(&self) -> std::sync::MutexGuard<'_, Vec<Thread>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    /// Workers that take what comes, as those at tiny_http do; returns what was taken.
    fn run(workers: usize, requests: usize, mut between: impl FnMut(&Roster, usize)) -> usize {
        let roster = Roster::default();
        let (sender, receiver) = mpsc::channel::<()>();
        let queue = Mutex::new(receiver);
        let taken = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    roster.begin();
                    loop {
                        roster.enter();
                        let got = queue.lock().unwrap().recv();
                        roster.leave();
                        if got.is_err() {
                            return;
                        }
                        roster.request_came();
                        taken.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            for number in 0..requests {
                roster.request_comes();
                sender.send(()).unwrap();
                between(&roster, number);
                if number % 7 == 0 {
                    // Nobody takes it but a worker that is called.
                    let until = std::time::Instant::now() + Duration::from_secs(10);
                    while taken.load(Ordering::SeqCst) <= number {
                        assert!(std::time::Instant::now() < until, "request {number} waits");
                        thread::yield_now();
                    }
                }
            }
            drop(sender);
            roster.close();
        });
        taken.load(Ordering::SeqCst)
    }

    #[test]
    fn every_request_finds_a_worker_though_most_of_them_rest() {
        assert_eq!(run(8, 5000, |_, _| ()), 5000);
        assert_eq!(run(1, 1000, |_, _| ()), 1000);
    }

    #[test]
    fn every_request_finds_a_worker_while_their_number_changes() {
        let change = |roster: &Roster, number: usize| {
            roster.set_active_max([1, 3, usize::MAX, 2][number % 4]);
        };
        assert_eq!(run(8, 5000, change), 5000);
    }

    #[test]
    fn who_was_busy_last_is_called_first() {
        let roster = Roster::default();
        roster.idle.store(IDLE_MAX, Ordering::SeqCst);
        thread::scope(|scope| {
            let (done, order) = mpsc::channel();
            for name in ["first", "second"] {
                let (roster, done) = (&roster, done.clone());
                scope.spawn(move || {
                    roster.begin();
                    roster.enter();
                    done.send(name).unwrap();
                });
                let number = if name == "first" { 1 } else { 2 };
                while roster.resting().len() < number {
                    thread::yield_now();
                }
            }
            roster.idle.store(0, Ordering::SeqCst);
            roster.request_comes();
            assert_eq!(order.recv().unwrap(), "second");
            roster.close();
            assert_eq!(order.recv().unwrap(), "first");
        });
    }
}
