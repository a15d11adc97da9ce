//! The admin server: whether the service is alive and ready, and its metrics, for those who
//! operate it. It has its own address, threads and descriptors, so that it answers while the
//! service is saturated.
//!
//! <https://docs.postgrest.org/en/v16/references/admin_server.html>

mod clients;
mod exchange;
mod reserve;

use super::listener::{Address, Listener};
use super::settings::{Listen, Settings};
use super::{Server, Statistics};
use crate::app::App;
use crate::http::{Body, Response};
use crate::observe::Readings;
use clients::{Answers, Clients, Question, Waker};
use exchange::{Asked, to_bytes};
use reserve::Reserve;
use socket2::{SockAddr, Socket, Type};
use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Stack of a thread.
const STACK_BYTES: usize = 256 << 10;

/// How long the service may take to accept a connection.
const REACH_TIMEOUT: Duration = Duration::from_secs(1);

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
    waker: Waker,
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
        self.listener.set_nonblocking()?;
        let (waker, mut reserve) = (Waker::new()?, Reserve::new()?);
        let (mut clients, answers) = Clients::new(waker.clone());
        let shared =
            Arc::new(Shared { listener: self.listener, ending: AtomicBool::new(false), waker });
        let mut running = RunningAdmin { shared: shared.clone(), threads: Vec::new() };
        let routes = Arc::new(Routes {
            app: app.clone(),
            service: self.service,
            statistics: self.statistics,
        });
        // Probes are answered while a large document is made for somebody else.
        let probes = running.start_answering("admin probes", &routes, &answers)?;
        let documents = running.start_answering("admin documents", &routes, &answers)?;
        running.start_thread("admin", move || {
            let ask = |question: Question| {
                let queue = if question.is_probe() { &probes } else { &documents };
                // The threads that answer end after this one.
                let _ = queue.send(question);
            };
            clients.serve(&shared.listener, &mut reserve, &shared.ending, &ask);
        })?;
        Ok(running)
    }
}

impl RunningAdmin {
    /// Starts a thread that answers the questions it is sent.
    fn start_answering(
        &mut self,
        name: &str,
        routes: &Arc<Routes>,
        answers: &Answers,
    ) -> io::Result<Sender<Question>> {
        let (sender, questions) = mpsc::channel::<Question>();
        let (routes, answers) = (routes.clone(), answers.clone());
        self.start_thread(name, move || {
            for question in questions {
                answers.give(&question, routes.answer(question.asked.as_ref()));
            }
        })?;
        Ok(sender)
    }

    fn start_thread(&mut self, name: &str, life: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        self.threads.push(thread.spawn(life)?);
        Ok(())
    }
}

impl Drop for RunningAdmin {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        self.shared.listener.close();
        self.shared.waker.wake();
        for thread in self.threads.drain(..).rev() {
            // A panic has been told, and there is nothing to clean up.
            let _ = thread.join();
        }
    }
}

impl Question {
    /// Whether it is one of those that are asked often and are quick to answer.
    fn is_probe(&self) -> bool {
        self.asked.as_ref().is_none_or(|asked| matches!(&*asked.path, "/live" | "/ready"))
    }
}

/// What there is to ask for.
struct Routes {
    app: Arc<App>,
    service: Address,
    statistics: Arc<Statistics>,
}

impl Routes {
    /// The bytes that answer a request, or what was none.
    fn answer(&self, asked: Option<&Asked>) -> Vec<u8> {
        match asked {
            Some(Asked { to_head, path }) => to_bytes(&self.response(path), *to_head),
            None => to_bytes(&Response { status: 400, ..Response::default() }, false),
        }
    }

    /// The answer for a path, whatever the method.
    fn response(&self, path: &str) -> Response {
        let status = |status| Response { status, ..Response::default() };
        match path {
            "/live" => status(if self.is_alive() { 200 } else { 500 }),
            "/ready" if !self.is_alive() => status(500),
            "/ready" => {
                let is_ready = self.app.is_ready() && !self.statistics.is_stuck();
                status(if is_ready { 200 } else { 503 })
            }
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
