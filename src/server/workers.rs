//! The fixed pool of threads that take requests from tiny_http and answer them.
//!
//! tiny_http's accept loop ends for good at the first error of `accept`, or panics, when file
//! descriptors run out. Where clients connect to tiny_http, whoever notices starts it anew on
//! the same listening socket: the worker that hears of an error, or [`Workers::reviver`]. One
//! thread serves the connections of its predecessors and asks their clients to reconnect.
//!
//! Behind the gate the accept loop ends when it has the gate's connections, and tiny_http is
//! started anew only when the gate has lost them.

use super::exchange::{Persistence, Service};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
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

/// Makes a handle of a socket on which tiny_http listens.
pub(super) type ListenerSource = dyn Fn() -> io::Result<tiny_http::Listener> + Send + Sync;

/// Who connects to tiny_http.
pub(super) enum Source {
    /// Clients, to a socket that listens as long as the server runs.
    Clients(Box<ListenerSource>),
    /// The gate, which has connected already to each socket that comes from here; nobody else
    /// can.
    Gate(Box<ListenerSource>),
}

/// The running pool.
pub(super) struct Workers {
    shared: Arc<Shared>,
    count: usize,
    all_ended: Receiver<()>,
}

struct Shared {
    service: Service,
    source: Source,
    stopping: AtomicBool,
    /// Held while tiny_http is started anew.
    restarting: Mutex<()>,
    servers: Mutex<Servers>,
}

struct Servers {
    current: Arc<Server>,
    retired: Vec<(Instant, Arc<Server>)>,
    drained: bool,
}

/// A tiny_http.
struct Server {
    /// There until it is dropped.
    http: Option<tiny_http::Server>,
    listener: Descriptor,
    /// Whether its accept loop ends by itself.
    is_private: bool,
}

/// The listening socket that an accept loop owns, and closes when it ends.
struct Descriptor {
    path: PathBuf,
    socket: Option<(u64, u64)>,
}

impl Workers {
    /// Starts tiny_http and the threads.
    ///
    /// # Errors
    /// tiny_http cannot take the listener, or a thread cannot be started.
    pub(super) fn start(source: Source, count: usize, service: Service) -> io::Result<Workers> {
        let current = start_tiny_http(&source)?;
        let servers = Servers { current, retired: Vec::new(), drained: false };
        let shared = Arc::new(Shared {
            service,
            source,
            stopping: AtomicBool::new(false),
            restarting: Mutex::new(()),
            servers: Mutex::new(servers),
        });
        let (running, all_ended) = mpsc::channel();
        for number in 0..count.max(1) {
            let shared = shared.clone();
            spawn(format!("worker {number}"), &running, move || shared.work())?;
        }
        Ok(Workers { shared, count: count.max(1), all_ended })
    }

    /// Something to call now and then: it starts tiny_http anew when its accept loop has ended
    /// without a word.
    pub(super) fn reviver(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || shared.revive()
    }

    /// Calls `close_listener`, which ends tiny_http's accept loop, and lets the workers finish
    /// their requests and those that wait, until `deadline`; returns whether all have.
    pub(super) fn stop(self, deadline: Instant, close_listener: impl FnOnce()) -> bool {
        self.shared.stopping.store(true, Ordering::Release);
        close_listener();
        let current = self.shared.servers().current.clone();
        if let Some(flights) = &self.shared.service.flights {
            flights.roster().close();
        }
        // Each unblocks one worker, behind the requests that are already in the queue.
        (0..self.count).for_each(|_| current.unblock());
        let left = deadline.saturating_duration_since(Instant::now());
        self.all_ended.recv_timeout(left) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Shared {
    /// The life of a worker.
    fn work(self: Arc<Self>) {
        let roster = self.service.flights.as_ref().map(|flights| flights.roster());
        roster.inspect(|roster| roster.begin());
        loop {
            roster.inspect(|roster| roster.enter());
            let server = self.servers().current.clone();
            let received = server.recv();
            roster.inspect(|roster| roster.leave());
            match received {
                Ok(request) => self.service.serve(request, Persistence::AsRequested),
                // The end of its accept loop, which has what it is for.
                Err(error) if server.is_private && error.raw_os_error().is_some() => {}
                Err(error) if error.raw_os_error().is_some() => {
                    while !self.restart(&server, &error.to_string()) && !self.stopping() {}
                }
                // Unblocked: to end, or to look for the new server.
                Err(_) if self.stopping() => return,
                Err(_) => {}
            }
        }
    }

    fn revive(self: &Arc<Self>) {
        let current = self.servers().current.clone();
        if current.is_private {
            self.restart(&current, "the gate's connections broke");
        } else if !current.listener.is_open() {
            self.restart(&current, "its accept loop is gone");
        }
    }

    /// Replaces a tiny_http whose accept loop has ended; `failed` is that one. Returns whether
    /// it is replaced.
    fn restart(self: &Arc<Self>, failed: &Arc<Server>, reason: &str) -> bool {
        // What made accept fail is rarely over at once.
        thread::sleep(RESTART_INTERVAL);
        let _turn = self.restarting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stopping() || !Arc::ptr_eq(&self.servers().current, failed) {
            return true;
        }
        let fresh = match start_tiny_http(&self.source) {
            Ok(fresh) => fresh,
            Err(error) => {
                log::error!("tiny_http cannot be started: {error}");
                return false;
            }
        };
        log::error!("tiny_http was started anew: {reason}");
        let mut servers = self.servers();
        servers.current = fresh;
        // What the gate had sent to a predecessor it sends again.
        if !failed.is_private {
            servers.retired.push((Instant::now(), failed.clone()));
        }
        if !failed.is_private && !servers.drained {
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
        true
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
                while let Some(request) = server.try_recv() {
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

fn start_tiny_http(source: &Source) -> io::Result<Arc<Server>> {
    let (listener, is_private) = match source {
        Source::Clients(listener) => (listener()?, false),
        Source::Gate(listener) => (listener()?, true),
    };
    let descriptor = Descriptor::of(&listener);
    let http = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
    Ok(Arc::new(Server { http: Some(http), listener: descriptor, is_private }))
}

impl Server {
    fn recv(&self) -> io::Result<tiny_http::Request> {
        self.http.as_ref().map_or_else(|| Err(io::ErrorKind::NotConnected.into()), |h| h.recv())
    }

    fn try_recv(&self) -> Option<tiny_http::Request> {
        self.http.as_ref()?.try_recv().ok()?
    }

    /// Ends one wait in [`Server::recv`].
    fn unblock(&self) {
        if let Some(http) = &self.http {
            http.unblock();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // tiny_http wakes its accept loop by connecting to it, and panics when its socket has
        // no path. That loop has ended already.
        if self.is_private {
            std::mem::forget(self.http.take());
        }
    }
}

impl Descriptor {
    fn of(listener: &tiny_http::Listener) -> Descriptor {
        let number = match listener {
            tiny_http::Listener::Tcp(socket) => socket.as_raw_fd(),
            tiny_http::Listener::Unix(socket) => socket.as_raw_fd(),
        };
        let path = PathBuf::from(format!("/proc/self/fd/{number}"));
        Descriptor { socket: identity(&path), path }
    }

    /// Whether the number still stands for the same socket. True where that cannot be told.
    fn is_open(&self) -> bool {
        self.socket.is_none() || identity(&self.path) == self.socket
    }
}

/// What tells one open file from another.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
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
