//! Passwords and secrets: not in the output of any command, not in the log at any level, not in
//! `ps`, and not in what clients read, also when the database cannot be reached.

use crate::support::{Cluster, Connection, Request, Server, Settings, janitor, port, wait_for};
use serde_json::json;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::Duration;

/// In the password of `db-uri`, with what a careless hand writes between its parts.
const PASSWORD_PARTS: [&str; 2] = ["geheim", "9wort"];

const SECRET: &str = "a-jwt-secret-that-nobody-must-read-42";

/// In `app.settings`.
const APP_SECRET: &str = "an-app-setting-that-nobody-must-read";

/// How long a server may take to tell that it cannot connect.
const LIMIT: Duration = Duration::from_secs(15);

fn assert_silent(what: &str, text: &str) {
    for secret in PASSWORD_PARTS.into_iter().chain([SECRET, APP_SECRET]) {
        assert!(!text.contains(secret), "{what} shows {secret:?}:\n{text}");
    }
}

fn settings(uri: &str) -> Settings {
    Settings::bare()
        .set("db-uri", uri)
        .set("db-anon-role", "web_anon")
        .set("jwt-secret", SECRET)
        .set("app.settings.key", APP_SECRET)
        .set("db-pool-acquisition-timeout", 1)
        .set("log-level", "debug")
        .set("log-query", true)
}

/// What the command prints, within a few seconds.
fn output_of(arguments: &[&str], settings: &Settings) -> String {
    let path = janitor::new_folder("secrets").join("server.conf");
    std::fs::write(&path, settings.to_file()).expect("the folder is ours");
    let mut command = Command::new(crate::support::server::BINARY);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    let output = command.args(arguments).arg(path).stdin(Stdio::null()).output();
    let output = output.expect("the binary under test can be run");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// Runs each command and a server with a database that cannot be reached.
fn try_everything(what: &str, uri: &str) {
    let settings = settings(uri).set("admin-server-port", port::free());
    for arguments in [
        &["--dump-schema"][..],
        &["--dump-config", "--hide-secrets"],
        &["--ready"],
        &["token", "--role", "web_anon"],
        &["token", "--inspect", "a.b.c"],
    ] {
        let text = output_of(arguments, &settings);
        assert!(!text.is_empty(), "{what}: {arguments:?} says nothing");
        assert_silent(&format!("{what}: {arguments:?}"), &text);
    }
    let mut server = Server::spawn(&settings, &janitor::new_folder("secrets"));
    let answer = wait_for(LIMIT, || {
        if server.wait_for_exit(Duration::ZERO).is_some() {
            return Some(None);
        }
        let mut connection = Connection::open(server.port).ok()?;
        connection.send(&Request::get("/todos")).ok().map(Some)
    });
    let answer = answer.unwrap_or_else(|| panic!("{what}: no answer\n{}", server.log_end()));
    if let Some(answer) = answer {
        let text = answer.text();
        assert_eq!(answer.status, 503, "{what}: {text}");
        for part in ["authenticator", "server on socket", "server at", "nowhere", "5999"] {
            assert!(!text.contains(part), "{what}: clients read {part:?}: {text}");
        }
        assert_silent(&format!("{what}: the answer"), &text);
        let arguments = std::fs::read(format!("/proc/{}/cmdline", server.pid()));
        let arguments = String::from_utf8_lossy(&arguments.unwrap_or_default()).into_owned();
        assert_silent(&format!("{what}: ps"), &arguments);
    }
    assert!(server.log().contains("goldenkey"), "{what}: there is a log");
    assert_silent(&format!("{what}: the log"), &server.log());
}

#[test]
fn no_failure_to_connect_shows_a_password() {
    let folder = janitor::new_folder("silent");
    let _silent = UnixListener::bind(folder.join(".s.PGSQL.5999")).expect("the folder is ours");
    let dead = port::free();
    let folder = folder.display();
    for (what, uri) in [
        ("nobody listens", format!("postgres://authenticator:geheim9wort@127.0.0.1:{dead}/d")),
        ("no such host", "postgres://authenticator:geheim9wort@nowhere.invalid/d".to_owned()),
        ("no socket", "host=/nowhere port=5999 user=authenticator password=geheim9wort".to_owned()),
        (
            "a silent server",
            format!(
                "postgres://authenticator:geheim9wort@/d?host={folder}&port=5999&connect_timeout=1"
            ),
        ),
        ("a bare @", "postgres://authenticator:geheim@9wort@127.0.0.1/d".to_owned()),
        ("a bare /", "postgres://authenticator:geheim/9wort@127.0.0.1/d".to_owned()),
        ("a bare space", "host=h password=geheim 9wort=x".to_owned()),
        ("a bad option", "postgres://authenticator:geheim9wort@h/d?9wort=1".to_owned()),
        ("a bad percent", "postgres://authenticator:geheim%9wort@h/d".to_owned()),
    ] {
        try_everything(what, &uri);
    }
}

#[test]
fn no_refusal_of_the_database_shows_a_password() {
    let cluster = Cluster::start();
    let database = cluster.database("");
    cluster.require_password();
    database.sql("alter role authenticator password 'another'");
    let uri = database.uri().replace("authenticator@", "authenticator:geheim9wort@");
    assert!(uri.contains("geheim9wort"), "{uri}");
    try_everything("a wrong password", &uri);
    database.sql("alter role authenticator password 'geheim9wort'");
    let missing = cluster.uri("nowhere").replace("authenticator@", "authenticator:geheim9wort@");
    try_everything("no such database", &missing);
    database.sql("alter role authenticator nologin");
    try_everything("no login", &uri);
}

#[test]
fn a_running_server_shows_no_secret_at_any_level() {
    let cluster = Cluster::start();
    let database = cluster.database(crate::SQL);
    cluster.require_password();
    database.sql("alter role authenticator password 'geheim9wort'");
    let uri = database.uri().replace("authenticator@", "authenticator:geheim9wort@");
    for level in ["crit", "error", "warn", "info", "debug"] {
        let settings = settings(&uri)
            .set("db-schemas", "api")
            .set("log-level", level)
            .set("admin-server-port", port::free());
        let server = Server::start(&settings);
        for request in [
            Request::get("/whoami"),
            Request::get("/nowhere"),
            Request::get("/whoami").bearer("a.b.c"),
            Request::post("/whoami", json!({"role": "x"}).to_string()),
        ] {
            assert_silent("an answer", &server.send(&request).text());
        }
        database.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where usename = 'authenticator'",
        );
        assert_silent("an answer", &server.send(&Request::get("/whoami")).text());
        for path in ["/metrics", "/schema_cache", "/config"] {
            let admin = settings.values.iter().find(|(name, _)| name == "admin-server-port");
            let admin = admin.and_then(|(_, value)| value.as_u64()).expect("it is set");
            let mut connection = Connection::open(admin as u16).expect("the admin server accepts");
            let answer = connection.send(&Request::get(path)).expect("it answers");
            assert_silent(path, &answer.text());
        }
        assert_silent(level, &server.log());
    }
}
