//! The admin server.

use super::{LIMIT, SQL, ask, eventually, metric, with_admin};
use crate::support::{
    Cluster, Connection, Request, Server, Settings, janitor, jwt, process, server, wait_for,
};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn a_server_with_its_schema_cache_is_live_and_ready() {
    let database = Cluster::shared().database(SQL);
    let (settings, port) = with_admin(Settings::new(&database));
    let _server = Server::start(&settings);
    for path in ["/live", "/ready"] {
        let got = ask(port, path);
        assert_eq!((got.status, got.body.as_slice()), (200, &b""[..]), "{path}");
    }
    let mut connection = Connection::open(port).expect("the admin server accepts");
    assert_eq!(connection.send(&Request::new("HEAD", "/live")).expect("an answer").status, 200);
    for path in ["/", "/config", "/todos", "/live/"] {
        assert_eq!(ask(port, path).status, 404, "{path}");
    }
}

#[test]
fn the_schema_cache_is_shown_as_json() {
    let database = Cluster::shared().database(SQL);
    let (settings, port) = with_admin(Settings::new(&database));
    let _server = Server::start(&settings);
    let got = ask(port, "/schema_cache");
    assert_eq!(got.header("Content-Type"), Some("application/json; charset=utf-8"));
    assert!(got.json()["schemas"]["api"]["relations"]["todos"].is_object());
}

#[test]
fn it_listens_on_a_unix_socket_with_the_mode_that_is_set() {
    let database = Cluster::shared().database(SQL);
    let path = janitor::new_folder("admin").join("admin.sock");
    let settings = Settings::new(&database)
        .set("admin-server-unix-socket", path.to_str().expect("UTF-8"))
        .set("admin-server-unix-socket-mode", "600");
    let mut server = Server::start(&settings);
    let mode = std::fs::metadata(&path).expect("the socket is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).expect("it accepts");
    stream.write_all(b"GET /ready HTTP/1.1\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(server.stop().expect("it ends").success());
    assert!(!path.exists(), "the socket is removed");
}

#[test]
fn the_command_ready_asks_it() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let (settings, _) = with_admin(Settings::new(&database));
    let folder = janitor::new_folder("ready");
    let mut server = Server::spawn(&settings, &folder);
    server.wait_until_ready().expect("it starts");
    let ready = || {
        let mut command = Command::new(server::BINARY);
        command.arg("--ready").arg(folder.join("server.conf"));
        command.output().expect("the binary runs")
    };
    assert!(ready().status.success());
    cluster.stop();
    eventually("it is not ready without its database", &server, || !ready().status.success());
    cluster.boot();
    eventually("it is ready again", &server, || ready().status.success());
    server.stop();
    assert!(!ready().status.success());
}

#[test]
fn a_server_without_its_database_is_live_and_not_ready() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    cluster.stop();
    let (settings, port) = with_admin(Settings::new(&database));
    let server = Server::spawn(&settings, &janitor::new_folder("server"));
    let answers = || Connection::open(port).is_ok();
    eventually("the admin server answers", &server, answers);
    eventually("it is live", &server, || ask(port, "/live").status == 200);
    assert_eq!(ask(port, "/ready").status, 503);
    assert_eq!(ask(port, "/schema_cache").status, 503);
    cluster.boot();
    eventually("it becomes ready", &server, || ask(port, "/ready").status == 200);
}

#[test]
fn the_metrics_count_requests_tokens_and_connections() {
    let database = Cluster::shared().database(SQL);
    let (settings, port) = with_admin(Settings::new(&database).set("db-pool", 3));
    let server = Server::start(&settings);
    let request = Request::get("/todos").bearer(&jwt::for_role("reader"));
    for _ in 0..3 {
        assert_eq!(server.send(&request).status, 200);
    }
    assert_eq!(server.send(&Request::get("/nothing")).status, 404);
    let got = ask(port, "/metrics");
    assert_eq!(got.header("Content-Type"), Some("text/plain; charset=utf-8"));
    for (name, value) in [
        ("goldenkey_requests_total{method=\"GET\",status=\"200\"}", 3.0),
        ("goldenkey_request_duration_seconds_count{method=\"GET\",status=\"200\"}", 3.0),
        ("pgrst_jwt_cache_requests_total", 3.0),
        ("pgrst_jwt_cache_hits_total", 2.0),
        ("goldenkey_jwt_cache_misses_total", 1.0),
        ("pgrst_jwt_cache_evictions_total", 0.0),
        ("pgrst_db_pool_max", 3.0),
        ("pgrst_db_pool_available", 1.0),
        ("pgrst_db_pool_waiting", 0.0),
        ("pgrst_db_pool_timeouts_total", 0.0),
        ("pgrst_schema_cache_loads_total{status=\"SUCCESS\"}", 1.0),
        ("goldenkey_db_connections_opened_total", 1.0),
        ("goldenkey_requests_in_flight", 0.0),
        ("goldenkey_listening", 1.0),
        ("goldenkey_ready", 1.0),
    ] {
        assert_eq!(metric(port, name), value, "{name} in\n{}", got.text());
    }
    assert!(metric(port, "pgrst_schema_cache_query_time_seconds") > 0.0);
    assert!(metric(port, "process_resident_memory_bytes") > 0.0);
}

#[test]
fn the_metrics_show_the_limits_at_the_front_and_what_they_refused() {
    let database = Cluster::shared().database(SQL);
    let settings = Settings::new(&database)
        .set("server-threads", 1)
        .set("server-max-connections", 4)
        .set("server-max-waiting", 1);
    let (settings, port) = with_admin(settings);
    let server = Server::start(&settings);
    assert_eq!(metric(port, "goldenkey_client_connections_max"), 4.0);
    assert_eq!(metric(port, "goldenkey_requests_waiting_max"), 1.0);
    // Of these, one address may hold three.
    let mut open: Vec<_> = (0..3).map(|_| server.connect()).collect();
    eventually("they are counted", &server, || metric(port, "goldenkey_client_connections") == 3.0);
    let refused = server.connect().send(&Request::get("/todos"));
    assert!(refused.map_or(true, |got| got.status == 503), "one too many is refused");
    let reason = |reason: &str| format!("goldenkey_refusals_total{{reason=\"{reason}\"}}");
    assert_eq!(metric(port, &reason("address_limit")), 1.0);
    open[0].write(b"GET / HTTP/1.1\r\nno field\r\n\r\n").expect("it reads");
    assert_eq!(open[0].read("GET").expect("an answer").status, 400);
    assert_eq!(metric(port, &reason("malformed")), 1.0);
    assert_eq!(open[1].send(&Request::get("/todos")).expect("an answer").status, 200);
    assert!(metric(port, "goldenkey_request_queue_seconds_count") >= 1.0);
}

#[test]
fn every_metric_is_in_the_documentation() {
    let database = Cluster::shared().database(SQL);
    let (settings, port) = with_admin(Settings::new(&database));
    let server = Server::start(&settings);
    assert_eq!(server.send(&Request::get("/todos")).status, 200);
    let page = include_str!("../../docs/operations.md");
    let text = ask(port, "/metrics").text();
    let shown: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for name in &shown {
        assert!(page.contains(&format!("| `{name}` |")), "{name} is not in docs/operations.md");
    }
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let metrics = rows.filter(|name| {
        ["pgrst_", "goldenkey_", "process_"].iter().any(|prefix| name.starts_with(prefix))
    });
    for name in metrics {
        assert!(shown.contains(&name), "{name} is in docs/operations.md only");
    }
}

#[test]
fn it_answers_while_the_service_is_saturated() {
    let database = Cluster::shared().database(SQL);
    let settings = Settings::new(&database).set("db-pool", 1).set("server-threads", 1);
    let (settings, port) = with_admin(settings);
    let server = Server::start(&settings);
    std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..6).map(|_| scope.spawn(|| server.send(&Request::get("/slow")).status)).collect();
        eventually("a request is in flight", &server, || {
            metric(port, "goldenkey_requests_in_flight") >= 1.0
        });
        assert_eq!(ask(port, "/live").status, 200);
        assert_eq!(ask(port, "/ready").status, 200);
        for asking in asking {
            assert_eq!(asking.join().expect("no panic"), 200);
        }
    });
}

#[test]
fn a_service_whose_workers_are_all_held_is_not_ready() {
    let database = Cluster::shared().database(&format!(
        "{SQL} create view api.held as select pg_sleep(8)::text as slept;
         grant select on api.held to web_anon;"
    ));
    let settings = Settings::new(&database).set("db-pool", 1).set("server-threads", 1);
    let (settings, port) = with_admin(settings);
    let server = Server::start(&settings);
    let mut clients: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.write(&Request::get("/held").to_bytes()).expect("it reads");
    }
    assert_eq!(ask(port, "/ready").status, 200);
    eventually("it is told", &server, || ask(port, "/ready").status == 503);
    assert_eq!(ask(port, "/live").status, 200);
    drop(clients);
    eventually("it is ready again", &server, || ask(port, "/ready").status == 200);
}

#[test]
fn it_answers_while_the_process_is_out_of_descriptors() {
    let database = Cluster::shared().database(SQL);
    let (settings, port) = with_admin(Settings::new(&database));
    let server = Server::start(&settings);
    assert_eq!(server.send(&Request::get("/todos")).status, 200);
    // Whatever the process opens from now on fails.
    let used = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("it runs").count();
    process::limit_open_files(server.pid(), used as u64);
    assert_eq!(ask(port, "/ready").status, 200);
    assert_eq!(ask(port, "/live").status, 200);
    assert_eq!(ask(port, "/metrics").status, 200);
    process::limit_open_files(server.pid(), 1024);
    assert_eq!(server.send(&Request::get("/todos")).status, 200);
}

#[test]
fn silent_and_slow_clients_do_not_keep_others_from_it() {
    let database = Cluster::shared().database(SQL);
    let (settings, port) = with_admin(Settings::new(&database));
    let _server = Server::start(&settings);
    let others: Vec<TcpStream> = (0..100)
        .map(|number| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it accepts");
            // Some say nothing, some stop in the middle, some do not take their answer.
            let sent = ["", "GET /ready HTT", "GET /schema_cache HTTP/1.1\r\n\r\n"][number % 3];
            stream.write_all(sent.as_bytes()).expect("it reads");
            stream
        })
        .collect();
    let begun = Instant::now();
    for path in ["/live", "/ready"] {
        assert_eq!(ask(port, path).status, 200);
    }
    // Far less than what the silent ones are allowed.
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    drop(others);
}

#[test]
fn a_client_that_sends_rubbish_gets_a_400() {
    let database = Cluster::shared().database(SQL);
    let (settings, port) = with_admin(Settings::new(&database));
    let _server = Server::start(&settings);
    for rubbish in ["\u{16}\u{3}\u{1}", "GET\r\n\r\n", &format!("GET /{}", "x".repeat(9000))] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it accepts");
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout can be set");
        stream.write_all(rubbish.as_bytes()).expect("it reads");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("it answers");
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 400");
    }
    let back =
        wait_for(Duration::from_secs(5), || (ask(port, "/live").status == 200).then_some(()));
    assert!(back.is_some(), "it goes on");
}
