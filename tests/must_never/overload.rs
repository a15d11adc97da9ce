//! Point 5: One client's slowness, size or number takes the service from the others.
//!
//! Point 7: A panic takes down more than its own request.

use crate::SQL;
use crate::support::{Cluster, Connection, Database, Request, Server, Settings, jwt};

/// More than the server has workers.
const SLOW_CLIENTS: usize = 40;

fn start() -> (Database<'static>, Server) {
    let database = Cluster::shared().database(SQL);
    let server = Server::start(&Settings::new(&database));
    (database, server)
}

fn assert_serves(server: &Server, what: &str) {
    for _ in 0..3 {
        let got = server.send(&Request::get("/notes"));
        assert_eq!(got.status, 200, "{what}: {}", got.text());
    }
}

/// Opens many connections, and sends the bytes over each.
fn open_many(server: &Server, bytes: &[u8]) -> Vec<Connection> {
    let open = |_| {
        let mut connection = server.connect();
        connection.write(bytes).expect("the server reads");
        connection
    };
    (0..SLOW_CLIENTS).map(open).collect()
}

#[test]
fn clients_that_stop_in_the_middle_of_a_request_do_not_hold_the_service() {
    let (_database, server) = start();
    let half_body = format!(
        "POST /notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: 5000\r\nAuthorization: Bearer {}\r\n\r\n{{\"id\": 1, ",
        jwt::for_role("writer")
    );
    let chunk =
        "POST /notes HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n";
    for (what, bytes) in [
        ("clients without a request", ""),
        ("clients that stop in the head", "GET /notes HTTP/1.1\r\nHost: loc"),
        ("clients that stop in the body", half_body.as_str()),
        ("clients that stop in a chunk", chunk),
    ] {
        let held = open_many(&server, bytes.as_bytes());
        assert_serves(&server, what);
        drop(held);
        assert_serves(&server, what);
    }
}

#[test]
fn clients_that_do_not_read_their_answers_do_not_hold_the_service() {
    let (database, server) = start();
    database.sql("insert into api.notes values (1, repeat('x', 5000000))");
    let request = Request::get("/notes?select=note").to_bytes();
    let held = open_many(&server, &request);
    let got = server.send(&Request::get("/notes?select=id"));
    assert_eq!((got.status, got.text().as_str()), (200, "[{\"id\":1}]"));
    drop(held);
}

#[test]
fn a_promise_of_a_huge_body_does_not_end_the_process() {
    let (_database, mut server) = start();
    for length in ["1099511627776", "9223372036854775807", "18446744073709551616", "-1", "1e9"] {
        let mut connection = server.connect();
        let head = format!("POST /notes HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        connection.write(head.as_bytes()).expect("the server reads");
        connection.write(b"{}").ok();
        drop(connection);
        assert_serves(&server, length);
    }
    assert!(server.wait_for_exit(std::time::Duration::ZERO).is_none(), "the process still runs");
}

/// A generator of numbers that are the same on every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Pieces that requests are made of, right or wrong.
const PIECES: [&str; 44] = [
    "select",
    "=",
    "&",
    "?",
    "(",
    ")",
    ",",
    ".",
    ":",
    "::",
    "->",
    "->>",
    "!",
    "*",
    "...",
    "\"",
    "\\",
    "%22",
    "%00",
    "%",
    "%zz",
    "%ff",
    "%F0%9F%97%9D",
    "id",
    "note",
    "notes",
    "eq",
    "in",
    "is",
    "not",
    "and",
    "or",
    "order",
    "limit",
    "offset",
    "null",
    "-1",
    "99999999999999999999",
    "1e400",
    "cs.{",
    "}",
    "any",
    "fts(x)",
    "columns",
];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"];
const HEADERS: [(&str, &str); 9] = [
    ("Accept", "application/vnd.pgrst.plan+json; for=\"x; options=;"),
    ("Accept", "*/*;q=0, text/csv;q=nan, ;;,"),
    ("Prefer", "count=exact, tx=, max-affected=-1, =, return"),
    ("Range", "items=5-1"),
    ("Range", "-"),
    ("Content-Type", "text/csv; charset=\"\\"),
    ("Content-Type", "application/x-www-form-urlencoded"),
    ("Authorization", "Bearer .."),
    ("Accept-Profile", "%\u{1f5dd}\""),
];
const BODIES: [&str; 7] = ["", "{}", "[{}]", "[1]", "id\n\"", "id=%00&=", "{\"id\": 1e999}"];

#[test]
fn odd_requests_get_an_answer_and_break_nothing() {
    const REQUESTS: usize = 3_000;
    let (_database, mut server) = start();
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut connection = server.connect();
    for _ in 0..REQUESTS {
        let mut target = "/notes?".to_string();
        for _ in 0..numbers.below(14) {
            target += numbers.pick(&PIECES);
        }
        let (name, value) = HEADERS[numbers.below(HEADERS.len())];
        let mut request = Request::new(numbers.pick(&METHODS), &target).header(name, value);
        if numbers.below(2) == 0 {
            request = request.body(numbers.pick(&BODIES));
        }
        let got = match connection.send(&request) {
            Ok(got) => got,
            Err(error) => panic!("{request:?}: {error}\n{}", server.log_end()),
        };
        assert!(got.status < 500, "{request:?}: {} {}", got.status, got.text());
        if got.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            connection = server.connect();
        }
    }
    assert_serves(&server, "odd requests");
    assert!(server.wait_for_exit(std::time::Duration::ZERO).is_none(), "the process still runs");
    assert!(!server.log().contains("panicked"), "{}", server.log_end());
}
