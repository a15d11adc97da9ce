//! Tests of the test harness itself, as far as it needs no server.

mod support;

#[path = "conformance/compare.rs"]
mod compare;
#[path = "conformance/known_failures.rs"]
mod known_failures;

use known_failures::KnownFailures;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::process::{self, Signal};
use support::{Cluster, Connection, Request, Response, jwt, pg_bin, port, wait_for};

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    let body = body.as_bytes().to_vec();
    Response { status, reason: String::new(), headers, body }
}

const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");

/// The lines that the comparison with a response of status 200 and a JSON body gives.
fn compared(expected: Value, headers: &[(&str, &str)], body: &str) -> Vec<String> {
    compare::differences(&expected, &response(200, &[&[JSON], headers].concat(), body))
}

#[test]
fn the_shared_cluster_takes_sql_and_its_databases_are_separate() {
    let cluster = Cluster::shared();
    let one = cluster.database("create table t (id int); insert into t values (7);");
    let other = cluster.database("");
    assert_eq!(one.value("select id from t").as_deref(), Some("7"));
    assert_eq!(other.value("select to_regclass('t') is null").as_deref(), Some("true"));
    let name = one.name.clone();
    drop(one);
    let query = format!("select count(*) from pg_database where datname = '{name}'");
    assert_eq!(other.value(&query).as_deref(), Some("0"));
}

#[test]
fn a_crashed_cluster_boots_again_with_what_was_committed() {
    let cluster = Cluster::start_with(&[("synchronous_commit", "on")]);
    let database = cluster.database("create table t (id int); insert into t values (1);");
    cluster.crash();
    cluster.boot();
    assert_eq!(database.value("select count(*) from t").as_deref(), Some("1"));
}

#[test]
#[ignore = "a part of nothing_is_left_of_a_killed_test_process, which runs it"]
fn a_test_that_is_killed() {
    let cluster = Cluster::start();
    println!("folder={}", cluster.socket_folder().display());
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn nothing_is_left_of_a_killed_test_process() {
    for signal in [Signal::Kill, Signal::Interrupt] {
        let mut child = Command::new(std::env::current_exe().expect("a test is a program"))
            .args(["--exact", "--ignored", "--nocapture", "a_test_that_is_killed"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be run");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let folder = lines.find_map(|line| Some(line.ok()?.split_once("folder=")?.1.to_string()));
        let folder = PathBuf::from(folder.expect("the cluster is up"));
        let postmaster = std::fs::read_to_string(folder.join("../data/postmaster.pid"));
        let postmaster = postmaster.expect("the cluster is up");
        let postmaster =
            postmaster.lines().next().expect("the process id").parse().expect("a number");
        process::send(child.id(), signal);
        child.wait().expect("a child can be waited for");
        let gone = wait_for(Duration::from_secs(20), || {
            let stopped = process::stat_field(postmaster, 4).is_none();
            (stopped && !folder.exists()).then_some(())
        });
        assert!(gone.is_some(), "{} is still there after {signal:?}", folder.display());
    }
}

#[test]
fn a_broken_statement_is_reported_with_the_words_of_postgresql() {
    let message = Cluster::shared().psql("postgres", &["-c", "select nothing from nowhere"]);
    assert!(message.unwrap_err().contains("relation \"nowhere\" does not exist"));
}

#[test]
fn missing_programs_are_reported_with_what_to_install() {
    let message = pg_bin::find(Some("/nonexistent".into())).unwrap_err();
    assert!(message.contains("GOLDENKEY_PG_BIN is /nonexistent"), "{message}");
}

#[test]
fn ports_are_free_and_never_the_same() {
    let ports: Vec<u16> = (0..20).map(|_| port::free()).collect();
    let distinct: std::collections::BTreeSet<&u16> = ports.iter().collect();
    assert_eq!(distinct.len(), ports.len());
    for port in ports {
        TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    }
}

#[test]
fn the_client_sends_a_path_as_it_is_and_reads_two_responses_of_one_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let port = listener.local_addr().expect("bound").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client connects");
        let mut received = Vec::new();
        let mut buffer = [0; 1024];
        while !received.ends_with(b"ping") {
            let length = stream.read(&mut buffer).expect("the client sends");
            received.extend_from_slice(&buffer[..length]);
        }
        let answers = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nX-A:  2 \r\n\
                       Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
                       HTTP/1.1 204 No Content\r\n\r\n";
        stream.write_all(answers.as_bytes()).expect("the client reads");
        received
    });
    let mut connection = Connection::open(port).expect("the server listens");
    let request = Request::new("POST", "/ä?q=%20 x").header("A", "1").header("A", "2").body("ping");
    let first = connection.send(&request).expect("an answer");
    assert_eq!((first.status, first.text().as_str()), (200, "abcde"));
    assert_eq!(first.headers[1], ("X-A".to_string(), "2".to_string()));
    assert_eq!(connection.read("GET").expect("an answer").status, 204);
    let sent = String::from_utf8(server.join().expect("no panic")).expect("UTF-8");
    assert_eq!(
        sent,
        "POST /ä?q=%20 x HTTP/1.1\r\nHost: localhost\r\nA: 1\r\nA: 2\r\nContent-Length: 4\r\n\r\nping"
    );
}

#[test]
fn a_token_is_three_parts_signed_with_the_key() {
    // RFC 7515, appendix A.1, has other spaces in its JSON; so this one was made with openssl.
    let token = jwt::sign(&json!({"alg": "HS256"}), &json!({"role": "x"}), b"key");
    assert_eq!(
        token,
        "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoieCJ9.5cdf9_vO6_rx5xOykVw8K4tQz2g7ZDVGV7IpHagt30k"
    );
}

#[test]
fn equal_json_has_no_differences_whatever_its_spelling() {
    let expected = json!({"status": 200, "headers": {}, "body": {"a": 1, "b": [1.5, null]}});
    assert_eq!(compared(expected, &[], "{\"b\":[1.50, null], \"a\":1.0}"), Vec::<String>::new());
}

#[test]
fn json_that_differs_is_reported_with_its_path() {
    let expected = json!({"status": 200, "headers": {}, "body": {"a": [{"b": true}], "c": 1}});
    assert_eq!(
        compared(expected, &[], "{\"a\": [{\"b\": 1}], \"d\": 2}"),
        [
            "body.a.0.b: expected true, got 1",
            "body.c: expected 1, got no such key",
            "body.d: expected no such key, got 2",
        ]
    );
}

#[test]
fn big_integers_are_compared_exactly() {
    let expected = json!({"body": 9007199254740993i64});
    assert_eq!(compared(expected, &[], "9007199254740992").len(), 1);
}

#[test]
fn a_body_of_another_kind_is_a_difference() {
    let differences = compared(json!({"status": 200, "body": []}), &[], "not json");
    assert_eq!(differences, ["body: expected [], got \"not json\""]);
    assert_eq!(compared(json!({"text": "[]"}), &[], "[]"), Vec::<String>::new());
    assert_eq!(compared(json!({"text": "[]"}), &[], "[ ]").len(), 1);
}

#[test]
fn headers_with_a_meaning_must_not_come_unrecorded() {
    let expected = json!({"headers": {"x-kept": "1", "location": null, "content-range": "*/0"}});
    let headers = [("X-Kept", "1"), ("Vary", "Accept"), ("X-New", "2"), ("Location", "/")];
    assert_eq!(
        compared(expected, &headers, ""),
        [
            "header content-range: expected \"*/0\", got none",
            "header location: expected none, got \"/\"",
            "header vary: expected none, got \"Accept\"",
        ]
    );
}

#[test]
fn headers_sent_twice_are_a_list_and_a_pattern_matches_as_a_whole() {
    let expected =
        json!({"headers": {"set-cookie": ["a", "b"], "warning": {"matches": "2\\d+ x"}}});
    let headers = |warning| [("Set-Cookie", "a"), ("set-cookie", "b"), ("Warning", warning)];
    assert_eq!(compared(expected.clone(), &headers("299 x"), ""), Vec::<String>::new());
    assert_eq!(compared(expected, &headers("299 xy"), "").len(), 1);
}

#[test]
fn what_is_ignored_must_still_be_present() {
    let expected = json!({
        "headers": {"server-timing": "(ignored)"},
        "ignore": ["server-timing", "*.id"],
        "body": [{"id": "(ignored)", "n": 1}],
    });
    let timing = [("Server-Timing", "jwt;dur=1")];
    assert_eq!(
        compared(expected.clone(), &timing, "[{\"id\": 9, \"n\": 1}]"),
        Vec::<String>::new()
    );
    assert_eq!(compared(expected, &[], "[{\"n\": 1}]").len(), 2);
}

#[test]
fn an_ignored_body_must_be_there_when_one_was_recorded() {
    let expected = json!({"text": "(ignored)", "ignore": ["$"]});
    assert_eq!(compared(expected.clone(), &[], "{}"), Vec::<String>::new());
    assert_eq!(compared(expected, &[], "").len(), 1);
}

#[test]
fn a_known_failure_is_found_by_case_before_suite() {
    let list = KnownFailures::parse(
        r#"{"not_yet": {"a": "later", "a/x": "soon"}, "better_by_choice": {"b/y": "honest"}}"#,
    )
    .expect("a valid list");
    let reason = |suite, case| list.find(suite, case).map(|known| (known.reason, known.exact));
    assert_eq!(reason("a", "x"), Some(("not yet: soon".to_string(), true)));
    assert_eq!(reason("a", "z"), Some(("not yet: later".to_string(), false)));
    assert_eq!(reason("b", "y"), Some(("better by choice: honest".to_string(), true)));
    assert_eq!(reason("b", "z"), None);
    assert_eq!(list.stale(|name| name != "b/y"), ["b/y"]);
    assert!(list.has_suite("a") && !list.has_suite("b"));
}

#[test]
fn a_list_without_reasons_is_refused() {
    for text in [
        r#"{"not_yet": {"a": ""}, "better_by_choice": {}}"#,
        r#"{"not_yet": {}, "better_by_choice": {"a": "a whole suite"}}"#,
        r#"{"not_yet": {"a/x": "1"}, "better_by_choice": {"a/x": "2"}}"#,
        r#"{"not_yet": {}}"#,
    ] {
        assert!(KnownFailures::parse(text).is_err(), "{text}");
    }
}
