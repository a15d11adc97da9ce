//! A normal client beside thousands of idle ones and hundreds of slow ones.

use crate::server::{Server, ask};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const IDLE: usize = 10_000;
const SLOW: usize = 500;
const BIG_RESPONSE_BYTES: usize = 10_000_000;
/// The window of a slow reader: most of its response has to wait in the server.
const RECEIVE_BUFFER_BYTES: usize = 4096;
/// How often a slow client sends or takes its next few bytes.
const PACE: Duration = Duration::from_secs(1);

/// Prints a line for each crowd.
pub fn report(round: Duration) {
    println!("crowd           normal p50 us   p99 us   memory MiB   threads");
    let server = Server::start("gate");
    let mut client = TcpStream::connect(server.address).expect("the server listens");
    client.set_nodelay(true).expect("a TCP connection");
    print("nobody", &server, &normal(&mut client, round));
    let idle: Vec<_> = (0..IDLE)
        .map(|_| TcpStream::connect(server.address).expect("the server takes 10,000"))
        .collect();
    print("10,000 idle", &server, &normal(&mut client, round));
    drop(idle);
    print("after them", &server, &normal(&mut client, round));

    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let address = server.address;
        let slow = scope.spawn({
            let stop = &stop;
            move || be_slow(address, stop)
        });
        std::thread::sleep(3 * PACE);
        print("1,500 slow", &server, &normal(&mut client, round));
        print("the same later", &server, &normal(&mut client, round));
        stop.store(true, Ordering::Relaxed);
        let left = slow.join().expect("the slow clients");
        println!("slow readers still connected: {left} of {SLOW}");
    });
    std::thread::sleep(PACE);
    print("after them", &server, &normal(&mut client, round));
}

fn print(crowd: &str, server: &Server, latencies: &[Duration]) {
    let percentile = |percent: usize| latencies[latencies.len() * percent / 100].as_micros();
    println!(
        "{crowd:15} {:13} {:8} {:12.1} {:9}",
        percentile(50),
        percentile(99),
        server.status("VmRSS") as f64 / 1024.0,
        server.status("Threads")
    );
}

/// The sorted latencies of a client that asks again and again, as people do: not at once.
fn normal(client: &mut TcpStream, round: Duration) -> Vec<Duration> {
    let begun = Instant::now();
    let mut latencies = Vec::new();
    while begun.elapsed() < round {
        let asked = Instant::now();
        ask(client);
        latencies.push(asked.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    latencies.sort_unstable();
    latencies
}

/// Slow senders, slow readers, and clients that stop in the middle of a head; returns how
/// many readers were not disconnected.
fn be_slow(address: SocketAddr, stop: &AtomicBool) -> usize {
    let connect = |bytes: &[u8]| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).expect("a TCP socket");
        socket.connect(&address.into()).expect("the server listens");
        let mut stream = TcpStream::from(socket);
        stream.write_all(bytes).expect("the server reads");
        stream.set_nonblocking(true).expect("a TCP socket");
        stream
    };
    let post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    let get = format!("GET /big/{BIG_RESPONSE_BYTES} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut senders: Vec<_> = (0..SLOW).map(|_| connect(post)).collect();
    let _half: Vec<_> = (0..SLOW).map(|_| connect(b"GET / HTTP/1.1\r\nHos")).collect();
    let mut readers: Vec<_> = (0..SLOW).map(|_| connect(get.as_bytes())).collect();
    while !stop.load(Ordering::Relaxed) {
        senders.retain_mut(|sender| sender.write(&[b'x'; 2000]).is_ok());
        readers.retain_mut(|reader| match reader.read(&mut [0; 2000]) {
            Ok(length) => length > 0,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        });
        std::thread::sleep(PACE);
    }
    readers.len()
}
