//! A server with a talkative handler, and a client that speaks bytes.

use goldenkey::http::{Request, Response};
use goldenkey::server::{Address, Exchange, Handler, Listen, Server, Settings, Shutdown};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than anything here takes; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub method: String,
    pub target: String,
    pub version: u8,
    pub status: u16,
    pub body_bytes: u64,
    pub peer: Option<IpAddr>,
    pub user_agent: Option<String>,
}

/// Answers by path: `/echo` tells the request, `/big/N` has N bytes, `/none` has no body,
/// `/hold` waits for [`Running::release`] or its client's departure, `/panic` panics.
struct Talkative(Arc<State>);

#[derive(Default)]
pub struct State {
    finished: Mutex<Vec<Finished>>,
    released: Mutex<bool>,
    release: Condvar,
    pub holding: AtomicUsize,
    pub cancelled: AtomicUsize,
}

impl Handler for Talkative {
    fn handle(&self, request: Request) -> Response {
        let path = request.path.clone();
        let size = path.strip_prefix("/big/").map(|n| n.parse::<usize>().unwrap());
        match path.as_str() {
            "/none" => return Response { status: 204, ..Response::default() },
            "/same" => return Response { status: 304, ..Response::default() },
            "/panic" => panic!("the handler was told to"),
            "/hold" => self.0.hold(&request),
            _ => {}
        }
        let body = match size {
            Some(size) => "x".repeat(size),
            None => tell(&request),
        };
        let headers = vec![("Content-Type".into(), "text/plain".to_owned())];
        Response { status: 200, headers, body: body.into(), ..Response::default() }
    }

    fn finished(&self, exchange: &Exchange<'_>) {
        self.0.finished.lock().unwrap().push(Finished {
            method: exchange.method.to_owned(),
            target: exchange.target.to_owned(),
            version: exchange.version,
            status: exchange.status,
            body_bytes: exchange.body_bytes,
            peer: exchange.peer,
            user_agent: exchange.user_agent.map(str::to_owned),
        });
    }
}

impl State {
    fn hold(self: &Arc<Self>, request: &Request) {
        self.holding.fetch_add(1, Ordering::SeqCst);
        let handler = self.clone();
        let cancel = request.cancel.clone().expect("the gate watches its clients");
        let guard = cancel.on_cancel(move || {
            handler.cancelled.fetch_add(1, Ordering::SeqCst);
            drop(handler.released.lock().unwrap());
            handler.release.notify_all();
        });
        let released = self.released.lock().unwrap();
        let (released, _) = self
            .release
            .wait_timeout_while(released, PATIENCE, |released| !*released && !cancel.is_cancelled())
            .unwrap();
        drop(released);
        drop(guard);
        self.holding.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The request as the handler sees it.
fn tell(request: &Request) -> String {
    let mut text = format!("{} {}?{}\n", request.method, request.path, request.query);
    for (name, value) in request.headers.iter() {
        text.push_str(&format!("{name}={value}\n"));
    }
    let body = String::from_utf8_lossy(&request.body);
    text.push_str(&format!("peer={:?}\nbody[{}]={body}\n", request.peer, request.body.len()));
    text
}

/// A running server.
pub struct Running {
    pub address: Address,
    pub handler: Arc<State>,
    shutdown: Shutdown,
    thread: JoinHandle<std::io::Result<()>>,
}

/// Settings for a test: a free local port, two workers, bodies of 1,000 bytes.
pub fn settings() -> Settings {
    Settings {
        listen: Listen::Tcp { host: "127.0.0.1".to_owned(), port: 0 },
        threads: 2,
        body_max_bytes: 1000,
        ..Settings::default()
    }
}

/// Starts a server; `change` adapts its settings.
pub fn start(change: impl FnOnce(&mut Settings)) -> Running {
    let mut settings = settings();
    change(&mut settings);
    let server = Server::bind(settings).unwrap();
    let address = server.address().clone();
    let handler = Arc::new(State::default());
    let (shutdown, handle) = (server.shutdown_handle(), Arc::new(Talkative(handler.clone())));
    let thread = std::thread::spawn(move || server.run(handle));
    Running { address, handler, shutdown, thread }
}

impl Running {
    pub fn port_address(&self) -> SocketAddr {
        self.address.tcp().expect("a TCP server")
    }

    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.port_address()).unwrap();
        Client::new(stream)
    }

    /// Sends bytes on a connection of their own, and reads until the server closes it.
    pub fn talk(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.send(bytes);
        client.read_to_end()
    }

    /// Whether a fresh client is served.
    pub fn assert_serves(&self) {
        let answer = self.talk("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }

    /// Lets all requests for `/hold` end, also those that come.
    pub fn release(&self) {
        *self.handler.released.lock().unwrap() = true;
        self.handler.release.notify_all();
    }

    pub fn finished(&self) -> Vec<Finished> {
        self.handler.finished.lock().unwrap().clone()
    }

    /// Waits until a request of that target and status is reported.
    pub fn wait_finished(&self, target: &str, status: u16) -> Finished {
        wait_for(&format!("{target} to end with {status}"), || {
            self.finished().into_iter().find(|f| f.target == target && f.status == status)
        })
    }

    /// Waits until that many requests are held.
    pub fn wait_holding(&self, count: usize) {
        wait_for(&format!("{count} requests to be held"), || {
            (self.handler.holding.load(Ordering::SeqCst) == count).then_some(())
        });
    }

    pub fn begin_shutdown(&self) {
        self.shutdown.begin();
    }

    pub fn join(self) {
        self.thread.join().unwrap().unwrap();
    }

    pub fn stop(self) {
        self.release();
        self.begin_shutdown();
        self.join();
    }
}

/// Looks again and again until there is a value.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A connection that speaks bytes.
pub struct Client<S: Read + Write = TcpStream> {
    pub stream: S,
    unread: Vec<u8>,
}

impl Client<TcpStream> {
    pub fn new(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, unread: Vec::new() }
    }

    /// Sends, unless the server has closed the connection.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Whether something has arrived already.
    pub fn has_answer(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let arrived = self.stream.peek(&mut [0]).is_ok();
        self.stream.set_nonblocking(false).unwrap();
        arrived
    }
}

impl<S: Read + Write> Client<S> {
    pub fn over(stream: S) -> Client<S> {
        Client { stream, unread: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends and reads one response.
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.send(bytes);
        self.response(true)
    }

    /// Reads one response; `with_body` is false for the answer to `HEAD`.
    pub fn response(&mut self, with_body: bool) -> String {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end + 4;
            }
            self.more();
        };
        let head = String::from_utf8(self.unread[..end].to_vec()).unwrap();
        let length = header(&head, "Content-Length").map_or(0, |n| n.parse().unwrap());
        let total = if with_body { end + length } else { end };
        while self.unread.len() < total {
            self.more();
        }
        let rest = self.unread.split_off(total);
        String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap()
    }

    fn more(&mut self) {
        let mut bytes = [0; 65536];
        let length = self.stream.read(&mut bytes).unwrap();
        assert!(length > 0, "closed after {:?}", String::from_utf8_lossy(&self.unread));
        self.unread.extend_from_slice(&bytes[..length]);
    }

    /// Everything until the server closes the connection.
    pub fn read_to_end(&mut self) -> String {
        let mut bytes = std::mem::take(&mut self.unread);
        if let Err(error) = self.stream.read_to_end(&mut bytes) {
            // A reset after the last byte still is the end.
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        }
        String::from_utf8(bytes).unwrap()
    }

    /// What arrives until the connection ends or falls silent.
    pub fn read_available(&mut self) -> Vec<u8>
    where
        S: Into<TcpStream> + std::borrow::Borrow<TcpStream>,
    {
        self.stream.borrow().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut bytes = std::mem::take(&mut self.unread);
        // The error is the silence, or a reset.
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    /// Whether the server has closed the connection, or does so soon.
    pub fn assert_closed(&mut self) {
        assert_eq!(self.read_to_end(), "");
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The value of a field of a response.
pub fn header<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    let head = response.split("\r\n\r\n").next()?;
    head.lines().skip(1).find_map(|line| {
        let (field, value) = line.split_once(": ")?;
        field.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// The status of a response.
pub fn status(response: &str) -> u16 {
    response.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| {
        panic!("no response: {response:?}");
    })
}
