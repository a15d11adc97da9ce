//! Two servers: reads from a standby, and the failover to one.

use super::{LIMIT, SQL, eventually, metric, with_admin};
use crate::support::{Cluster, Database, Request, Server, Settings, wait_for};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;

/// A URI that names both servers, in this order.
fn uri(first: &Cluster, second: &Cluster, database: &Database, target: &str) -> String {
    let folder = |cluster: &Cluster| {
        let folder = cluster.socket_folder();
        utf8_percent_encode(folder.to_str().expect("UTF-8"), NON_ALPHANUMERIC).to_string()
    };
    let (first, second) = (folder(first), folder(second));
    format!(
        "postgresql://authenticator@{first},{second}/{}?target_session_attrs={target}",
        database.name
    )
}

fn status(server: &Server, path: &str) -> u16 {
    server.send(&Request::get(path)).status
}

#[test]
fn reads_come_from_the_standby_and_notifications_from_the_primary() {
    let primary = Cluster::start();
    let standby = primary.standby();
    let database = primary.database(
        &(SQL.to_owned()
            + "create view api.place as select pg_is_in_recovery() as standby;
               grant select on api.place to web_anon;"),
    );
    let there = wait_for(LIMIT, || {
        let query = format!("select from pg_database where datname = '{}'", database.name);
        let mut client = standby.connect("postgres");
        (client.query(&query, &[]).expect("valid SQL").len() == 1).then_some(())
    });
    assert!(there.is_some(), "the standby follows");
    let target = "prefer-standby";
    let settings =
        Settings::new(&database).set("db-uri", uri(&standby, &primary, &database, target));
    let (settings, admin) = with_admin(settings);
    let server = Server::start(&settings);
    eventually("the standby has the schema", &server, || status(&server, "/place") != 404);
    let got = server.send(&Request::get("/place"));
    assert_eq!(got.json()[0]["standby"], true, "{}", got.text());
    eventually("it listens", &server, || metric(admin, "goldenkey_listening") == 1.0);
    // One notification is enough, though the standby is behind.
    for number in 0..5 {
        let table = format!("t{number}");
        database.sql(&format!(
            "create table api.{table} (); grant select on api.{table} to web_anon;
             notify pgrst, 'reload schema'"
        ));
        eventually("the new table", &server, || status(&server, &format!("/{table}")) == 200);
    }
    let got = server.send(&Request::post("/todos", "{\"id\":2}"));
    assert_eq!(got.status, 405, "{}", got.text());
}

#[test]
fn after_a_failover_the_promoted_standby_serves() {
    let primary = Cluster::start();
    let database = primary.database(SQL);
    let standby = primary.standby();
    let settings =
        Settings::new(&database).set("db-uri", uri(&primary, &standby, &database, "read-write"));
    let (settings, admin) = with_admin(settings);
    let server = Server::start(&settings);
    assert_eq!(status(&server, "/todos"), 200);
    primary.stop();
    eventually("nobody takes writes", &server, || status(&server, "/todos") == 503);
    standby.sql("postgres", "select pg_promote()");
    let back = wait_for(Duration::from_secs(2), || {
        (status(&server, "/todos") == 200 && metric(admin, "goldenkey_ready") == 1.0).then_some(())
    });
    assert!(back.is_some(), "the service is back\n{}", server.log_end());
    eventually("it listens there", &server, || metric(admin, "goldenkey_listening") == 1.0);
    let sql = "create table api.news (); grant select on api.news to web_anon; notify pgrst";
    standby.sql(&database.name, sql);
    eventually("the new table", &server, || status(&server, "/news") == 200);
}
