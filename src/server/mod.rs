//! The front of the service: listening, the worker pool on tiny_http, and the end of both.
//!
//! [`Server::bind`] takes the listening socket, [`Server::run`] answers requests with a
//! [`Handler`] until a [`Shutdown`] is begun. What a request means is not its job: the
//! handler gets and gives the plain values of [`crate::http`].
//!
//! ```no_run
//! use goldenkey::http::{Request, Response};
//! use goldenkey::server::{Handler, Server, Settings};
//! use std::sync::Arc;
//!
//! struct Hello;
//! impl Handler for Hello {
//!     fn handle(&self, request: Request) -> Response {
//!         Response { status: 200, body: format!("{}\n", request.path).into(), ..Response::default() }
//!     }
//! }
//!
//! let server = Server::bind(Settings::default())?;
//! let shutdown = server.shutdown_handle(); // give it to whoever handles signals
//! server.run(Arc::new(Hello))?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod admin;
mod exchange;
mod flights;
pub mod gate;
mod limits;
mod listener;
mod message;
mod output;
mod process;
mod reply;
mod roster;
mod settings;
mod shutdown;
mod statistics;
mod workers;

pub use admin::Admin;
pub use limits::Limits;
pub use listener::Address;
pub use settings::{Listen, Settings};
pub use shutdown::Shutdown;
pub use statistics::Statistics;

use crate::http::{Request, Response};
use exchange::Service;
use flights::Flights;
use gate::PrivateSocket;
use listener::Listener;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use workers::{Source, Workers};

/// `Server` header of every response.
const SERVER_NAME: &str = concat!("goldenkey/", env!("CARGO_PKG_VERSION"));

/// Between two looks at whether tiny_http still accepts connections, when it listens itself.
const REVIVAL_INTERVAL: Duration = Duration::from_secs(1);

/// What answers the requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request. A panic costs this request only: its client gets a 500.
    fn handle(&self, request: Request) -> Response;

    /// Called once for every answered request, on the thread that answered it, for access
    /// log and metrics.
    fn finished(&self, exchange: &Exchange<'_>) {
        let _ = exchange;
    }
}

/// A request and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The method as sent; empty when the request could not be read so far.
    pub method: &'a str,
    /// The request target as sent; empty when the request could not be read so far.
    pub target: &'a str,
    /// The minor version of HTTP/1: 0 or 1.
    pub version: u8,
    /// The status answered, or 499 when the client left before the answer.
    pub status: u16,
    /// Bytes of the response's body.
    pub body_bytes: u64,
    /// From the arrival of the request to its answer.
    pub duration: Duration,
    /// How long of it the request waited for a worker.
    pub waited: Duration,
    /// The client's address; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The `User-Agent` of the request.
    pub user_agent: Option<&'a str>,
    /// The database role of the request; `None` when it was refused before it had one.
    pub role: Option<&'a str>,
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    listener: Listener,
    shutdown: Shutdown,
    statistics: Arc<Statistics>,
}

impl Server {
    /// Binds the listening socket.
    ///
    /// # Errors
    /// The address cannot be bound, or the settings would expose tiny_http to more than this
    /// machine ([`Settings::gate`]).
    pub fn bind(settings: Settings) -> io::Result<Server> {
        let listener = Listener::bind(&settings)?;
        if !settings.gate && !listener.is_local() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "without the gate only a loopback address or a Unix socket is served, not {}",
                    listener.address()
                ),
            ));
        }
        Ok(Server { settings, listener, shutdown: Shutdown::default(), statistics: Arc::default() })
    }

    /// The address that clients connect to, with the port that was given by the system.
    pub fn address(&self) -> &Address {
        self.listener.address()
    }

    /// What the gate holds and refuses, once it runs.
    pub fn statistics(&self) -> Arc<Statistics> {
        self.statistics.clone()
    }

    /// A handle that ends [`Server::run`] from any thread.
    pub fn shutdown_handle(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Answers requests until a shutdown is begun and the requests in flight are answered,
    /// or [`Settings::shutdown_timeout`] has passed since.
    ///
    /// # Errors
    /// The worker pool cannot be started.
    pub fn run(self, handler: Arc<dyn Handler>) -> io::Result<()> {
        process::return_large_allocations();
        if self.settings.gate { self.run_with_gate(handler) } else { self.run_direct(handler) }
    }

    /// tiny_http listens itself.
    fn run_direct(self, handler: Arc<dyn Handler>) -> io::Result<()> {
        let Server { settings, listener, shutdown, .. } = self;
        let listener = Arc::new(listener);
        let service = Service {
            handler,
            body_max_bytes: settings.body_max_bytes,
            limits: settings.limits,
            flights: None,
        };
        let source = listener.clone();
        let source = Source::Clients(Box::new(move || source.for_tiny_http()));
        let workers = Workers::start(source, settings.threads, service)?;
        let revive = workers.reviver();
        while !shutdown.wait(REVIVAL_INTERVAL) {
            revive();
        }
        let deadline = Instant::now() + settings.shutdown_timeout;
        end(workers.stop(deadline, || listener.close()));
        Ok(())
    }

    /// tiny_http listens on a private socket, to which the gate connects.
    fn run_with_gate(self, handler: Arc<dyn Handler>) -> io::Result<()> {
        let Server { settings, listener, shutdown, statistics } = self;
        let limits = process::fit(settings.limits, settings.threads);
        let places = gate::places(settings.threads);
        let flights = Arc::new(Flights::new(places, limits.buffer_max_bytes)?);
        let private = Arc::new(PrivateSocket::default());
        let service = Service {
            handler: handler.clone(),
            body_max_bytes: settings.body_max_bytes,
            limits: limits.clone(),
            flights: Some(flights.clone()),
        };
        let source = private.clone();
        let source = Source::Gate(Box::new(move || source.listener()));
        let workers = Workers::start(source, settings.threads, service)?;
        statistics.set_limits(limits.connections_max, limits.queue_max);
        let parts = gate::Parts {
            listener: Arc::new(listener),
            private,
            revive: Arc::new(workers.reviver()),
            flights,
            handler,
            limits,
            statistics,
            body_max_bytes: settings.body_max_bytes,
            shutdown: shutdown.clone(),
            shutdown_timeout: settings.shutdown_timeout,
        };
        let served = gate::serve(&parts);
        // The requests of clients that left may still run.
        let deadline = Instant::now() + settings.shutdown_timeout;
        end(workers.stop(deadline, || ()));
        served
    }
}

fn end(all_finished: bool) {
    if !all_finished {
        log::warn!("the shutdown timeout has passed with requests unfinished");
    }
}
