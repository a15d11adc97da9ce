//! A database in trouble: what clients are told, and how soon the service is back.

use super::{LIMIT, SQL, ask, eventually, metric, with_admin};
use crate::support::{Cluster, Request, Response, Server, Settings, janitor, wait_for};
use std::time::{Duration, Instant};

/// The service is back this soon after the database is.
const BACK_WITHIN: Duration = Duration::from_secs(2);

fn get(server: &Server) -> Response {
    server.send(&Request::get("/todos"))
}

fn assert_unavailable(got: &Response, status: u16, code: &str) {
    assert_eq!((got.status, got.code().as_str()), (status, code), "{}", got.text());
    if status == 503 {
        let retry_after = got.header("Retry-After").expect("503 has Retry-After");
        retry_after.parse::<u32>().expect("a number of seconds");
    }
}

#[test]
fn a_database_that_was_never_there_is_pgrst002_until_it_is() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    cluster.stop();
    let server = Server::spawn(&Settings::new(&database), &janitor::new_folder("server"));
    let answered = wait_for(LIMIT, || {
        let mut connection = crate::support::Connection::open(server.port).ok()?;
        connection.send(&Request::get("/todos")).ok()
    });
    assert_unavailable(&answered.expect("an answer"), 503, "PGRST002");
    server.wait_for_log(0, "Attempting to reconnect to the database in ");
    cluster.boot();
    let back = wait_for(BACK_WITHIN, || (get(&server).status == 200).then_some(()));
    assert!(back.is_some(), "{}", server.log_end());
}

#[test]
fn a_database_that_went_away_is_pgrst000_and_all_is_back_with_it() {
    for channel in [true, false] {
        let cluster = Cluster::start();
        let database = cluster.database(SQL);
        let (settings, admin) =
            with_admin(Settings::new(&database).set("db-channel-enabled", channel));
        let server = Server::start(&settings);
        assert_eq!(get(&server).status, 200);
        cluster.stop();
        eventually("PGRST000", &server, || get(&server).code() == "PGRST000");
        let got = get(&server);
        assert_unavailable(&got, 503, "PGRST000");
        assert_eq!(got.json()["message"], "Database connection error. Retrying the connection.");
        eventually("it is not ready", &server, || ask(admin, "/ready").status == 503);
        std::thread::sleep(Duration::from_secs(2));
        cluster.boot();
        let back = wait_for(BACK_WITHIN, || {
            (get(&server).status == 200 && ask(admin, "/ready").status == 200).then_some(())
        });
        assert!(back.is_some(), "channel {channel}\n{}", server.log_end());
    }
}

#[test]
fn the_schema_cache_is_loaded_again_after_the_database_was_away() {
    let cluster = Cluster::start_with(&[("synchronous_commit", "on")]);
    let database = cluster.database(SQL);
    let server = Server::start(&Settings::new(&database));
    cluster.stop();
    eventually("it is away", &server, || get(&server).status == 503);
    cluster.boot();
    database.sql("create table api.news (); grant select on api.news to web_anon");
    eventually("the new table", &server, || server.send(&Request::get("/news")).status == 200);
}

#[test]
fn connections_are_not_attempted_in_storms() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let (settings, admin) = with_admin(Settings::new(&database));
    let server = Server::start(&settings);
    cluster.stop();
    eventually("it is away", &server, || get(&server).status == 503);
    let failed = || metric(admin, "goldenkey_db_connections_failed_total");
    let (before, begun) = (failed(), Instant::now());
    let mut asked = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(get(&server).status, 503);
        asked += 1;
    }
    let attempts = failed() - before;
    assert!(attempts < 20.0, "{attempts} attempts for {asked} requests");
}

#[test]
fn all_connections_in_use_is_pgrst003_after_the_acquisition_timeout() {
    let database = Cluster::shared().database(SQL);
    let settings = Settings::new(&database).set("db-pool", 1).set("db-pool-acquisition-timeout", 1);
    let (settings, admin) = with_admin(settings);
    let server = Server::start(&settings);
    database.sql("create view api.endless as select pg_sleep(4)::text; grant select on api.endless to web_anon; notify pgrst");
    eventually("the view", &server, || {
        server.send(&Request::new("OPTIONS", "/endless")).status == 200
    });
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| server.send(&Request::get("/endless")).status);
        eventually("a request runs", &server, || {
            metric(admin, "goldenkey_requests_in_flight") == 1.0
        });
        let got = get(&server);
        assert_unavailable(&got, 504, "PGRST003");
        assert_eq!(got.json()["message"], "Timed out acquiring connection from connection pool.");
        assert_eq!(busy.join().expect("no panic"), 200);
    });
    assert_eq!(metric(admin, "pgrst_db_pool_timeouts_total"), 1.0);
    assert_eq!(get(&server).status, 200);
}

#[test]
fn waiting_requests_get_a_connection_when_the_one_in_use_breaks() {
    let database = Cluster::shared().database(SQL);
    let server = Server::start(&Settings::new(&database).set("db-pool", 1));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..4).map(|_| scope.spawn(|| server.send(&Request::get("/slow")).status)).collect();
        let mut superuser = database.connect();
        let ended = wait_for(LIMIT, || {
            let query = "select pg_terminate_backend(pid) from pg_stat_activity \
                         where datname = current_database() and wait_event = 'PgSleep'";
            (!superuser.query(query, &[]).expect("valid SQL").is_empty()).then_some(())
        });
        assert!(ended.is_some(), "a query runs");
        asking.into_iter().map(|asking| asking.join().expect("no panic")).collect()
    });
    let count = |status| statuses.iter().filter(|got| **got == status).count();
    assert_eq!((count(503), count(200)), (1, 3), "{statuses:?}");
}

#[test]
fn a_database_without_a_free_connection_is_503_and_those_there_are_serve() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    cluster.sql("postgres", "alter role authenticator connection limit 2");
    let settings = Settings::new(&database).set("db-pool", 4).set("db-channel-enabled", false);
    let (settings, admin) = with_admin(settings);
    let server = Server::start(&settings);
    for _ in 0..3 {
        let statuses: Vec<(u16, String)> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let got = server.send(&Request::get("/slow"));
                        (got.status, got.code())
                    })
                })
                .collect();
            asking.into_iter().map(|asking| asking.join().expect("no panic")).collect()
        });
        assert!(statuses.iter().any(|(status, _)| *status == 200), "{statuses:?}");
        for (status, code) in statuses {
            assert!(
                status == 200 || (status, code.as_str()) == (503, "PGRST000"),
                "{status} {code}"
            );
        }
        // One after the other, they have the connections that there are.
        for _ in 0..5 {
            let got = get(&server);
            assert_eq!(got.status, 200, "{}", got.text());
        }
    }
    assert_eq!(ask(admin, "/ready").status, 200);
    let loads = metric(admin, "pgrst_schema_cache_loads_total{status=\"SUCCESS\"}");
    assert_eq!(loads, 1.0, "a connection limit is no reason to reload");
}

#[test]
fn a_wrong_password_ends_the_start() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "alter role authenticator password 'right'");
    cluster.require_password();
    let database = cluster.database(SQL);
    let with = |password: &str| {
        let uri = database.uri().replace("authenticator@", &format!("authenticator:{password}@"));
        Settings::new(&database).set("db-uri", uri)
    };
    let mut server = Server::spawn(&with("wrong"), &janitor::new_folder("server"));
    let exit = server.wait_for_exit(LIMIT).expect("it ends");
    assert!(!exit.success());
    let log = server.log();
    assert!(log.contains("password authentication failed"), "{log}");
    assert!(!log.contains("wrong"), "{log}");
    assert_eq!(get(&Server::start(&with("right"))).status, 200);
}

#[test]
fn without_automatic_recovery_the_process_ends_when_the_database_does() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let settings = Settings::new(&database).set("db-pool-automatic-recovery", false);
    let mut server = Server::start(&settings);
    assert_eq!(get(&server).status, 200);
    cluster.stop();
    let exit = server.wait_for_exit(LIMIT).expect("it ends");
    assert!(!exit.success());
    server.wait_for_log(0, "Automatic recovery disabled, exiting.");
}

#[test]
fn without_automatic_recovery_the_process_ends_when_the_database_ends_its_connections() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let settings = Settings::new(&database).set("db-pool-automatic-recovery", false);
    for whose in ["", "and query like 'LISTEN%'"] {
        let mut server = Server::start(&settings);
        assert_eq!(get(&server).status, 200);
        eventually("it listens", &server, || {
            database
                .value("select 'yes' from pg_stat_activity where query like 'LISTEN%'")
                .is_some()
        });
        database.sql(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where usename = 'authenticator' {whose}"
        ));
        let exit = server.wait_for_exit(LIMIT).expect("it ends");
        assert_eq!(exit.code(), Some(1));
        server.wait_for_log(0, "Automatic recovery disabled, exiting.");
    }
}

#[test]
fn a_server_that_cannot_load_its_schema_cache_goes_on_trying() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    cluster.sql("postgres", "alter role authenticator set statement_timeout = 1");
    database.sql("create view api.many as select 1 as one");
    for _ in 0..8 {
        database.sql("do $$ begin for i in 1..300 loop execute format('create view api.v%s as select * from api.todos', (random() * 1e9)::int); end loop; end $$");
    }
    let server = Server::spawn(&Settings::new(&database), &janitor::new_folder("server"));
    server.wait_for_log(0, "Failed to load the schema cache. ");
    cluster.sql("postgres", "alter role authenticator reset statement_timeout");
    eventually("it is loaded", &server, || {
        crate::support::Connection::open(server.port)
            .and_then(|mut connection| connection.send(&Request::get("/todos")))
            .is_ok_and(|got| got.status == 200)
    });
}
