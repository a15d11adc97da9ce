//! Reloads by signal.

use super::{SQL, ask, eventually, metric, with_admin};
use crate::support::process::Signal;
use crate::support::{Cluster, Request, Server, Settings, janitor, jwt};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A function that shows a setting.
const SHOW: &str = "
    create role web_anon nologin;
    grant web_anon to authenticator;
    create schema api;
    create function api.shown(name text) returns text language sql stable as
        $$ select current_setting(name) $$;
    grant usage on schema api to web_anon;
";

#[test]
fn no_request_is_lost_during_reloads() {
    let database = Cluster::shared().database(SQL);
    let (settings, admin) = with_admin(Settings::new(&database));
    let server = Server::start(&settings);
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let loads = || metric(admin, "pgrst_schema_cache_loads_total{status=\"SUCCESS\"}");
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (server, done, answered) = (&server, &done, &answered);
            scope.spawn(move || {
                let mut connection = server.connect();
                let request = match client % 2 {
                    0 => Request::get("/todos"),
                    _ => Request::get("/todos").bearer(&jwt::for_role("reader")),
                };
                while !done.load(Ordering::Relaxed) {
                    let got = connection.send(&request).expect("the connection stays");
                    assert_eq!(got.status, 200, "{}", got.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..=5 {
            for signal in [Signal::User1, Signal::User2] {
                server.signal(signal);
            }
            let wanted = answered.load(Ordering::Relaxed) + 20;
            eventually("requests are answered meanwhile", &server, || {
                answered.load(Ordering::Relaxed) >= wanted && loads() > f64::from(round)
            });
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn verified_tokens_outlive_a_reload_that_changes_nothing_about_them() {
    let database = Cluster::shared().database(SQL);
    let (settings, admin) = with_admin(Settings::new(&database));
    let server = Server::start(&settings);
    let request = Request::get("/todos").bearer(&jwt::for_role("reader"));
    assert_eq!(server.send(&request).status, 200);
    let from = server.log().len();
    server.signal(Signal::User1);
    server.wait_for_log(from, "Schema cache loaded");
    assert_eq!(server.send(&request).status, 200);
    assert_eq!(metric(admin, "pgrst_jwt_cache_hits_total"), 1.0);
}

#[test]
fn a_setting_that_needs_a_restart_is_named() {
    let database = Cluster::shared().database(SQL);
    let settings = Settings::new(&database).set("db-pool", 2);
    let server = Server::start(&settings);
    server.rewrite(&settings.set("db-pool", 3).set("db-max-rows", 1));
    server.signal(Signal::User2);
    server.wait_for_log(0, "db-pool changes only with a restart");
    assert!(!server.log().contains("db-max-rows changes only"));
}

#[test]
fn a_configuration_that_cannot_be_used_is_said_and_kept_out() {
    let database = Cluster::shared().database(SQL);
    let settings = Settings::new(&database);
    let server = Server::start(&settings);
    server.rewrite(&settings.set("db-tx-end", "perhaps"));
    server.signal(Signal::User2);
    server.wait_for_log(0, "Failed reloading config: ");
    assert_eq!(server.send(&Request::get("/todos")).status, 200);
}

#[test]
fn a_configuration_that_was_cut_short_opens_nothing() {
    let database = Cluster::shared().database(
        &(SQL.to_owned()
            + "create schema auth; grant usage on schema auth to web_anon, reader;
               create function auth.refuse() returns void language plpgsql as
                 $$ begin raise sqlstate 'PT403' using message = 'no'; end $$;"),
    );
    let settings = Settings::new(&database).set("db-pre-request", "auth.refuse");
    let server = Server::start(&settings);
    let status = || server.send(&Request::get("/todos")).status;
    let reload = |settings: &Settings, outcome: &str| {
        server.rewrite(settings);
        let from = server.log().len();
        server.signal(Signal::User2);
        server.wait_for_log(from, outcome);
    };
    assert_eq!(status(), 403);
    for name in ["db-pre-request", "jwt-secret", "db-anon-role", "db-uri", "db-schemas"] {
        let without = settings.clone().set(name, serde_json::Value::Null);
        reload(&without, &format!("{name} is in force, and neither file nor environment"));
        assert!(server.log().contains(&format!("To take it away, write {name} = \"\"")));
        assert_eq!(status(), 403);
    }
    let empty = Settings { values: Vec::new(), ..settings.clone() };
    reload(&empty, "db-anon-role, db-pre-request, db-schemas, db-uri, jwt-secret are in force");
    assert_eq!(status(), 403);
    // Said with a word, it is meant.
    reload(&settings.clone().set("db-pre-request", ""), "Config reloaded");
    assert_eq!(status(), 200);
    reload(&settings.set("db-pre-request", serde_json::Value::Null), "Config reloaded");
    assert_eq!(status(), 200);
}

#[test]
fn what_came_through_a_pipe_is_kept_for_reloads() {
    let database = Cluster::shared().database(SQL);
    let folder = janitor::new_folder("pipes");
    let pipe = |name: &str, content: String| {
        let path = folder.join(name);
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo can be run").success());
        let value = format!("@{}", path.display());
        // It ends when the server has read it.
        std::thread::spawn(move || std::fs::write(path, content));
        value
    };
    let settings = Settings::new(&database)
        .set("db-uri", pipe("uri", database.uri()))
        .set("jwt-secret", pipe("secret", jwt::SECRET.to_owned()));
    let server = Server::start(&settings);
    let reader = Request::get("/todos").bearer(&jwt::for_role("reader"));
    assert_eq!(server.send(&reader).status, 200);
    for round in 0..2 {
        server.rewrite(&settings.clone().set("db-max-rows", round));
        let from = server.log().len();
        server.signal(Signal::User2);
        server.wait_for_log(from, "Config reloaded");
        assert_eq!(server.send(&reader).json().as_array().map(Vec::len), Some(round));
    }
}

#[test]
fn warnings_about_the_configuration_are_told_at_every_level_but_crit() {
    let database = Cluster::shared().database(SQL);
    database.sql(&format!(
        "alter role authenticator in database \"{}\" set pgrst.db_anon_rol = 'x'",
        database.name
    ));
    let base = Settings::new(&database)
        .set("db-max-rows", "many")
        .set("db-anon-rol", "web_anon")
        .set("jwt-role-claim-key", ".role");
    let warnings = [
        "warning: db-max-rows = \"many\" (file): it is not a number",
        "warning: unknown setting db-anon-rol is passed over; did you mean db-anon-role?",
        "warning: unknown setting pgrst.db_anon_rol is passed over; did you mean db-anon-role?",
        "warning: jwt-role-claim-key: the form of .role is deprecated",
    ];
    let server = Server::start(&base.clone().set("log-level", "error"));
    for round in 1..=2 {
        for warning in warnings {
            let told = server.log().matches(warning).count();
            assert_eq!(told, round, "{warning}\n{}", server.log());
        }
        // A reload of the schema cache alone does not repeat them.
        for (signal, done) in
            [(Signal::User1, "Schema cache loaded"), (Signal::User2, "Config reloaded")]
        {
            let from = server.log().len();
            server.signal(signal);
            server.wait_for_log(from, done);
        }
    }
    let silent = Server::start(&base.set("log-level", "crit"));
    assert!(!silent.log().contains("warning:"), "{}", silent.log());
}

#[test]
fn values_in_the_database_that_cannot_be_used_do_not_replace_what_worked() {
    let database = Cluster::shared().database(SQL);
    let set = |value: &str| {
        database.sql(&format!(
            "alter role authenticator in database \"{}\" set pgrst.{value}",
            database.name
        ));
    };
    set("db_max_rows = '0'");
    let server = Server::start(&Settings::new(&database));
    let rows = || server.send(&Request::get("/todos")).json().as_array().map(Vec::len);
    assert_eq!(rows(), Some(0));
    set("db_tx_end = 'perhaps'");
    server.signal(Signal::User2);
    server.wait_for_log(0, "Failed reloading config: ");
    assert_eq!(rows(), Some(0));
}

#[test]
fn a_changed_configuration_alone_is_taken_without_the_database() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let settings = Settings::new(&database).set("db-config", false);
    let server = Server::start(&settings);
    cluster.stop();
    server.rewrite(&settings.set("server-trace-header", "X-Trace"));
    let from = server.log().len();
    server.signal(Signal::User2);
    server.wait_for_log(from, "Config reloaded");
    let got = server.send(&Request::get("/todos").header("X-Trace", "7"));
    assert_eq!((got.status, got.header("X-Trace")), (503, Some("7")));
}

#[test]
fn settings_of_roles_are_renewed_with_the_configuration() {
    for db_config in [true, false] {
        let cluster = Cluster::start();
        let database = cluster.database(SHOW);
        let server = Server::start(&Settings::new(&database).set("db-config", db_config));
        let shown = || server.send(&Request::get("/rpc/shown?name=work_mem")).text();
        database.sql("alter role web_anon set work_mem = '3MB'");
        server.signal(Signal::User2);
        eventually("the role's setting is in force", &server, || shown() == r#""3MB""#);
    }
}

#[test]
fn settings_of_the_login_role_are_renewed_with_the_schema_cache() {
    let cluster = Cluster::start();
    let database = cluster.database(SHOW);
    let server = Server::start(&Settings::new(&database));
    let shown = || server.send(&Request::get("/rpc/shown?name=work_mem")).text();
    assert_ne!(shown(), r#""3MB""#);
    database.sql("alter role authenticator set work_mem = '3MB'");
    server.signal(Signal::User1);
    eventually("new sessions are used", &server, || shown() == r#""3MB""#);
}

#[test]
fn an_api_without_one_of_its_schemas_waits_for_it() {
    let database = Cluster::shared().database(SQL);
    for (setting, value) in [("db-schemas", "api, later"), ("db-extra-search-path", "later")] {
        let (settings, admin) = with_admin(Settings::new(&database).set(setting, value));
        let server = Server::spawn(&settings, &janitor::new_folder("server"));
        server.wait_for_log(0, "API server listening");
        assert!(server.log().contains("schema \"later\" does not exist"), "{}", server.log());
        assert_eq!(server.send(&Request::get("/todos")).code(), "PGRST002");
        assert_eq!(ask(admin, "/ready").status, 503);
        database.sql("create schema later");
        eventually("the schema is found", &server, || ask(admin, "/ready").status == 200);
        assert_eq!(server.send(&Request::get("/todos")).status, 200);
        database.sql("drop schema later");
        // What worked goes on.
        let from = server.log().len();
        server.signal(Signal::User1);
        server.wait_for_log(from, "schema \"later\" does not exist");
        assert_eq!(server.send(&Request::get("/todos")).status, 200);
    }
}
