//! Point 6: A reload that fails replaces something that worked.

use crate::SQL;
use crate::support::process::Signal;
use crate::support::{Cluster, Request, Response, Server, Settings, jwt, wait_for};
use serde_json::json;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

/// Sends the signal, and gives the server time to act on it: it says so in its log.
fn reload(server: &Server, signal: Signal) {
    let before = server.log().len();
    server.signal(signal);
    let wrote = wait_for(LIMIT, || (server.log().len() > before).then_some(()));
    assert!(wrote.is_some(), "{signal:?} leaves a line in the log");
}

fn rows(server: &Server) -> Response {
    server.send(&Request::get("/notes?select=id&order=id").bearer(&jwt::for_role("reader")))
}

#[test]
fn a_broken_configuration_does_not_replace_the_one_that_works() {
    let database = Cluster::shared().database(SQL);
    database.sql("insert into api.notes values (1), (2), (3)");
    let good = Settings::new(&database);
    let server = Server::start(&good);
    let broken = [
        good.clone().set("db-tx-end", "perhaps"),
        good.clone().set("jwt-secret", "short"),
        good.clone().set("jwt-secret", "@/nonexistent/secret"),
        good.clone().set("db-max-rows", 2).set("db-schemas", "pg_catalog"),
        good.clone().set("db-max-rows", 2).set("openapi-mode", "sometimes"),
    ];
    for settings in &broken {
        server.rewrite(settings);
        reload(&server, Signal::User2);
        let got = rows(&server);
        assert_eq!(got.json(), json!([{"id": 1}, {"id": 2}, {"id": 3}]));
        assert_eq!(server.send(&Request::get("/notes")).status, 200);
    }
    server.rewrite(&good.set("db-max-rows", 2));
    reload(&server, Signal::User2);
    let taken = wait_for(LIMIT, || {
        (rows(&server).json().as_array().map(Vec::len) == Some(2)).then_some(())
    });
    assert!(taken.is_some(), "a good configuration is taken");
}

#[test]
fn a_schema_cache_that_cannot_be_loaded_does_not_replace_the_one_that_works() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let server = Server::start(&Settings::new(&database));
    assert_eq!(rows(&server).status, 200);
    cluster.stop();
    reload(&server, Signal::User1);
    cluster.boot();
    // The old cache serves as soon as there is a connection; nothing says "no such table".
    let served = wait_for(LIMIT, || {
        let got = rows(&server);
        assert!(matches!(got.status, 200 | 503), "{} {}", got.status, got.text());
        (got.status == 200).then_some(())
    });
    assert!(served.is_some(), "the service is back");

    database.sql("create table api.news (id int); grant select on api.news to web_anon");
    reload(&server, Signal::User1);
    let found =
        wait_for(LIMIT, || (server.send(&Request::get("/news")).status == 200).then_some(()));
    assert!(found.is_some(), "a good reload finds the new table");
}

#[test]
fn a_schema_that_breaks_the_catalog_queries_leaves_the_old_cache() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let server = Server::start(&Settings::new(&database));
    // New connections of the server may only run what takes less than a millisecond, and
    // the old ones are gone.
    database.sql("alter role authenticator set statement_timeout = 1");
    database.sql("alter role reader set statement_timeout = 0");
    database.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'",
    );
    reload(&server, Signal::User1);
    database.sql("alter role authenticator reset statement_timeout");
    let served = wait_for(LIMIT, || {
        let got = rows(&server);
        assert_ne!(got.status, 404, "{}", got.text());
        (got.status == 200).then_some(())
    });
    assert!(served.is_some(), "the service is back");
}
