//! Clients that leave, and the end of the server.

use crate::rig::{header, start, status, wait_for};
use goldenkey::server::{Listen, Server};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const HOLD: &str = "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_request_is_cancelled_when_its_client_leaves() {
    let server = start(|_| {});
    let mut client = server.connect();
    client.send(HOLD);
    server.wait_holding(1);
    drop(client);
    server.wait_holding(0);
    server.wait_finished("/hold", 499);
    assert_eq!(server.handler.cancelled.load(Ordering::SeqCst), 1);
    server.assert_serves();
    server.stop();
}

#[test]
fn a_request_whose_client_left_before_its_turn_is_not_begun() {
    let server = start(|settings| settings.threads = 1);
    let mut held = server.connect();
    held.send(HOLD);
    server.wait_holding(1);
    for n in 0..5 {
        let mut client = server.connect();
        client.send(format!("GET /echo?{n} HTTP/1.1\r\nHost: x\r\n\r\n"));
        std::thread::sleep(Duration::from_millis(20));
    }
    // Two are with tiny_http already, and are reported when a worker comes to them.
    server.wait_finished("/echo?4", 499);
    std::thread::sleep(Duration::from_millis(400));
    server.release();
    assert_eq!(status(&held.response(true)), 200);
    for n in 0..5 {
        server.wait_finished(&format!("/echo?{n}"), 499);
    }
    assert!(server.finished().iter().all(|f| f.target == "/hold" || f.status == 499));
    server.stop();
}

#[test]
fn a_shutdown_closes_idle_connections_and_finishes_requests() {
    let server = start(|_| {});
    let mut idle = server.connect();
    assert_eq!(status(&idle.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    let mut busy = server.connect();
    busy.send(HOLD);
    server.wait_holding(1);
    let address = server.port_address();
    server.begin_shutdown();
    idle.assert_closed();
    wait_for("the port to be closed", || TcpStream::connect(address).is_err().then_some(()));
    server.release();
    let answer = busy.response(true);
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(header(&answer, "Connection"), Some("close"));
    busy.assert_closed();
    server.join();
}

#[test]
fn a_client_that_connected_just_before_a_shutdown_is_served() {
    let server = start(|_| {});
    server.assert_serves();
    let mut client = server.connect();
    server.begin_shutdown();
    client.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = client.read_to_end();
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(header(&answer, "Connection"), Some("close"));
    server.join();
}

#[test]
fn a_shutdown_waits_only_so_long() {
    let server = start(|settings| settings.shutdown_timeout = Duration::from_millis(300));
    let mut client = server.connect();
    client.send(HOLD);
    server.wait_holding(1);
    let begun = Instant::now();
    server.begin_shutdown();
    let handler = server.handler.clone();
    server.join();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(handler.holding.load(Ordering::SeqCst), 1);
}

#[test]
fn a_new_server_takes_over_a_shared_port() {
    let old = start(|settings| settings.reuse_port = true);
    let port = old.port_address().port();
    let new = start(|settings| {
        settings.reuse_port = true;
        settings.listen = Listen::Tcp { host: "127.0.0.1".to_owned(), port };
    });
    old.stop();
    for _ in 0..20 {
        new.assert_serves();
    }
    new.stop();
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let server = start(|_| {});
    let port = server.port_address().port();
    let mut settings = crate::rig::settings();
    settings.listen = Listen::Tcp { host: "127.0.0.1".to_owned(), port };
    let error = Server::bind(settings).unwrap_err();
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    server.stop();
}
