//! The server under test, in a process of its own, and one request to it.

use goldenkey::http::{Request, Response};
use goldenkey::server::{Handler, Listen, Server as GoldenkeyServer, Settings};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const REQUEST: &[u8] = b"GET /todos?id=eq.1 HTTP/1.1\r\nHost: localhost:3000\r\n\
    User-Agent: bench\r\nAccept: application/json\r\n\
    Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoidG9kb191c2VyIn0.c2lnbmF0dXJl\r\n\r\n";

/// Answers `/big/N` with N bytes, `/cpu` with the process's CPU time in microseconds, and
/// everything else with a little JSON.
struct Fixed;

impl Handler for Fixed {
    fn handle(&self, request: Request) -> Response {
        let body = match (request.path.as_str(), request.path.strip_prefix("/big/")) {
            ("/cpu", _) => cpu_micros().to_string(),
            (_, Some(size)) => "x".repeat(size.parse().unwrap_or(0)),
            _ => r#"[{"id":1,"done":false,"task":"finish tutorial 0","due":null}]"#.repeat(3),
        };
        let headers = vec![("Content-Type".into(), "application/json".to_owned())];
        Response { status: 200, headers, body: body.into(), ..Response::default() }
    }
}

/// The life of the server process; it says its address on standard output.
pub fn serve(mode: &str) {
    let server = GoldenkeyServer::bind(Settings {
        listen: Listen::Tcp { host: "127.0.0.1".to_owned(), port: 0 },
        gate: mode == "gate",
        ..Settings::default()
    })
    .expect("a free port");
    println!("{}", server.address());
    server.run(Arc::new(Fixed)).expect("the server runs");
}

/// A server process, ended when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts this program as a server, with the gate when the mode is `gate`.
    pub fn start(mode: &str) -> Server {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["serve", mode])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut address = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut address)
            .expect("the server's address");
        Server { child, address: address.trim().parse().expect("an address") }
    }

    /// A number of /proc/PID/status, such as `Threads` or `VmRSS` (in KiB).
    pub fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the server runs");
        let line = status.lines().find(|line| line.starts_with(&format!("{field}:")));
        let value = line.and_then(|line| line.split_whitespace().nth(1));
        value.and_then(|value| value.parse().ok()).expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("the server ends");
    }
}

/// Sends a request and reads its answer.
pub fn ask(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    stream.write_all(REQUEST).expect("the server reads");
    let mut length = 0;
    while !buffer[..length].ends_with(b"}]") {
        let read = stream.read(&mut buffer[length..]).expect("the server answers");
        assert!(read > 0, "the server closed the connection");
        length += read;
    }
}

fn cpu_micros() -> u64 {
    // SAFETY: all zeroes are a valid value, and the call gets a pointer to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    micros(usage.ru_utime) + micros(usage.ru_stime)
}
