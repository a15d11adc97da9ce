//! The fixed pool of threads that take requests from tiny_http and answer them.
//!
//! tiny_http's accept loop ends for good at the first error of `accept`, such as running out
//! of file descriptors. The worker that hears of it starts tiny_http anew on the same
//! listening socket; one thread serves the connections of its predecessors and asks their
//! clients to reconnect.

use super::exchange::{Persistence, Service};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Between two attempts to start tiny_http anew.
const RESTART_INTERVAL: Duration = Duration::from_millis(100);
/// Between two looks at the queues of tiny_http's predecessors.
const RETIRED_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How long a predecessor's connections are served. A client that was idle for longer has to
/// notice by itself.
const RETIRED_LIFETIME: Duration = Duration::from_secs(600);
/// Stack of a worker; only what is touched costs memory.
const STACK_BYTES: usize = 2 << 20;

/// Makes a handle of the socket on which tiny_http listens.
pub(super) type ListenerSource = dyn Fn() -> io::Result<tiny_http::Listener> + Send + Sync;

/// The running pool.
pub(super) struct Workers {
    shared: Arc<Shared>,
    count: usize,
    all_ended: Receiver<()>,
}

struct Shared {
    service: Service,
    listener: Box<ListenerSource>,
    stopping: AtomicBool,
    servers: Mutex<Servers>,
}

struct Servers {
    current: Arc<tiny_http::Server>,
    retired: Vec<(Instant, Arc<tiny_http::Server>)>,
    drained: bool,
}

impl Workers {
    /// Starts tiny_http and the threads.
    ///
    /// # Errors
    /// tiny_http cannot take the listener, or a thread cannot be started.
    pub(super) fn start(
        listener: Box<ListenerSource>,
        count: usize,
        service: Service,
    ) -> io::Result<Workers> {
        let current = start_tiny_http(&*listener)?;
        let servers = Servers { current, retired: Vec::new(), drained: false };
        let shared = Arc::new(Shared {
            service,
            listener,
            stopping: AtomicBool::new(false),
            servers: Mutex::new(servers),
        });
        let (running, all_ended) = mpsc::channel();
        for number in 0..count.max(1) {
            let shared = shared.clone();
            spawn(format!("worker {number}"), &running, move || shared.work())?;
        }
        Ok(Workers { shared, count: count.max(1), all_ended })
    }

    /// Calls `close_listener`, which ends tiny_http's accept loop, and lets the workers finish
    /// their requests and those that wait, until `deadline`; returns whether all have.
    pub(super) fn stop(self, deadline: Instant, close_listener: impl FnOnce()) -> bool {
        self.shared.stopping.store(true, Ordering::Release);
        close_listener();
        let current = self.shared.servers().current.clone();
        // Each unblocks one worker, behind the requests that are already in the queue.
        (0..self.count).for_each(|_| current.unblock());
        let left = deadline.saturating_duration_since(Instant::now());
        self.all_ended.recv_timeout(left) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Shared {
    /// The life of a worker.
    fn work(self: Arc<Self>) {
        loop {
            let server = self.servers().current.clone();
            match server.recv() {
                Ok(request) => self.service.serve(request, Persistence::AsRequested),
                Err(error) if error.raw_os_error().is_some() => self.restart(&server, &error),
                // Unblocked: to end, or to look for the new server.
                Err(_) if self.stopping() => return,
                Err(_) => {}
            }
        }
    }

    /// Replaces a tiny_http whose accept loop has ended; `failed` is that one.
    fn restart(self: &Arc<Self>, failed: &Arc<tiny_http::Server>, error: &io::Error) {
        if self.stopping() {
            return;
        }
        log::error!("tiny_http stopped to accept connections and is started anew: {error}");
        let fresh = loop {
            // What made accept fail is rarely over at once.
            thread::sleep(RESTART_INTERVAL);
            match start_tiny_http(&*self.listener) {
                Ok(fresh) => break fresh,
                Err(_) if self.stopping() => return,
                Err(error) => log::error!("tiny_http cannot be started: {error}"),
            }
        };
        let mut servers = self.servers();
        servers.current = fresh;
        servers.retired.push((Instant::now(), failed.clone()));
        if !servers.drained {
            let shared = self.clone();
            let (running, _) = mpsc::channel();
            servers.drained =
                spawn("retired".to_owned(), &running, move || shared.serve_retired()).is_ok();
        }
        drop(servers);
        // The workers that wait at the old queue look up the new one when unblocked; those that
        // are busy do so anyway, and their share of it is left there unread.
        let workers = Arc::strong_count(failed);
        (0..workers).for_each(|_| failed.unblock());
    }

    /// Answers what still arrives on connections of tiny_http's predecessors.
    fn serve_retired(self: Arc<Self>) {
        while !self.stopping() {
            let retired = {
                let mut servers = self.servers();
                servers.retired.retain(|(since, _)| since.elapsed() < RETIRED_LIFETIME);
                servers.drained = !servers.retired.is_empty();
                if !servers.drained {
                    return;
                }
                servers.retired.clone()
            };
            for (_, server) in retired {
                while let Ok(Some(request)) = server.try_recv() {
                    self.service.serve(request, Persistence::Close);
                }
            }
            thread::sleep(RETIRED_POLL_INTERVAL);
        }
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start_tiny_http(listener: &ListenerSource) -> io::Result<Arc<tiny_http::Server>> {
    tiny_http::Server::from_listener(listener()?, None).map(Arc::new).map_err(io::Error::other)
}

/// Starts a thread that keeps `running` alive until it ends.
fn spawn(
    name: String,
    running: &Sender<()>,
    life: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let running = running.clone();
    thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(move || {
        let _running = running;
        life();
    })?;
    Ok(())
}
