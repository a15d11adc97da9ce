//! Revoked tokens: from a table, from a function, read again when a notification asks for it.

use super::{LIMIT, SQL, eventually, metric, with_admin};
use crate::support::process::Signal;
use crate::support::{Cluster, Request, Server, Settings, janitor, jwt};
use serde_json::json;

const SOURCES: &str = "
    create schema auth;
    grant usage on schema auth to authenticator;
    create table auth.revoked (revoked_at timestamptz default now(), jti text, revoked text);
    insert into auth.revoked (jti) values ('first'), (null);
    grant select on auth.revoked to authenticator;
    create function auth.denied() returns setof text language sql as $$
      values ('first'), ('{\"email\":\"eve@example.org\"}')
    $$;
";

fn status(server: &Server, claims: serde_json::Value) -> u16 {
    server.send(&Request::get("/todos").bearer(&jwt::token(&claims))).status
}

#[test]
fn tokens_in_the_table_are_refused_from_the_first_request_on() {
    let database = Cluster::shared().database(&(SQL.to_owned() + SOURCES));
    let settings = Settings::new(&database).set("jwt-revocation-source", "auth.revoked");
    let server = Server::start(&settings);
    let token = |jti: &str| json!({"role": "reader", "jti": jti});
    assert_eq!(status(&server, token("first")), 401);
    assert_eq!(status(&server, token("second")), 200);
    database.sql("insert into auth.revoked (jti) values ('second')");
    server.signal(Signal::User2);
    eventually("a reload", &server, || status(&server, token("second")) == 401);
    database.sql("truncate auth.revoked");
    server.signal(Signal::User2);
    eventually("what is gone is allowed", &server, || status(&server, token("second")) == 200);
}

#[test]
fn a_function_names_claims() {
    let database = Cluster::shared().database(&(SQL.to_owned() + SOURCES));
    let settings = Settings::new(&database).set("jwt-revocation-source", "auth.denied");
    let server = Server::start(&settings);
    assert_eq!(status(&server, json!({"role": "reader", "jti": "first"})), 401);
    assert_eq!(status(&server, json!({"role": "reader", "email": "eve@example.org"})), 401);
    assert_eq!(status(&server, json!({"role": "reader", "email": "ada@example.org"})), 200);
}

#[test]
fn a_notification_lets_the_source_be_read_again() {
    let database = Cluster::shared().database(&(SQL.to_owned() + SOURCES));
    let (settings, admin) = with_admin(Settings::new(&database));
    let server = Server::start(&settings.set("jwt-revocation-source", "auth.revoked"));
    let ada = || status(&server, json!({"role": "reader", "sub": "ada", "jti": "7"}));
    let bob = || status(&server, json!({"role": "reader", "sub": "bob", "jti": "8"}));
    assert_eq!((ada(), bob()), (200, 200));
    database.sql("insert into auth.revoked (jti) values ('7'); notify goldenkey_revoke");
    eventually("ada is refused", &server, || ada() == 401);
    assert_eq!(bob(), 200);
    assert_eq!(metric(admin, "goldenkey_denied_claims"), 2.0);
    database.sql("delete from auth.revoked where jti = '7'; notify goldenkey_revoke");
    eventually("ada is let in again", &server, || ada() == 200);
}

#[test]
fn nobody_revokes_with_what_a_notification_says() {
    let database = Cluster::shared().database(&(SQL.to_owned() + SOURCES));
    for source in [json!("auth.revoked"), json!(null)] {
        let (settings, admin) = with_admin(Settings::new(&database));
        let server = Server::start(
            &settings.set("jwt-revocation-source", source.clone()).set("log-level", "warn"),
        );
        let denied = || metric(admin, "goldenkey_denied_claims");
        eventually("it listens", &server, || metric(admin, "goldenkey_listening") == 1.0);
        let before = denied();
        let ada = || status(&server, json!({"role": "reader", "sub": "ada"}));
        for number in 0..200 {
            database.sql(&format!("select pg_notify('goldenkey_revoke', 'id{number}')"));
        }
        database.sql(r#"notify goldenkey_revoke, '{"sub":"ada"}'"#);
        // Notifications come in order: what the next one asks for is done after those.
        let from = server.log().len();
        database.sql("notify pgrst");
        server.wait_for_log(from, "Schema cache loaded");
        assert_eq!((ada(), denied()), (200, before), "{}", server.log_end());
        if source.is_null() {
            assert!(server.log().contains("jwt-revocation-source names nothing to read"));
        }
    }
}

#[test]
fn what_was_revoked_while_the_listener_was_away_is_read_again() {
    let database = Cluster::shared().database(&(SQL.to_owned() + SOURCES));
    let settings = Settings::new(&database).set("jwt-revocation-source", "auth.revoked");
    let server = Server::start(&settings);
    assert_eq!(status(&server, json!({"role": "reader", "jti": "9"})), 200);
    database.sql(&format!(
        "insert into auth.revoked (jti) values ('9');
         select pg_terminate_backend(pid) from pg_stat_activity
         where datname = '{}' and query ilike 'listen %'",
        database.name
    ));
    eventually("it is refused", &server, || {
        status(&server, json!({"role": "reader", "jti": "9"})) == 401
    });
}

#[test]
fn a_source_that_cannot_be_read_keeps_the_server_from_answering() {
    let database = Cluster::shared().database(&(SQL.to_owned() + SOURCES));
    let settings = Settings::new(&database).set("jwt-revocation-source", "auth.nowhere");
    let server = Server::spawn(&settings, &janitor::new_folder("server"));
    server.wait_for_log(0, "jwt-revocation-source: ");
    let asked = crate::support::wait_for(LIMIT, || {
        let mut connection = crate::support::Connection::open(server.port).ok()?;
        connection.send(&Request::get("/todos")).ok()
    });
    assert_eq!(asked.expect("an answer").code(), "PGRST002");
    database.sql("create view auth.nowhere as select jti from auth.revoked; grant select on auth.nowhere to authenticator");
    eventually("it is there", &server, || server.send(&Request::get("/todos")).status == 200);
    assert_eq!(status(&server, json!({"role": "reader", "jti": "first"})), 401);
}
