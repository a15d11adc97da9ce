//! A thread for what could block the gate: stopping the work of clients that left, reporting
//! the requests that the gate answered itself, and reviving tiny_http.

use crate::cancel::Cancel;
use crate::server::{Exchange, Handler};
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

/// Reports that wait for a slow log; further ones are lost.
const REPORTS_MAX: usize = 1000;

enum Task {
    Cancel(Arc<Cancel>),
    Run(Arc<dyn Fn() + Send + Sync>),
    Report(Report),
}

/// A request that no worker saw.
pub(super) struct Report {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) version: u8,
    pub(super) status: u16,
    pub(super) body_bytes: u64,
    pub(super) duration: Duration,
    pub(super) peer: Option<IpAddr>,
    pub(super) user_agent: Option<String>,
}

/// The handle of the thread, which ends with it.
pub(super) struct Helper {
    tasks: Sender<Task>,
    reports: Arc<AtomicUsize>,
}

impl Helper {
    pub(super) fn start(handler: Arc<dyn Handler>) -> io::Result<Helper> {
        let (tasks, inbox) = mpsc::channel::<Task>();
        let reports = Arc::new(AtomicUsize::new(0));
        let waiting = reports.clone();
        thread::Builder::new().name("gate helper".to_owned()).spawn(move || {
            for task in inbox {
                let done = catch_unwind(AssertUnwindSafe(|| match task {
                    Task::Cancel(cancel) => cancel.cancel(),
                    Task::Run(task) => task(),
                    Task::Report(report) => {
                        waiting.fetch_sub(1, Ordering::Relaxed);
                        report.give(&*handler);
                    }
                }));
                if done.is_err() {
                    log::error!("a task of the gate's helper panicked");
                }
            }
        })?;
        Ok(Helper { tasks, reports })
    }

    /// Stops the work of a request whose client has left.
    pub(super) fn cancel(&self, cancel: Arc<Cancel>) {
        // The thread lives as long as this handle.
        let _ = self.tasks.send(Task::Cancel(cancel));
    }

    /// Does something that may block.
    pub(super) fn run(&self, task: Arc<dyn Fn() + Send + Sync>) {
        let _ = self.tasks.send(Task::Run(task));
    }

    /// Tells the handler of a request that the gate answered.
    pub(super) fn report(&self, report: Report) {
        if self.reports.fetch_add(1, Ordering::Relaxed) < REPORTS_MAX {
            let _ = self.tasks.send(Task::Report(report));
        } else {
            self.reports.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Report {
    fn give(&self, handler: &dyn Handler) {
        handler.finished(&Exchange {
            method: &self.method,
            target: &self.target,
            version: self.version,
            status: self.status,
            body_bytes: self.body_bytes,
            duration: self.duration,
            peer: self.peer,
            user_agent: self.user_agent.as_deref(),
            role: None,
            waited: Duration::ZERO,
        });
    }
}
