//! Point 3: A role other than the verified one is entered.

use crate::SQL;
use crate::support::{Cluster, Request, Server, Settings, jwt};
use serde_json::json;

/// The login role may write here itself: whatever runs as it leaves a trace.
const TRAP: &str = "
    create table api.trap (note text);
    grant all on api.trap to authenticator, writer;
";

#[test]
fn the_role_none_and_its_likes_are_refused() {
    let database = Cluster::shared().database(&format!("{SQL}{TRAP}"));
    let server = Server::start(&Settings::new(&database));
    let add = |role| {
        let request = Request::post("/trap", json!({"note": role}).to_string());
        server.send(&request.bearer(&jwt::for_role(role)))
    };
    for role in [
        "none",
        "NONE",
        "None",
        " none",
        "none ",
        "\"none\"",
        "'none'",
        "default",
        "DEFAULT",
        "session_user",
        "current_user",
        "public",
        "authenticator_",
        "",
    ] {
        let got = add(role);
        assert!(matches!(got.status, 400..=403), "{role:?}: {} {}", got.status, got.text());
    }
    assert_eq!(add("none").status, 401);
    assert_eq!(database.value("select count(*) from api.trap").as_deref(), Some("0"));
    assert_eq!(add("writer").status, 201);
}

#[test]
fn a_switch_that_fails_fails_the_request() {
    let database = Cluster::shared().database(&format!("{SQL}{TRAP}"));
    let server = Server::start(&Settings::new(&database).set("db-pool", 1));
    for role in ["outsider", "no such role", "postgres"] {
        for _ in 0..4 {
            let request = Request::post("/trap", json!({"note": role}).to_string());
            let got = server.send(&request.bearer(&jwt::for_role(role)));
            assert!(matches!(got.status, 400..=403), "{role}: {} {}", got.status, got.text());
        }
    }
    assert_eq!(database.value("select count(*) from api.trap").as_deref(), Some("0"));
}

#[test]
fn a_role_that_is_taken_away_is_not_entered_again() {
    let cluster = Cluster::start();
    let database = cluster.database(&format!("{SQL}{TRAP}"));
    let server = Server::start(&Settings::new(&database).set("db-pool", 1));
    let add = Request::post("/trap", "{\"note\": \"x\"}").bearer(&jwt::for_role("writer"));
    for _ in 0..4 {
        assert_eq!(server.send(&add).status, 201);
    }
    database.sql("revoke writer from authenticator");
    for _ in 0..4 {
        let got = server.send(&add);
        assert!(matches!(got.status, 400..=403), "{} {}", got.status, got.text());
    }
    assert_eq!(database.value("select count(*) from api.trap").as_deref(), Some("4"));
}

#[test]
fn an_unverified_token_never_reaches_the_database() {
    let cluster = Cluster::start_with(&[("log_statement", "all")]);
    let database = cluster.database(SQL);
    let server = Server::start(&Settings::new(&database));
    let marked = |mark: &str, secret: &str| {
        let claims = json!({"role": "reader", "mark": mark});
        let token = jwt::sign(&json!({"alg": "HS256"}), &claims, secret.as_bytes());
        server.send(&Request::get("/notes").bearer(&token)).status
    };
    assert_eq!(marked("verified-mark", jwt::SECRET), 200);
    assert_eq!(marked("forged-mark", "a secret that somebody guessed"), 401);
    let log = cluster.log();
    assert!(log.contains("verified-mark"), "claims of a good token show in PostgreSQL's log");
    assert!(!log.contains("forged-mark"));
}

#[test]
fn without_an_anonymous_role_nothing_runs_without_a_token() {
    let cluster = Cluster::start_with(&[("log_statement", "all")]);
    let database = cluster.database(&format!("{SQL}{TRAP}"));
    let settings = Settings::new(&database).set("db-anon-role", serde_json::Value::Null);
    let server = Server::start(&settings);
    let got = server.send(&Request::post("/trap", "{\"note\": \"anonymous-mark\"}"));
    assert_eq!((got.status, got.code().as_str()), (401, "PGRST302"));
    assert!(!cluster.log().contains("anonymous-mark"));
}
