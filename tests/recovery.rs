//! The database goes away and comes back: the server says so, and recovers by itself.

mod support;

use serde_json::json;
use std::time::Duration;
use support::{Cluster, Request, Response, Server, Settings, janitor, jwt, wait_for};

const SQL: &str = "
    create role web_anon nologin;
    create role reader nologin;
    grant web_anon, reader to authenticator;
    create schema api;
    create table api.todos (id int primary key);
    insert into api.todos values (1);
    create view api.slow as select pg_sleep(0.3)::text as slept;
    create view api.endless as select pg_sleep(60)::text as slept;
    grant usage on schema api to web_anon, reader;
    grant select on all tables in schema api to web_anon, reader;
";

/// As long as the service may take to be back once the database is.
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);

fn get(server: &Server) -> Response {
    server.send(&Request::get("/todos").bearer(&jwt::for_role("reader")))
}

fn assert_away(got: &Response) {
    assert_eq!(got.status, 503, "{}", got.text());
    let retry_after = got.header("Retry-After").expect("503 has Retry-After");
    retry_after.parse::<u32>().expect("Retry-After is a number of seconds");
    assert!(!got.code().is_empty(), "{}", got.text());
}

fn assert_recovers(server: &Server) {
    let back = wait_for(RECOVERY_LIMIT, || {
        let got = get(server);
        if got.status == 200 {
            return Some(got);
        }
        assert_away(&got);
        None
    });
    assert_eq!(back.expect("the service is back").json(), json!([{"id": 1}]));
}

#[test]
fn a_server_that_starts_without_its_database_answers_503_until_it_is_there() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    cluster.stop();
    let server = Server::spawn(&Settings::new(&database), &janitor::new_folder("server"));
    let answer = wait_for(Duration::from_secs(20), || {
        let mut connection = support::Connection::open(server.port).ok()?;
        connection.send(&Request::get("/todos")).ok()
    });
    assert_away(&answer.expect("the server answers"));
    assert_away(&get(&server));
    cluster.boot();
    assert_recovers(&server);
}

#[test]
fn a_restart_of_the_database_is_survived() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let server = Server::start(&Settings::new(&database));
    for _ in 0..2 {
        assert_eq!(get(&server).status, 200);
        cluster.stop();
        for _ in 0..3 {
            assert_away(&get(&server));
        }
        cluster.boot();
        assert_recovers(&server);
    }
}

#[test]
fn a_crash_of_the_database_is_survived() {
    let cluster = Cluster::start_with(&[("synchronous_commit", "on")]);
    let database = cluster.database(SQL);
    let server = Server::start(&Settings::new(&database));
    assert_eq!(get(&server).status, 200);
    cluster.crash();
    assert_away(&get(&server));
    cluster.boot();
    assert_recovers(&server);
}

/// Ends the server's idle or busy connections, and gives how many there were.
fn terminate(database: &support::Database) -> usize {
    let query = "select pg_terminate_backend(pid) from pg_stat_activity \
                 where usename = 'authenticator' and datname = current_database()";
    database.connect().query(query, &[]).expect("a valid query").len()
}

#[test]
fn each_connection_may_be_terminated_while_idle() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let server = Server::start(&Settings::new(&database));
    for _ in 0..5 {
        // At once, so that each connection of the pool is used.
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(server.send(&Request::get("/slow")).status, 200));
            }
        });
        assert!(terminate(&database) >= 4);
        // Closed connections are replaced before anything is sent.
        for _ in 0..8 {
            assert_recovers(&server);
        }
    }
}

#[test]
fn each_connection_may_be_terminated_while_busy() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let server = Server::start(&Settings::new(&database));
    std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..4).map(|_| scope.spawn(|| server.send(&Request::get("/endless")))).collect();
        let mut superuser = database.connect();
        let busy = wait_for(Duration::from_secs(10), || {
            let query = "select from pg_stat_activity where wait_event = 'PgSleep'";
            (superuser.query(query, &[]).expect("a valid query").len() == 4).then_some(())
        });
        assert!(busy.is_some(), "four queries run");
        terminate(&database);
        for asking in asking {
            assert_away(&asking.join().expect("no panic"));
        }
    });
    assert_recovers(&server);
}

#[test]
fn never_more_connections_than_the_pool_has() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let server = Server::start(&Settings::new(&database).set("db-pool", 2));
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| assert_eq!(server.send(&Request::get("/slow")).status, 200));
        }
        let mut superuser = database.connect();
        for _ in 0..20 {
            let query = "select from pg_stat_activity where datname = current_database() \
                         and usename = 'authenticator' and query not ilike 'listen %'";
            assert!(superuser.query(query, &[]).expect("a valid query").len() <= 2);
            std::thread::sleep(Duration::from_millis(30));
        }
    });
}
