//! CPU time of the server a request, with tiny_http alone and with the gate in front of it.

use crate::server::{Server, ask};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const MODES: [&str; 2] = ["tiny_http", "gate"];

/// Prints the table, from interleaved rounds of that length.
pub fn compare(round: Duration) {
    println!("connections  server    CPU us/request  requests/s   p50 us   p99 us");
    for connections in [1, 10, 100] {
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (mode, costs) in MODES.into_iter().zip(&mut costs) {
                costs.push(measure(mode, connections, round));
            }
        }
        for (mode, costs) in MODES.into_iter().zip(&mut costs) {
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
    let server = Server::start(mode);
    let address = server.address;
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
    drop(server);
    latencies.sort_unstable();
    let count = latencies.len();
    Cost {
        cpu: cpu as f64 / count as f64,
        rate: count as f64 / elapsed.as_secs_f64(),
        p50: latencies[count / 2],
        p99: latencies[count * 99 / 100],
    }
}

/// Asks again and again; returns when each answer came and how long it took.
fn client(address: SocketAddr, stop: &AtomicBool) -> Vec<(Instant, Duration)> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a TCP connection");
    let mut latencies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        ask(&mut stream);
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
