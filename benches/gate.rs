//! What the gate costs: CPU time of the server a request, with tiny_http alone and with the
//! gate in front of it, from a client in a process of its own.
//!
//! `cargo bench --bench gate` prints a table; `-- SECONDS` changes the length of a round.

use goldenkey::http::{Request, Response};
use goldenkey::server::{Handler, Listen, Server, Settings};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const REQUEST: &[u8] = b"GET /todos?id=eq.1 HTTP/1.1\r\nHost: localhost:3000\r\n\
    User-Agent: bench\r\nAccept: application/json\r\n\
    Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoidG9kb191c2VyIn0.c2lnbmF0dXJl\r\n\r\n";

struct Fixed;

impl Handler for Fixed {
    fn handle(&self, request: Request) -> Response {
        let body = match request.path.as_str() {
            "/cpu" => cpu_micros().to_string(),
            _ => r#"[{"id":1,"done":false,"task":"finish tutorial 0","due":null}]"#.repeat(3),
        };
        let headers = vec![("Content-Type".into(), "application/json".to_owned())];
        Response { status: 200, headers, body: body.into(), ..Response::default() }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve") => serve(arguments[1] == "gate"),
        argument => {
            let seconds = argument.and_then(|a| a.parse().ok()).unwrap_or(3);
            compare(Duration::from_secs(seconds));
        }
    }
}

/// The server process: says its address on standard output.
fn serve(gate: bool) {
    let server = Server::bind(Settings {
        listen: Listen::Tcp { host: "127.0.0.1".to_owned(), port: 0 },
        gate,
        ..Settings::default()
    })
    .expect("a free port");
    println!("{}", server.address());
    server.run(Arc::new(Fixed)).expect("the server runs");
}

fn compare(round: Duration) {
    println!("connections  server    CPU us/request  requests/s   p50 us   p99 us");
    for connections in [1, 10, 100] {
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (mode, costs) in ["tiny_http", "gate"].into_iter().zip(&mut costs) {
                costs.push(measure(mode, connections, round));
            }
        }
        for (mode, costs) in ["tiny_http", "gate"].into_iter().zip(&mut costs) {
            costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
            let median = &costs[ROUNDS / 2];
            println!(
                "{connections:11}  {mode:9} {:14.1} {:11.0} {:8} {:8}",
                median.cpu, median.rate, median.p50, median.p99
            );
        }
    }
}

struct Cost {
    cpu: f64,
    rate: f64,
    p50: u128,
    p99: u128,
}

fn measure(mode: &str, connections: usize, round: Duration) -> Cost {
    let (mut child, address) = start(mode);
    let stop = AtomicBool::new(false);
    let (mut latencies, elapsed, cpu) = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..connections).map(|_| scope.spawn(|| client(address, &stop))).collect();
        std::thread::sleep(round / 4);
        let (begun, cpu) = (Instant::now(), cpu_of(address));
        std::thread::sleep(round);
        let cpu = cpu_of(address) - cpu;
        let elapsed = begun.elapsed();
        stop.store(true, Ordering::Relaxed);
        let during = begun..begun + elapsed;
        let latencies: Vec<u128> = clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client"))
            .filter(|(at, _)| during.contains(at))
            .map(|(_, latency)| latency.as_micros())
            .collect();
        (latencies, elapsed, cpu)
    });
    child.kill().expect("the server runs");
    child.wait().expect("the server ends");
    latencies.sort_unstable();
    let count = latencies.len();
    Cost {
        cpu: cpu as f64 / count as f64,
        rate: count as f64 / elapsed.as_secs_f64(),
        p50: latencies[count / 2],
        p99: latencies[count * 99 / 100],
    }
}

fn start(mode: &str) -> (Child, SocketAddr) {
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
    (child, address.trim().parse().expect("an address"))
}

/// Asks again and again; returns when each answer came and how long it took.
fn client(address: SocketAddr, stop: &AtomicBool) -> Vec<(Instant, Duration)> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a TCP connection");
    let mut latencies = Vec::new();
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        stream.write_all(REQUEST).expect("the server reads");
        let mut length = 0;
        while !buffer[..length].ends_with(b"}]") {
            let read = stream.read(&mut buffer[length..]).expect("the server answers");
            assert!(read > 0, "the server closed the connection");
            length += read;
        }
        latencies.push((Instant::now(), asked.elapsed()));
    }
    latencies
}

/// CPU time of the server so far, in microseconds.
fn cpu_of(address: SocketAddr) -> u64 {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.write_all(b"GET /cpu HTTP/1.0\r\n\r\n").expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    answer.rsplit("\r\n").next().and_then(|n| n.parse().ok()).expect("a number")
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
