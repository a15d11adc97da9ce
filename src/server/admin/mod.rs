//! The admin server: whether the service is alive and ready, and its metrics, for those who
//! operate it. It has its own address, threads and descriptors, so that it answers while the
//! service is saturated.
//!
//! <https://docs.postgrest.org/en/v16/references/admin_server.html>

mod exchange;
mod reserve;

use super::listener::{Address, Listener};
use super::settings::{Listen, Settings};
use super::{Server, Statistics};
use crate::app::App;
use crate::http::{Body, Response};
use crate::observe::Readings;
use exchange::{read_path, send};
use reserve::Reserve;
use socket2::{SockAddr, Socket, Type};
use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Threads, and so clients that are served at a time. The second one answers while somebody
/// keeps the first one waiting.
const THREADS: usize = 2;

/// Stack of a thread.
const STACK_BYTES: usize = 256 << 10;

/// How long one exchange may take in all.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the service may take to accept a connection.
const REACH_TIMEOUT: Duration = Duration::from_secs(1);

/// The wait after a connection could not be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// An admin server that has its address, and does not answer yet.
#[derive(Debug)]
pub struct Admin {
    listener: Listener,
    service: Address,
    statistics: Arc<Statistics>,
}

/// A running admin server. Dropping it ends it.
#[derive(Debug)]
pub struct RunningAdmin {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    listener: Listener,
    ending: AtomicBool,
}

impl Admin {
    /// Binds the address for the admin server of `server`.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(listen: &Listen, server: &Server) -> io::Result<Admin> {
        let settings = Settings { listen: listen.clone(), ..Settings::default() };
        Ok(Admin {
            listener: Listener::bind(&settings)?,
            service: server.address().clone(),
            statistics: server.statistics(),
        })
    }

    /// The address that clients connect to.
    pub fn address(&self) -> &Address {
        self.listener.address()
    }

    /// Begins to answer.
    ///
    /// # Errors
    /// The system refuses threads or descriptors.
    pub fn start(self, app: &Arc<App>) -> io::Result<RunningAdmin> {
        let shared = Arc::new(Shared { listener: self.listener, ending: AtomicBool::new(false) });
        let mut running = RunningAdmin { shared: shared.clone(), threads: Vec::new() };
        for number in 0..THREADS {
            let shared = shared.clone();
            let routes = Routes {
                app: app.clone(),
                service: self.service.clone(),
                statistics: self.statistics.clone(),
            };
            let mut reserve = Reserve::new()?;
            let thread = thread::Builder::new().name(format!("admin {number}"));
            let life = move || shared.serve(&routes, &mut reserve);
            running.threads.push(thread.stack_size(STACK_BYTES).spawn(life)?);
        }
        Ok(running)
    }
}

impl Drop for RunningAdmin {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        self.shared.listener.close();
        for thread in self.threads.drain(..) {
            // A panic has been told, and there is nothing to clean up.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The life of a thread.
    fn serve(&self, routes: &Routes, reserve: &mut Reserve) {
        while !self.ending.load(Ordering::Acquire) {
            let accepted = match self.listener.accept() {
                Err(error) if reserve::is_exhaustion(&error) => {
                    reserve.release();
                    self.listener.accept()
                }
                accepted => accepted,
            };
            match accepted {
                Ok((socket, _)) => {
                    if let Err(error) = answer(&socket, routes) {
                        log::debug!("an admin request was not answered: {error}");
                    }
                }
                Err(_) => thread::sleep(ACCEPT_RETRY),
            }
            reserve.refill();
        }
    }
}

fn answer(socket: &Socket, routes: &Routes) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    let deadline = Instant::now() + EXCHANGE_TIMEOUT;
    let Some((to_head, path)) = read_path(socket, deadline)? else {
        return send(socket, &Response { status: 400, ..Response::default() }, false, deadline);
    };
    send(socket, &routes.response(&path), to_head, deadline)
}

/// What there is to ask for.
struct Routes {
    app: Arc<App>,
    service: Address,
    statistics: Arc<Statistics>,
}

impl Routes {
    /// The answer for a path, whatever the method.
    fn response(&self, path: &str) -> Response {
        let status = |status| Response { status, ..Response::default() };
        match path {
            "/live" => status(if self.is_alive() { 200 } else { 500 }),
            "/ready" if !self.is_alive() => status(500),
            "/ready" => status(if self.app.is_ready() { 200 } else { 503 }),
            "/metrics" => {
                let metrics = self.app.observer().metrics();
                text("text/plain; charset=utf-8", metrics.to_text(&self.readings()))
            }
            "/schema_cache" => match &self.app.live().schema {
                Some(schema) => match serde_json::to_string(&**schema) {
                    Ok(json) => text("application/json; charset=utf-8", json),
                    Err(_) => status(500),
                },
                None => status(503),
            },
            _ => status(404),
        }
    }

    fn readings(&self) -> Readings {
        let gate = &self.statistics;
        Readings {
            client_connections: gate.connections() as u64,
            client_connections_max: gate.connections_max() as u64,
            waiting: gate.waiting() as u64,
            waiting_max: gate.waiting_max() as u64,
            refusals: gate.incidents().collect(),
            ..self.app.readings()
        }
    }

    /// Whether the service accepts connections. That this process has no descriptor left to
    /// find out does not mean it is dead.
    fn is_alive(&self) -> bool {
        reach(&self.service)
            .or_else(|error| match reserve::is_exhaustion(&error) {
                true => Ok(()),
                false => Err(error),
            })
            .is_ok()
    }
}

fn text(content_type: &str, body: String) -> Response {
    Response {
        status: 200,
        headers: vec![(Cow::Borrowed("Content-Type"), content_type.to_owned())],
        body: Body::from(body),
        ..Response::default()
    }
}

/// Connects to the service and leaves at once.
fn reach(service: &Address) -> io::Result<()> {
    let address = match service {
        Address::Tcp(address) => SockAddr::from(from_here(*address)),
        Address::Unix(path) => SockAddr::unix(path)?,
    };
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    socket.connect_timeout(&address, REACH_TIMEOUT)
}

/// Where a process on this machine finds what listens on an address, which may stand for all.
fn from_here(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_is_reached_on_this_machine() {
        for (listens, reached) in [
            ("0.0.0.0:3000", "127.0.0.1:3000"),
            ("[::]:3000", "[::1]:3000"),
            ("192.0.2.1:3000", "192.0.2.1:3000"),
        ] {
            assert_eq!(from_here(listens.parse().unwrap()), reached.parse().unwrap());
        }
    }

    #[test]
    fn a_service_that_does_not_listen_is_not_reached() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        assert!(reach(&address).is_ok());
        drop(listener);
        assert!(reach(&address).is_err());
    }
}
