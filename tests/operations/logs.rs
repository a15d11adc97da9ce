//! The log.

use super::{LIMIT, SQL, eventually, with_admin};
use crate::support::process::{self, Signal};
use crate::support::{Cluster, Request, Server, Settings, janitor, jwt, server, wait_for};
use regex_lite::Regex;
use std::io::Read;
use std::process::{Command, Stdio};

/// A request of each kind: answered, refused, failed.
fn one_of_each(server: &Server) {
    let agent = |request: Request| request.header("User-Agent", "tests/1.0");
    assert_eq!(server.send(&agent(Request::get("/todos"))).status, 200);
    assert_eq!(server.send(&agent(Request::get("/nothing?a=eq.b"))).status, 404);
    assert_eq!(server.send(&agent(Request::post("/rpc/fail", "{}"))).status, 500);
}

/// The access lines of [`one_of_each`], by status.
fn access_lines(log: &str) -> Vec<String> {
    log.lines().filter(|line| line.contains("tests/1.0")).map(str::to_owned).collect()
}

#[test]
fn requests_are_logged_by_level_in_the_combined_format() {
    let database = Cluster::shared().database(SQL);
    for (level, statuses) in [
        ("crit", &[][..]),
        ("error", &["500"]),
        ("warn", &["404", "500"]),
        ("info", &["200", "404", "500"]),
        ("debug", &["200", "404", "500"]),
    ] {
        let mut server = Server::start(&Settings::new(&database).set("log-level", level));
        one_of_each(&server);
        server.stop();
        let lines = access_lines(&server.log());
        let form = Regex::new(
            r#"^127\.0\.0\.1 - web_anon \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "(GET|POST) [^ ]+ HTTP/1\.1" (\d{3}) \d+ "" "tests/1\.0"$"#,
        )
        .expect("a valid pattern");
        let found: Vec<&str> = lines
            .iter()
            .map(|line| form.captures(line).unwrap_or_else(|| panic!("{line}")))
            .map(|groups| groups.get(2).expect("a status").as_str())
            .collect();
        assert_eq!(found, statuses, "{level}\n{}", server.log());
    }
}

#[test]
fn the_role_of_the_token_is_in_the_line() {
    let database = Cluster::shared().database(SQL);
    let mut server = Server::start(&Settings::new(&database));
    server.send(&Request::get("/todos").bearer(&jwt::for_role("reader")));
    server.send(&Request::get("/todos").bearer("no.token.atall"));
    server.stop();
    let log = server.log();
    assert!(log.contains("127.0.0.1 - reader ["), "{log}");
    assert!(log.contains("127.0.0.1 - - ["), "{log}");
}

#[test]
fn messages_begin_with_the_time_and_say_what_happened() {
    let database = Cluster::shared().database(SQL);
    let (settings, admin) = with_admin(Settings::new(&database).set("log-level", "crit"));
    let mut server = Server::start(&settings);
    server.stop();
    let log = server.log();
    for message in [
        "Starting goldenkey ",
        "Successfully connected to PostgreSQL ",
        "Connection Pool initialized with a maximum size of 4 connections",
        &format!("API server listening on 127.0.0.1:{}", server.port),
        &format!("Admin server listening on 127.0.0.1:{admin}"),
        "Listening for database notifications on the \"pgrst\" channel",
        "Config reloaded",
        "Schema cache queried in ",
        "Schema cache loaded 2 Relations, 0 Relationships, 1 Functions, 0 Domain \
         Representations, 0 Media Type Handlers",
        "Received termination unix signal SIGTERM",
    ] {
        assert!(log.contains(&format!(": {message}")), "{message}\nin\n{log}");
    }
    let time = Regex::new(r"^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}: ").expect("valid");
    assert!(log.lines().all(|line| time.is_match(line)), "{log}");
}

#[test]
fn the_sql_of_requests_is_logged_by_level_without_values() {
    let database = Cluster::shared().database(SQL);
    let settings = Settings::new(&database).set("log-level", "warn").set("log-query", true);
    let mut server = Server::start(&settings);
    assert_eq!(server.send(&Request::get("/todos?select=task&id=eq.17")).status, 200);
    assert_eq!(server.send(&Request::get("/todos?task=eq.hidden&id=eq.x")).status, 400);
    server.stop();
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("FROM \"api\".")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("$1") && !lines[0].contains("hidden"), "{log}");
}

#[test]
fn no_secret_is_ever_logged() {
    let database = Cluster::shared().database(SQL);
    let password = "pass-word-of-the-database";
    let secret = "the secret that signs all the tokens";
    let uri = database.uri().replace("authenticator@", &format!("authenticator:{password}@"));
    let (settings, admin) = with_admin(
        Settings::new(&database)
            .set("db-uri", uri)
            .set("jwt-secret", secret)
            .set("log-level", "debug")
            .set("log-query", true),
    );
    let mut server = Server::start(&settings);
    let header = serde_json::json!({"alg": "HS256", "typ": "JWT"});
    let claims = serde_json::json!({"role": "reader"});
    let tokens = [
        jwt::sign(&header, &claims, secret.as_bytes()),
        jwt::sign(&header, &claims, b"another secret of the right length"),
        jwt::sign(&header, &serde_json::json!({"role": "nobody"}), secret.as_bytes()),
        jwt::sign(&header, &serde_json::json!({"role": "reader", "exp": 1}), secret.as_bytes()),
    ];
    for token in &tokens {
        server.send(&Request::get("/todos").bearer(token));
        server.send(&Request::get("/todos?id=eq.x").bearer(token));
        server.send(&Request::post("/rpc/fail", "{}").bearer(token));
    }
    server.rewrite(&settings.clone().set("jwt-secret", "short"));
    server.signal(Signal::User2);
    server.wait_for_log(0, "Failed reloading config");
    let pages = ["/metrics", "/schema_cache", "/config"].map(|p| super::ask(admin, p).text());
    server.stop();
    let told = server.log() + &pages.concat();
    let mut secrets = vec![password, secret, "short"];
    secrets.extend(tokens.iter().filter_map(|token| token.rsplit('.').next()));
    for secret in secrets {
        let shown = told.lines().find(|line| line.contains(secret));
        assert!(shown.is_none(), "{shown:?} shows {secret}");
    }
}

#[test]
fn a_slow_reader_of_the_log_costs_lines_and_no_request() {
    let database = Cluster::shared().database(SQL);
    let folder = janitor::new_folder("server");
    let (settings, admin) = with_admin(Settings::new(&database));
    let file = folder.join("server.conf");
    std::fs::write(&file, settings.to_file()).expect("the folder is ours");
    let mut child = Command::new(server::BINARY)
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let _watched = janitor::watch(child.id(), "KILL");
    let answers = || crate::support::Connection::open(settings.port).ok();
    let mut connection = wait_for(LIMIT, answers).expect("it listens");
    let long = format!("/todos?select=id&id=eq.1&x=eq.{}", "y".repeat(8000));
    let dropped = wait_for(LIMIT, || {
        for _ in 0..50 {
            connection.send(&Request::get(&long)).expect("an answer");
        }
        (super::metric(admin, "goldenkey_log_lines_dropped_total") > 0.0).then_some(())
    });
    assert!(dropped.is_some(), "lines are dropped");
    let mut messages = child.stderr.take().expect("a pipe");
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        messages.read_to_string(&mut text).map(|_| text)
    });
    let mut access = child.stdout.take().expect("a pipe");
    let draining = std::thread::spawn(move || std::io::copy(&mut access, &mut std::io::sink()));
    process::send(child.id(), Signal::Terminate);
    child.wait().expect("it ends");
    let _ = draining.join();
    let text = reading.join().expect("no panic").expect("text");
    assert!(text.contains("lines were dropped here"), "{text}");
}

#[test]
fn a_reload_changes_what_is_logged() {
    let database = Cluster::shared().database(SQL);
    let settings = Settings::new(&database).set("log-level", "crit");
    let server = Server::start(&settings);
    one_of_each(&server);
    server.rewrite(&settings.set("log-level", "info").set("log-query", true));
    server.signal(Signal::User2);
    eventually("the level and the SQL", &server, || {
        one_of_each(&server);
        access_lines(&server.log()).len() >= 3 && server.log().contains("FROM \"api\".\"todos\"")
    });
}
