//! Reloads by `NOTIFY`, and the connection that hears it.

use super::{SQL, ask, eventually, metric, with_admin};
use crate::support::{Cluster, Database, Request, Server, Settings, wait_for};
use std::time::Duration;

const NEW_TABLE: &str = "create table api.news (id int); grant select on api.news to web_anon;";

fn status(server: &Server, path: &str) -> u16 {
    server.send(&Request::get(path)).status
}

/// How often all of the schema cache was loaded.
fn loads(admin: u16) -> f64 {
    metric(admin, "pgrst_schema_cache_loads_total{status=\"SUCCESS\"}")
}

/// A server that hears notifications, and its admin server.
fn start(database: &Database) -> (Server, u16) {
    let (settings, admin) = with_admin(Settings::new(database));
    let server = Server::start(&settings);
    eventually("it listens", &server, || metric(admin, "goldenkey_listening") == 1.0);
    (server, admin)
}

#[test]
fn a_notification_reloads_the_schema_cache() {
    let database = Cluster::shared().database(SQL);
    let (server, _) = start(&database);
    for (number, payload) in ["reload schema", "", "reload tables"].into_iter().enumerate() {
        let table = format!("t{number}");
        assert_eq!(status(&server, &format!("/{table}")), 404);
        database.sql(&format!(
            "create table api.{table} (); grant select on api.{table} to web_anon;
             select pg_notify('pgrst', '{payload}')"
        ));
        eventually(payload, &server, || status(&server, &format!("/{table}")) == 200);
    }
    let log = server.log();
    assert!(log.contains("Received a schema cache reload message on the \"pgrst\" channel"));
}

#[test]
fn a_notification_reloads_the_configuration_with_what_is_in_the_database() {
    let database = Cluster::shared().database(
        &(SQL.to_owned()
            + "create schema other; grant usage on schema other to web_anon;
               create table other.things (); grant select on other.things to web_anon;"),
    );
    let (server, _) = start(&database);
    assert_eq!(status(&server, "/things"), 404);
    database.sql(&format!(
        "alter role authenticator in database \"{}\" set pgrst.db_schemas = 'other';
         notify pgrst, 'reload config'",
        database.name
    ));
    // The schema cache follows, since the exposed schemas have changed.
    eventually("the other schema is exposed", &server, || status(&server, "/things") == 200);
    assert_eq!(status(&server, "/todos"), 404);
    assert!(server.log().contains("Received a config reload message on the \"pgrst\" channel"));
}

#[test]
fn an_unknown_payload_and_another_channel_change_nothing() {
    let database = Cluster::shared().database(SQL);
    let (server, admin) = start(&database);
    let before = loads(admin);
    database.sql("notify pgrst, 'make coffee'; notify other, 'reload schema'");
    database.sql(&format!("{NEW_TABLE} notify pgrst, 'reload schema'"));
    eventually("the reload", &server, || status(&server, "/news") == 200);
    assert_eq!(loads(admin), before + 1.0);
}

#[test]
fn a_burst_of_notifications_makes_few_reloads_and_the_last_one_counts() {
    let database = Cluster::shared().database(SQL);
    let (server, admin) = start(&database);
    let before = loads(admin);
    let mut client = database.connect();
    for number in 0..100 {
        let sql = format!(
            "create table api.t{number} (); grant select on api.t{number} to web_anon; notify pgrst, 'reload schema'"
        );
        client.batch_execute(&sql).expect("valid SQL");
    }
    eventually("the last table", &server, || status(&server, "/t99") == 200);
    let made = loads(admin) - before;
    assert!((1.0..100.0).contains(&made), "{made} loads");
}

#[test]
fn another_channel_is_heard_after_a_reload_and_none_when_it_is_disabled() {
    let database = Cluster::shared().database(SQL);
    let (settings, admin) = with_admin(Settings::new(&database));
    let server = Server::start(&settings);
    let reload = |settings: &Settings| {
        let from = server.log().len();
        server.rewrite(settings);
        server.signal(crate::support::process::Signal::User2);
        server.wait_for_log(from, "Config reloaded");
    };
    reload(&settings.clone().set("db-channel", "my \"channel\""));
    server.wait_for_log(0, "notifications on the \"my \\\"channel\\\"\" channel");
    database.sql(&format!("{NEW_TABLE} notify \"my \"\"channel\"\"\", 'reload schema'"));
    eventually("the reload", &server, || status(&server, "/news") == 200);
    let before = loads(admin);
    database.sql("notify pgrst, 'reload schema'");
    reload(&settings.clone().set("db-channel-enabled", false));
    database.sql("notify \"my \"\"channel\"\"\", 'reload schema'");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(loads(admin), before);
}

#[test]
fn a_listener_whose_connection_ends_connects_again_and_reloads() {
    let database = Cluster::shared().database(SQL);
    let (server, admin) = start(&database);
    let from = server.log().len();
    // While it is away, a notification is missed.
    database.sql(&format!(
        "{NEW_TABLE} select pg_terminate_backend(pid) from pg_stat_activity
         where datname = '{}' and query ilike 'listen %'",
        database.name
    ));
    eventually("what was missed is made good", &server, || status(&server, "/news") == 200);
    server.wait_for_log(from, "Failed listening for database notifications");
    server.wait_for_log(from, "Listening for database notifications");
    assert_eq!(ask(admin, "/ready").status, 200);
    database.sql("create table api.more (); grant select on api.more to web_anon; notify pgrst");
    eventually("it hears again", &server, || status(&server, "/more") == 200);
}

#[test]
fn the_listener_comes_back_with_the_database() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let (server, admin) = start(&database);
    cluster.stop();
    eventually("it is not ready", &server, || ask(admin, "/ready").status == 503);
    // Long enough for the back-off to grow.
    std::thread::sleep(Duration::from_secs(3));
    cluster.boot();
    let back = wait_for(Duration::from_secs(2), || {
        (ask(admin, "/ready").status == 200 && metric(admin, "goldenkey_listening") == 1.0)
            .then_some(())
    });
    assert!(back.is_some(), "all is back within two seconds\n{}", server.log_end());
    database.sql(&format!("{NEW_TABLE} notify pgrst"));
    eventually("it hears", &server, || status(&server, "/news") == 200);
}

#[test]
fn nothing_is_missed_between_the_first_load_and_the_listener() {
    let database = Cluster::shared().database(SQL);
    let (settings, admin) = with_admin(Settings::new(&database));
    let server = Server::start(&settings);
    // The server answers only when it listens already, without a second load.
    assert_eq!(metric(admin, "goldenkey_listening"), 1.0, "{}", server.log_end());
    assert_eq!(loads(admin), 1.0, "{}", server.log_end());
}
