//! The worker pool on tiny_http, without the gate, spoken to over raw sockets.

use goldenkey::http::{Request, Response};
use goldenkey::server::{Address, Exchange, Handler, Listen, Server, Settings, Shutdown};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Request line, status, body bytes and peer.
type Finished = (String, u16, u64, Option<IpAddr>);

/// Echoes what it got; some paths misbehave.
#[derive(Default)]
struct Echo {
    finished: Mutex<Vec<Finished>>,
}

impl Handler for Echo {
    fn handle(&self, request: Request) -> Response {
        match request.path.as_str() {
            "/panic" => panic!("the handler was told to"),
            "/nothing" => return Response { status: 204, ..Response::default() },
            "/slow" => std::thread::sleep(Duration::from_millis(300)),
            _ => {}
        }
        let body = format!(
            "{} {}?{} {} bytes",
            request.method,
            request.path,
            request.query,
            request.body.len()
        );
        Response { status: 200, headers: Vec::new(), body: body.into(), ..Response::default() }
    }

    fn finished(&self, exchange: &Exchange<'_>) {
        self.finished.lock().unwrap().push((
            format!("{} {}", exchange.method, exchange.target),
            exchange.status,
            exchange.body_bytes,
            exchange.peer,
        ));
    }
}

struct Running {
    address: SocketAddr,
    shutdown: Shutdown,
    thread: JoinHandle<std::io::Result<()>>,
    echo: Arc<Echo>,
}

fn start() -> Running {
    let server = Server::bind(Settings {
        listen: Listen::Tcp { host: "127.0.0.1".to_owned(), port: 0 },
        gate: false,
        threads: 2,
        body_max_bytes: 1000,
        ..Settings::default()
    })
    .unwrap();
    let address = server.address().tcp().unwrap();
    let echo = Arc::new(Echo::default());
    let (shutdown, handler) = (server.shutdown_handle(), echo.clone());
    let thread = std::thread::spawn(move || server.run(handler));
    Running { address, shutdown, thread, echo }
}

impl Running {
    /// Sends bytes on a new connection and reads until the server closes it.
    fn talk(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    fn stop(self) {
        self.shutdown.begin();
        self.thread.join().unwrap().unwrap();
    }
}

#[test]
fn requests_are_answered_with_head_and_body() {
    let running = start();
    let answer = running.talk(b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nServer: goldenkey/"), "{answer}");
    assert!(answer.contains("\r\nContent-Length: 18\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nGET /a?b=c 0 bytes"), "{answer}");
    let answer = running.talk(
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfour\
          POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
          3\r\nabc\r\n0\r\n\r\n",
    );
    assert!(answer.contains("POST /a? 4 bytes"), "{answer}");
    assert!(answer.ends_with("POST /b? 3 bytes"), "{answer}");
    let answer = running.talk(b"GET /nothing HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n"), "{answer}");
    assert!(!answer.contains("Content-Length"), "{answer}");
    let peer = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert_eq!(running.echo.finished.lock().unwrap()[0], ("GET /a?b=c".to_owned(), 200, 18, peer));
    running.stop();
}

#[test]
fn a_panic_costs_one_request() {
    let running = start();
    for _ in 0..5 {
        let answer = running.talk(b"GET /panic HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.contains(r#""code":"GK500""#), "{answer}");
    }
    let answer = running.talk(b"GET /well HTTP/1.0\r\n\r\n");
    assert!(answer.ends_with("GET /well? 0 bytes"), "{answer}");
    running.stop();
}

#[test]
fn a_body_beyond_the_limit_is_refused_whatever_it_promises() {
    let running = start();
    let mut small = b"POST / HTTP/1.0\r\nContent-Length: 1001\r\n\r\n".to_vec();
    small.extend_from_slice(&[b'x'; 1001]);
    assert!(running.talk(&small).starts_with("HTTP/1.1 413 "));
    // The connection stays open, so only the answer's beginning is read.
    let mut stream = TcpStream::connect(running.address).unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\n")
        .unwrap();
    let mut seen = String::new();
    while !seen.contains("GK413") {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    assert!(seen.contains("HTTP/1.1 413 "), "{seen}");
    running.stop();
}

#[test]
fn a_shutdown_lets_requests_in_flight_finish() {
    let running = start();
    let address = running.address;
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /slow HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    std::thread::sleep(Duration::from_millis(100));
    running.stop();
    assert!(client.join().unwrap().ends_with("GET /slow? 0 bytes"));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn without_the_gate_only_local_addresses_are_bound() {
    let bind = |listen| Server::bind(Settings { listen, gate: false, ..Settings::default() });
    let public = bind(Listen::Tcp { host: "!4".to_owned(), port: 0 });
    assert!(public.unwrap_err().to_string().contains("loopback"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let server = bind(Listen::Unix { path: path.clone(), mode: 0o600 }).unwrap();
    assert_eq!(*server.address(), Address::Unix(path));
}
