//! Requests and responses on the wire (RFC 9110, RFC 9112).

use crate::rig::{Client, header, start, status};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};

/// A request with `Host`, closing its connection.
fn closing(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

#[test]
fn a_connection_serves_many_requests() {
    let server = start(|_| {});
    let mut client = server.connect();
    for n in 0..20 {
        let answer = client.ask(format!("GET /echo?n={n} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(answer.contains(&format!("GET /echo?n={n}\n")), "{answer}");
        assert_eq!(header(&answer, "Connection"), None);
        assert!(header(&answer, "Server").unwrap().starts_with("goldenkey/"), "{answer}");
        assert!(header(&answer, "Date").unwrap().ends_with(" GMT"), "{answer}");
    }
    server.stop();
}

#[test]
fn pipelined_requests_are_answered_in_order_one_at_a_time() {
    let server = start(|_| {});
    let mut client = server.connect();
    let mut requests = String::new();
    for n in 0..50 {
        requests.push_str(&format!("POST /echo?n={n} HTTP/1.1\r\nHost: x\r\n"));
        requests.push_str("Content-Length: 3\r\n\r\nabc");
    }
    client.send(&requests);
    for n in 0..50 {
        let answer = client.response(true);
        assert!(answer.contains(&format!("POST /echo?n={n}\n")), "{n}: {answer}");
        assert!(answer.contains("body[3]=abc"), "{answer}");
    }
    server.stop();
}

#[test]
fn requests_may_arrive_byte_by_byte() {
    let server = start(|_| {});
    let mut client = server.connect();
    let request = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: t\r\n\r\n";
    for byte in request.as_bytes() {
        client.send([*byte]);
    }
    let answer = client.response(true);
    assert!(answer.contains("body[5]=abcde"), "{answer}");
    assert!(answer.contains("Content-Length=5\n"), "{answer}");
    assert!(!answer.contains("Trailer="), "{answer}");
    server.stop();
}

#[test]
fn http_1_0_closes_unless_it_asks_to_keep_the_connection() {
    let server = start(|_| {});
    let answer = server.talk("GET /echo HTTP/1.0\r\n\r\n");
    assert_eq!(status(&answer), 200);
    assert_eq!(header(&answer, "Connection"), Some("close"));
    let mut client = server.connect();
    for _ in 0..2 {
        let answer = client.ask("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(header(&answer, "Connection"), Some("keep-alive"));
    }
    assert_eq!(server.wait_finished("/echo", 200).version, 0);
    server.stop();
}

#[test]
fn connection_close_ends_the_connection_after_the_answer() {
    let server = start(|_| {});
    let answer = server.talk(closing("GET /echo"));
    assert_eq!(header(&answer, "Connection"), Some("close"));
    let both = format!("{}{}", closing("GET /echo?a"), closing("GET /echo?b"));
    let answer = server.talk(both);
    assert!(answer.contains("/echo?a") && !answer.contains("/echo?b"), "{answer}");
    server.stop();
}

#[test]
fn head_no_content_and_not_modified_have_no_body() {
    let server = start(|_| {});
    let mut client = server.connect();
    client.send("HEAD /big/100 HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = client.response(false);
    assert_eq!(header(&answer, "Content-Length"), Some("100"), "{answer}");
    for (path, expected) in [("/none", 204), ("/same", 304)] {
        let answer = client.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(status(&answer), expected);
        assert_eq!(header(&answer, "Content-Length"), None, "{answer}");
        assert_eq!(header(&answer, "Transfer-Encoding"), None, "{answer}");
    }
    // A body that followed would be taken for the beginning of this response.
    assert_eq!(status(&client.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    client.send("HEAD / HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n");
    let answer = client.read_to_end();
    assert_eq!(status(&answer), 417);
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    server.stop();
}

#[test]
fn large_responses_come_whole_with_their_length() {
    let server = start(|_| {});
    let mut client = server.connect();
    for size in [1000, 1025, 16384, 16385, 65536, 3_000_000] {
        let answer = client.ask(format!("GET /big/{size} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let length = size.to_string();
        assert_eq!(header(&answer, "Content-Length"), Some(length.as_str()));
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(body.len(), size);
        assert!(body.bytes().all(|b| b == b'x'));
    }
    server.stop();
}

#[test]
fn a_body_up_to_the_limit_arrives_whole() {
    let server = start(|settings| settings.body_max_bytes = 3_000_000);
    let mut client = server.connect();
    for size in [1, 1024, 1025, 70_000, 3_000_000] {
        let body = "b".repeat(size);
        let answer = client
            .ask(format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n{body}"));
        assert!(answer.contains(&format!("body[{size}]=b")), "{size}");
    }
    server.stop();
}

#[test]
fn a_client_that_expects_100_continue_is_invited_to_send_its_body() {
    let server = start(|_| {});
    let mut client = server.connect();
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n";
    let interim = client.ask(format!("{head}Content-Length: 4\r\n\r\n"));
    assert_eq!(interim, "HTTP/1.1 100 Continue\r\n\r\n");
    let answer = client.ask("four");
    assert!(answer.contains("body[4]=four"), "{answer}");
    assert!(!answer.contains("Expect="), "{answer}");
    // One that has sent its body already needs no invitation.
    let answer = client.ask(format!("{head}Content-Length: 4\r\n\r\nfour"));
    assert_eq!(status(&answer), 200);
    // One whose body would be refused is not invited.
    client.send(format!("{head}Content-Length: 1001\r\n\r\n"));
    let answer = client.read_to_end();
    assert_eq!(status(&answer), 413, "{answer}");
    server.stop();
}

#[test]
fn upgrade_offers_are_ignored() {
    let server = start(|_| {});
    let mut client = server.connect();
    for upgrade in ["websocket", "h2c"] {
        let answer = client.ask(format!(
            "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\
             Content-Length: 2\r\n\r\nok"
        ));
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(answer.contains("body[2]=ok"), "{answer}");
        assert!(!answer.contains("Upgrade="), "{answer}");
    }
    server.stop();
}

#[test]
fn targets_are_normalised() {
    let server = start(|_| {});
    let mut client = server.connect();
    let mut ask = |line: &[u8], host: &str| {
        let mut request = line.to_vec();
        request.extend_from_slice(format!(" HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        client.ask(request)
    };
    let answer = ask("GET /caf\u{e9}?n=\u{fc}".as_bytes(), "x");
    assert!(answer.contains("GET /caf%C3%A9?n=%C3%BC\n"), "{answer}");
    let answer = ask(b"GET /\xff", "x");
    assert!(answer.contains("GET /%FF?\n"), "{answer}");
    let answer = ask(b"GET http://example.org:80/a?b=c", "other");
    assert!(answer.contains("GET /a?b=c\n"), "{answer}");
    assert!(answer.contains("Host=example.org:80\n"), "{answer}");
    assert!(!answer.contains("other"), "{answer}");
    let answer = ask(b"GET HTTPS://example.org?q", "x");
    assert!(answer.contains("GET /?q\n"), "{answer}");
    let answer = ask(b"OPTIONS *", "x");
    assert!(answer.contains("OPTIONS *?\n"), "{answer}");
    let answer = ask(br#"GET /a?b={"c":[1]}&d=<>|^`"#, "x");
    assert!(answer.contains(r#"/a?b={"c":[1]}&d=<>|^`"#), "{answer}");
    server.stop();
}

#[test]
fn field_values_beyond_ascii_reach_the_handler() {
    let server = start(|_| {});
    let mut client = server.connect();
    let mut request = b"GET /echo HTTP/1.1\r\nHost: x\r\nA: 1\r\nUtf: caf\xc3\xa9\r\n".to_vec();
    request.extend_from_slice(b"Latin: caf\xe9\r\nConnection: x\r\nZ: \t2 \r\n\r\n");
    let answer = client.ask(request);
    for line in ["A=1\n", "Utf=caf\u{e9}\n", "Latin=caf\u{e9}\n", "Z=2\n"] {
        assert!(answer.contains(line), "{answer}");
    }
    server.stop();
}

#[test]
fn a_client_cannot_forge_its_address() {
    let server = start(|_| {});
    let answer = server.talk(
        "GET /echo HTTP/1.1\r\nHost: x\r\nGoldenkey-Slot: 1\r\ngoldenkey-slot: probe\r\n\
         User-Agent: liar\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("peer=Some(127.0.0.1)\n"), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("slot"), "{answer}");
    let finished = server.wait_finished("/echo", 200);
    assert_eq!(finished.peer, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    assert_eq!(finished.user_agent.as_deref(), Some("liar"));
    server.stop();
}

/// What is wrong with a request, and the status for it.
const MALFORMED: &[(&str, &str, u16)] = &[
    ("no request line", "\0\0\0\0\r\n\r\n", 400),
    ("TLS", "\u{16}\u{3}\u{1}\u{2}\r\n\r\n", 400),
    ("LF only", "GET / HTTP/1.1\nHost: x\n\n", 400),
    ("LF in the head", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
    ("CR in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400),
    ("CR in the line", "GET / HTTP/1.1\rX: y\r\nHost: x\r\n\r\n", 400),
    ("NUL in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", 400),
    ("NUL in the target", "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("control byte in the target", "GET /a\u{1}b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("space in the target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("space at the end", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    ("HTTP/0.9", "GET /\r\n\r\n", 400),
    ("malformed method", "G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("relative target", "GET a HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("other scheme", "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("user information", "GET http://a@x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("asterisk for GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("malformed version", "GET / HTTP/1.x\r\nHost: x\r\n\r\n", 400),
    ("lower-case version", "GET / http/1.1\r\nHost: x\r\n\r\n", 400),
    ("HTTP/2", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    ("HTTP/3.1", "GET / HTTP/3.1\r\nHost: x\r\n\r\n", 505),
    ("no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", 400),
    ("no field", "GET / HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    ("malformed Host", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400),
    ("two values in Host", "GET / HTTP/1.1\r\nHost: x, y\r\n\r\n", 400),
    ("folding", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
    ("folded first field", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    ("space before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    ("no colon", "GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n", 400),
    ("no field name", "GET / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n", 400),
    ("DEL in a value", "GET / HTTP/1.1\r\nHost: x\r\nA: b\u{7f}\r\n\r\n", 400),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        400,
    ),
    ("list of lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na", 400),
    ("signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na", 400),
    ("negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\na", 400),
    ("spaced length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1 1\r\n\r\na", 400),
    ("hexadecimal length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\na", 400),
    ("empty length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\na", 400),
    (
        "overflowing length",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551617\r\n\r\na",
        400,
    ),
    ("absurd length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\n", 413),
    (
        "length and coding",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "coding and length",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("unknown coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (
        "two codings",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    (
        "coding with a tab",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n",
        400,
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "chunked in two fields",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        400,
    ),
    ("other expectation", "POST / HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n", 417),
    ("tunnel", "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 501),
    (
        "malformed chunk",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
        400,
    ),
    (
        "signed chunk",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n",
        400,
    ),
    (
        "overflowing chunk",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
        400,
    ),
    (
        "LF in chunk",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
        400,
    ),
    (
        "long chunk",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        400,
    ),
    (
        "LF in extension",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
        400,
    ),
];

#[test]
fn malformed_requests_are_refused_and_their_connection_closed() {
    let server = start(|_| {});
    for (what, request, expected) in MALFORMED {
        // A second request behind it must never be answered: it could be smuggled.
        let request = format!("{request}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = server.talk(request);
        assert_eq!(status(&answer), *expected, "{what}: {answer}");
        assert_eq!(header(&answer, "Connection"), Some("close"), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: {answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let body: serde_json::Value = serde_json::from_str(body).expect(what);
        assert!(body["code"].as_str().unwrap().starts_with("GK"), "{what}: {body}");
        let keys: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["code", "details", "hint", "message"], "{what}");
    }
    server.assert_serves();
    assert!(server.finished().iter().all(|f| f.target != "/smuggled"));
    server.stop();
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    let server = start(|_| {});
    let mut client = server.connect();
    for _ in 0..3 {
        let answer = client.ask("\r\n\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(status(&answer), 200);
    }
    server.stop();
}

#[test]
fn a_body_beyond_the_limit_is_refused_and_the_connection_goes_on() {
    let server = start(|_| {});
    let mut client = server.connect();
    for framing in ["length", "chunks"] {
        let size = 2_000_000;
        let body = "b".repeat(size);
        let head = "POST /echo HTTP/1.1\r\nHost: x\r\n";
        let answer = match framing {
            "length" => client.ask(format!("{head}Content-Length: {size}\r\n\r\n{body}")),
            _ => client.ask(format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n0\r\n\r\n"
            )),
        };
        assert_eq!(status(&answer), 413, "{answer}");
        assert!(answer.contains("GK103"), "{answer}");
        let answer = client.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(status(&answer), 200, "{answer}");
    }
    assert_eq!(server.wait_finished("/echo", 413).method, "POST");
    server.stop();
}

#[test]
fn a_panic_costs_one_request() {
    let server = start(|_| {});
    let mut client = server.connect();
    for _ in 0..5 {
        let answer = client.ask("GET /panic HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(status(&answer), 500, "{answer}");
    }
    assert_eq!(status(&client.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")), 200);
    server.stop();
}

#[test]
fn a_client_that_stops_sending_still_gets_its_answer() {
    let server = start(|_| {});
    let mut client = server.connect();
    client.send("GET /big/3000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.response(true).split_once("\r\n\r\n").unwrap().1.len(), 3_000_000);
    server.stop();
}

#[test]
fn pipelined_requests_are_answered_though_the_client_stops_sending() {
    let server = start(|_| {});
    let mut client = server.connect();
    let body = "POST /echo?2 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfour";
    client.send(format!(
        "GET /big/3000000 HTTP/1.1\r\nHost: x\r\n\r\n{body}\
         GET /echo?3 HTTP/1.1\r\nHost: x\r\n\r\nGET /never HTTP/1.1\r\nHo"
    ));
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.response(true).split_once("\r\n\r\n").unwrap().1.len(), 3_000_000);
    assert!(client.response(true).contains("POST /echo?2"));
    assert!(client.response(true).contains("GET /echo?3"));
    client.assert_closed();
    server.stop();
}

#[test]
fn the_end_of_sending_may_come_at_any_moment_between_the_answers() {
    let server = start(|_| {});
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let server = &server;
            scope.spawn(move || {
                for round in 0..300_u64 {
                    let mut client = server.connect();
                    let wanted: Vec<String> =
                        (0..4).map(|n| format!("GET /echo?{thread}.{round}.{n}")).collect();
                    for request in &wanted {
                        client.send(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n"));
                    }
                    std::thread::sleep(std::time::Duration::from_micros(round * 7));
                    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
                    for request in &wanted {
                        assert!(client.response(true).contains(request.as_str()), "{request}");
                    }
                }
            });
        }
    });
    server.stop();
}

#[test]
fn tls_on_the_plain_port_is_called_that() {
    let server = start(|_| {});
    let mut client = server.connect();
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    let answer = client.read_to_end();
    assert_eq!(status(&answer), 400, "{answer}");
    assert!(answer.contains("looks like TLS"), "{answer}");
    server.stop();
}

#[test]
fn http_2_without_asking_is_told_that_http_1_1_is_required() {
    let server = start(|_| {});
    let mut client = server.connect();
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let mut answer = Vec::new();
    client.stream.read_to_end(&mut answer).unwrap();
    let (settings, goaway) = answer.split_at(9);
    assert_eq!(settings, b"\0\0\0\x04\0\0\0\0\0");
    assert_eq!(goaway, b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0d");
    server.assert_serves();
    server.stop();
}

#[test]
fn a_unix_socket_is_served_like_a_port() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let server = start(|settings| {
        settings.listen = goldenkey::server::Listen::Unix { path: path.clone(), mode: 0o660 };
    });
    let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let mut client = Client::over(stream);
    let answer = client.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.contains("peer=None\n"), "{answer}");
    client.stream.write_all(b"GET /echo HTTP/1.0\r\n\r\n").unwrap();
    let mut rest = String::new();
    client.stream.read_to_string(&mut rest).unwrap();
    assert_eq!(status(&rest), 200);
    server.stop();
    assert!(!path.exists());
}
