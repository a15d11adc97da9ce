//! What clients may not take from each other: time, memory, connections, workers.

use crate::rig::{Client, PATIENCE, Running, header, start, status, wait_for};
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn a_head_beyond_its_limit_is_refused() {
    let server = start(|settings| settings.limits.head_max_bytes = 2000);
    let answer = server.talk(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(2000)));
    assert_eq!(status(&answer), 414, "{answer}");
    let field = format!("A: {}\r\n", "b".repeat(2000));
    let answer = server.talk(format!("GET / HTTP/1.1\r\nHost: x\r\n{field}\r\n"));
    assert_eq!(status(&answer), 431, "{answer}");
    let fields = "A: b\r\n".repeat(129);
    let answer = server.talk(format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
    assert_eq!(status(&answer), 431, "{answer}");
    // A head that never ends is refused before it has arrived.
    let mut client = server.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}", "b".repeat(2000)));
    assert_eq!(status(&client.read_to_end()), 431);
    server.stop();
}

#[test]
fn a_slow_head_is_answered_408() {
    let server = start(|settings| settings.limits.head_timeout = SHORT);
    let mut client = server.connect();
    client.send("GET /slow HTTP/1.1\r\nHos");
    let answer = client.read_to_end();
    assert_eq!(status(&answer), 408, "{answer}");
    assert!(answer.contains("GK101"), "{answer}");
    assert_eq!(server.wait_finished("/slow", 408).method, "GET");
    // Sending on does not buy time.
    let mut client = server.connect();
    let began = Instant::now();
    while client.try_send("G") && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        if client.has_answer() {
            break;
        }
    }
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(status(&client.read_to_end()), 408);
    server.stop();
}

#[test]
fn a_slow_body_is_answered_408() {
    let server = start(|settings| {
        settings.limits.rate_grace = SHORT;
        settings.limits.body_min_bytes_per_second = 1000;
    });
    let mut client = server.connect();
    client.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nbeginning");
    let answer = client.read_to_end();
    assert_eq!(status(&answer), 408, "{answer}");
    assert!(answer.contains("GK102"), "{answer}");
    server.wait_finished("/slow", 408);
    server.stop();
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = start(|settings| settings.limits.idle_timeout = SHORT);
    server.connect().assert_closed();
    let mut client = server.connect();
    assert_eq!(status(&client.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    client.assert_closed();
    server.stop();
}

#[test]
fn a_client_that_does_not_take_its_response_is_disconnected() {
    let server = start(|settings| {
        settings.limits.rate_grace = SHORT;
        settings.limits.response_min_bytes_per_second = 1 << 30;
    });
    let mut client = server.connect();
    client.send("GET /big/30000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    server.wait_finished("/big/30000000", 200);
    std::thread::sleep(SHORT * 2);
    let taken = client.read_to_end();
    assert!(taken.len() < 30_000_000, "{}", taken.len());
    server.assert_serves();
    server.stop();
}

#[test]
fn connections_beyond_the_limit_are_refused() {
    let server = start(|settings| {
        settings.limits.connections_max = 3;
        settings.limits.connections_per_address_max = 3;
    });
    let held: Vec<_> = (0..3).map(|_| server.connect()).collect();
    let answer = server.connect().read_to_end();
    assert_eq!(status(&answer), 503, "{answer}");
    assert_eq!(header(&answer, "Retry-After"), Some("1"));
    assert!(answer.contains("GK203"), "{answer}");
    drop(held);
    wait_for("a place to be free", || {
        let mut client = server.connect();
        client.send("GET /echo HTTP/1.0\r\n\r\n");
        client.read_to_end().starts_with("HTTP/1.1 200").then_some(())
    });
    server.stop();
}

#[test]
fn connections_that_are_idle_for_long_give_way_to_new_ones() {
    let server = start(|settings| {
        settings.limits.connections_max = 3;
        settings.limits.connections_per_address_max = 3;
    });
    let mut idle = connect_from("127.0.0.2", &server);
    assert_eq!(status(&idle.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    let mut later = connect_from("127.0.0.3", &server);
    later.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    server.wait_holding(1);
    std::thread::sleep(Duration::from_millis(2200));
    let mut fresh = server.connect();
    assert_eq!(status(&fresh.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    let mut another = server.connect();
    assert_eq!(status(&another.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    idle.assert_closed();
    server.release();
    assert_eq!(status(&later.response(true)), 200);
    server.stop();
}

#[test]
fn one_address_cannot_fill_the_buffers() {
    let server = start(|settings| {
        settings.threads = 1;
        settings.body_max_bytes = 1 << 20;
        settings.limits.buffer_max_bytes = 4 << 20;
    });
    let _held = occupy(&server);
    // What waits for a worker cannot be evicted.
    let post = |length: usize| {
        let body = "b".repeat(length);
        format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.connect();
            client.try_send(post(700_000));
            client
        })
        .collect();
    std::thread::sleep(SHORT);
    let mut other = connect_from("127.0.0.2", &server);
    other.send(post(400_000));
    std::thread::sleep(SHORT);
    server.release();
    let answer = other.response(true);
    assert_eq!(status(&answer), 200, "{answer}");
    drop(waiting);
    server.stop();
}

#[test]
fn who_holds_the_most_makes_room_for_who_holds_little() {
    let server = start(|settings| {
        settings.body_max_bytes = 1 << 20;
        settings.limits.buffer_max_bytes = 2 << 20;
    });
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    let mut slow = connect_from("127.0.0.9", &server);
    slow.send(format!("{}{}", head.replace("1000000", "100000"), "b".repeat(50_000)));
    std::thread::sleep(Duration::from_millis(50));
    let fast: Vec<_> = (2..6)
        .map(|n| {
            let mut client = connect_from(&format!("127.0.0.{n}"), &server);
            client.try_send(format!("{head}{}", "b".repeat(900_000)));
            std::thread::sleep(Duration::from_millis(50));
            client
        })
        .collect();
    slow.send("b".repeat(50_000));
    let answer = slow.response(true);
    assert_eq!(status(&answer), 200, "{answer}");
    drop(fast);
    server.stop();
}

#[test]
fn one_address_cannot_take_all_connections() {
    let server = start(|settings| settings.limits.connections_per_address_max = 2);
    let _held = [server.connect(), server.connect()];
    assert_eq!(status(&server.connect().read_to_end()), 503);
    let mut other = connect_from("127.0.0.2", &server);
    assert_eq!(status(&other.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    server.stop();
}

/// Holds the only worker and fills the queue of tiny_http, so that further requests wait in
/// the gate.
fn occupy(server: &Running) -> Vec<Client> {
    // One a link: one for the worker, and two spare ones.
    let clients = (0..3).map(|_| {
        let mut client = server.connect();
        client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
        client
    });
    let clients: Vec<_> = clients.collect();
    server.wait_holding(1);
    // The other two are sent over their links at once; nothing tells when.
    std::thread::sleep(Duration::from_millis(100));
    clients
}

#[test]
fn requests_beyond_the_queue_are_answered_503_and_keep_their_connection() {
    let server = start(|settings| {
        settings.threads = 1;
        settings.limits.queue_max = 1;
    });
    let held = occupy(&server);
    let mut queued = server.connect();
    queued.send("GET /echo?queued HTTP/1.1\r\nHost: x\r\n\r\n");
    std::thread::sleep(Duration::from_millis(100));
    let mut refused = server.connect();
    let answer = refused.ask("GET /echo?refused HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status(&answer), 503, "{answer}");
    assert_eq!(header(&answer, "Retry-After"), Some("1"));
    assert!(answer.contains("GK200"), "{answer}");
    server.wait_finished("/echo?refused", 503);
    server.release();
    assert_eq!(status(&queued.response(true)), 200);
    assert_eq!(status(&refused.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    for mut client in held {
        assert_eq!(status(&client.response(true)), 200);
    }
    server.stop();
}

#[test]
fn a_request_waits_for_a_worker_only_so_long() {
    let server = start(|settings| {
        settings.threads = 1;
        settings.limits.queue_timeout = SHORT;
    });
    let mut held = occupy(&server);
    let mut queued = server.connect();
    let answer = queued.ask("GET /echo?queued HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.contains("GK201"), "{answer}");
    server.wait_finished("/echo?queued", 503);
    // So do those that tiny_http has, but not the one that a worker has begun.
    server.release();
    let mut statuses: Vec<_> = held.iter_mut().map(|c| status(&c.response(true))).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503, 503]);
    wait_for("all to be reported", || {
        let holds = server.finished().into_iter().filter(|f| f.target == "/hold");
        (holds.count() == 3).then_some(())
    });
    // The connections go on.
    assert_eq!(status(&queued.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    server.stop();
}

#[test]
fn waiting_requests_are_taken_from_the_addresses_in_turn() {
    let server = start(|settings| settings.threads = 1);
    let _held = occupy(&server);
    let mut waiting = Vec::new();
    let mut wait = |mut client: Client, name: &str| {
        client.send(format!("GET /echo?{name} HTTP/1.1\r\nHost: x\r\n\r\n"));
        waiting.push(client);
        std::thread::sleep(Duration::from_millis(20));
    };
    for n in 0..5 {
        wait(server.connect(), &format!("many{n}"));
    }
    wait(connect_from("127.0.0.2", &server), "one");
    server.release();
    waiting.iter_mut().for_each(|client| assert_eq!(status(&client.response(true)), 200));
    let finished = server.finished();
    let place = |name: &str| {
        let target = format!("/echo?{name}");
        finished.iter().position(|f| f.target == target).unwrap()
    };
    // The first three go on to the worker at once, and tiny_http's threads may overtake each
    // other.
    assert!(place("one") < place("many3"), "{finished:?}");
    assert!(place("one") < place("many4"), "{finished:?}");
    server.stop();
}

#[test]
fn new_connections_leave_a_worker_to_those_that_were_answered_before() {
    let server = start(|settings| settings.threads = 4);
    let mut known = server.connect();
    let ask = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(status(&known.ask(ask)), 200);
    let held: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
            client
        })
        .collect();
    server.wait_holding(3);
    assert_eq!(status(&known.ask(ask)), 200);
    server.release();
    held.into_iter().for_each(|mut client| assert_eq!(status(&client.response(true)), 200));
    server.stop();
}

#[test]
fn busy_connections_do_not_keep_new_ones_out() {
    let server = start(|settings| settings.threads = 2);
    let ask = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n";
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            let mut busy = server.connect();
            assert_eq!(status(&busy.ask(ask)), 200);
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(status(&busy.ask(ask)), 200);
                }
            });
        }
        let answers: Vec<_> = (0..5).map(|_| server.connect().ask(ask)).collect();
        stop.store(true, Ordering::Relaxed);
        answers.iter().for_each(|answer| assert_eq!(status(answer), 200));
    });
    server.stop();
}

#[test]
fn slow_readers_share_a_bounded_memory_and_no_worker() {
    let server = start(|settings| settings.limits.buffer_max_bytes = 2 << 20);
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET /big/20000000 HTTP/1.1\r\nHost: x\r\n\r\n");
            client
        })
        .collect();
    // The two workers are done with all eight, though nobody has read a byte.
    let target = "/big/20000000";
    wait_for("the workers to be free", || {
        let done = server.finished().into_iter().filter(|f| f.target == target).count();
        (done == 8).then_some(())
    });
    server.assert_serves();
    let lengths: Vec<_> = readers.into_iter().map(|mut r| r.read_available().len()).collect();
    assert!(lengths.iter().any(|length| *length < 20_000_000), "{lengths:?}");
    server.stop();
}

#[test]
fn a_response_beyond_the_memory_reaches_a_client_that_takes_it() {
    let server = start(|settings| settings.limits.buffer_max_bytes = 1 << 20);
    let mut client = server.connect();
    let answer = client.ask("GET /big/30000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.len(), 30_000_000);
    server.stop();
}

#[test]
fn bodies_beyond_the_memory_are_refused() {
    let server = start(|settings| {
        settings.body_max_bytes = 1 << 20;
        settings.limits.buffer_max_bytes = 1 << 20;
    });
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.connect();
            client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
            client.send("b".repeat(600_000));
            client
        })
        .collect();
    std::thread::sleep(SHORT);
    server.assert_serves();
    let body = "b".repeat(10_000);
    let mut client = server.connect();
    let answer = client
        .ask(format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n{body}"));
    assert_eq!(status(&answer), 200, "{answer}");
    drop(senders);
    server.stop();
}

fn connect_from(address: &str, server: &Running) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let local: SocketAddr = format!("{address}:0").parse().unwrap();
    socket.bind(&local.into()).unwrap();
    socket.connect(&server.port_address().into()).unwrap();
    Client::new(TcpStream::from(socket))
}
