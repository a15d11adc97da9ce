//! Point 1: A request runs with another request's role, claims or settings.

use crate::SQL;
use crate::support::process::Signal;
use crate::support::{Cluster, Database, Request, Server, Settings, jwt, wait_for};
use serde_json::{Value, json};
use std::time::Duration;

/// More of the server's business: a constraint that fails at commit, and a check of the
/// token that fails late.
const FAULTS: &str = "
    create table api.late (id int primary key, note int references api.notes
      deferrable initially deferred);
    grant all on api.late to writer;
    grant insert, delete on api.notes to reader;
    create schema auth;
    grant usage on schema auth to web_anon, reader, writer, sluggish;
    create function auth.check_token() returns void language plpgsql as $$
    begin
      if current_setting('request.jwt.claim.email', true) <> '' then
        perform set_config('lock_timeout', '29s', true);
      end if;
      if current_setting('request.jwt.claim.email', true) = 'refused@example.org' then
        raise insufficient_privilege;
      end if;
    end $$;
";

/// A server with few connections to the database, which requests share.
fn start(pool: u32) -> (Database<'static>, Server) {
    let database = Cluster::shared().database(&format!("{SQL}{FAULTS}"));
    let settings = Settings::new(&database)
        .set("db-pool", pool)
        .set("db-tx-end", "commit-allow-override")
        .set("db-pre-request", "auth.check_token");
    let server = Server::start(&settings);
    (database, server)
}

fn claims(role: &str, number: usize) -> Value {
    json!({"role": role, "email": format!("{number}@example.org"), "number": number})
}

fn whoami() -> Request {
    Request::get("/whoami").header("Accept", "application/vnd.pgrst.object+json")
}

/// Whoever asks now is who they are: anonymous, and then one with a token.
fn assert_no_leak(server: &Server, after: &str) {
    let got = server.send(&whoami());
    assert_eq!(got.status, 200, "after {after}: {}", got.text());
    let got = got.json();
    assert_eq!(got["role"], "web_anon", "after {after}: {got}");
    assert_eq!(got["claims"], json!({"role": "web_anon"}), "after {after}: {got}");
    assert_eq!(got["email"], Value::Null, "after {after}: {got}");
    assert_eq!(got["lock_timeout"], "0", "after {after}: {got}");
    assert_eq!(got["statement_timeout"], "0", "after {after}: {got}");
    assert_eq!(got["headers"].get("x-mark"), None, "after {after}: {got}");
    let claims = claims("reader", 7);
    let got = server.send(&whoami().bearer(&jwt::token(&claims))).json();
    assert_eq!((&got["role"], &got["claims"]), (&json!("reader"), &claims), "after {after}");
}

/// Requests that fail in the middle of their transaction, each with the status that it gets.
fn failing_requests() -> Vec<(&'static str, Request, u16)> {
    let writer = |request: Request| request.bearer(&jwt::token(&claims("writer", 1)));
    let sluggish = jwt::token(&claims("sluggish", 2));
    let refused = jwt::token(&json!({"role": "writer", "email": "refused@example.org"}));
    let singular = "application/vnd.pgrst.object+json";
    vec![
        ("an error while running", writer(Request::get("/broken")), 400),
        ("an error before running", writer(Request::get("/notes?id=eq.x")), 400),
        ("an unknown column", writer(Request::get("/notes?select=nothing")), 400),
        ("a missing privilege", Request::post("/notes", "{\"id\": 1}"), 401),
        ("an error at commit", writer(Request::post("/late", "{\"id\": 1, \"note\": 9}")), 409),
        ("a timeout", Request::get("/slow").bearer(&sluggish), 500),
        ("a refusing pre-request", Request::get("/notes").bearer(&refused), 403),
        (
            "no row where one is wanted",
            writer(Request::get("/notes").header("Accept", singular)),
            406,
        ),
        (
            "a rollback that is asked for",
            writer(Request::post("/notes", "{\"id\": 5}").header("Prefer", "tx=rollback")),
            201,
        ),
        (
            "too many rows changed",
            writer(
                Request::post("/notes", "[{\"id\": 6}, {\"id\": 7}]")
                    .header("Prefer", "handling=strict, max-affected=1, return=representation"),
            ),
            201,
        ),
    ]
}

#[test]
fn nothing_of_a_failed_request_is_left_on_its_connection() {
    let (_database, server) = start(1);
    assert_no_leak(&server, "the start");
    for (what, request, status) in failing_requests() {
        // Often enough for the statement to be prepared, and to fail prepared.
        for _ in 0..4 {
            let got = server.send(&request.clone().header("X-Mark", "mine"));
            if what != "too many rows changed" {
                assert_eq!(got.status, status, "{what}: {}", got.text());
            }
            assert_no_leak(&server, what);
        }
    }
}

#[test]
fn nothing_is_left_after_a_query_is_cancelled_or_its_connection_killed() {
    let (database, server) = start(1);
    let token = jwt::token(&claims("writer", 3));
    for how in ["pg_cancel_backend", "pg_terminate_backend"] {
        for _ in 0..3 {
            let got = std::thread::scope(|scope| {
                let asking = scope.spawn(|| server.send(&Request::get("/slow").bearer(&token)));
                let mut superuser = database.connect();
                let end = format!(
                    "select {how}(pid) from pg_stat_activity where datname = current_database() \
                     and usename = 'authenticator' and wait_event = 'PgSleep'"
                );
                let ended = wait_for(Duration::from_secs(10), || {
                    let rows = superuser.query(&end, &[]).expect("a valid query");
                    (!rows.is_empty()).then_some(())
                });
                assert!(ended.is_some(), "the query runs");
                asking.join().expect("no panic")
            });
            assert!(got.status >= 500, "{how}: {} {}", got.status, got.text());
            assert_no_leak(&server, how);
        }
    }
}

#[test]
fn nothing_is_left_after_a_client_goes_away_during_its_query() {
    let (_database, server) = start(1);
    for _ in 0..3 {
        let token = jwt::token(&claims("sluggish", 4));
        let mut connection = server.connect();
        let request = Request::get("/slow").bearer(&token).to_bytes();
        connection.write(&request).expect("the server reads");
        drop(connection);
        assert_no_leak(&server, "a client that went away");
    }
}

#[test]
fn many_roles_over_few_connections_never_see_each_other() {
    const CLIENTS: usize = 6;
    const ROUNDS: usize = 60;
    let (_database, server) = start(2);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let mut connection = server.connect();
                let failing = failing_requests();
                for round in 0..ROUNDS {
                    let role = ["reader", "writer", "sluggish"][(client + round) % 3];
                    let claims = claims(role, client * ROUNDS + round);
                    let request = whoami().bearer(&jwt::token(&claims));
                    let got = connection.send(&request).expect("an answer").json();
                    let seen = (&got["role"], &got["claims"]);
                    assert_eq!(seen, (&json!(role), &claims), "{got}");
                    assert_eq!(got["email"], claims["email"]);
                    let anonymous = connection.send(&whoami()).expect("an answer").json();
                    assert_eq!(anonymous["claims"], json!({"role": "web_anon"}), "{anonymous}");
                    assert_eq!(anonymous["email"], Value::Null);
                    let (what, request, _) = &failing[(client * 5 + round) % failing.len()];
                    let got = connection.send(request).expect("an answer");
                    assert!(got.status != 503, "{what}: {}", got.text());
                }
            });
        }
    });
}

/// Sessions begin with the search path that most requests want. A function that changes its
/// session's own must not decide where the next request's names are looked up.
#[test]
fn a_search_path_that_a_function_leaves_behind() {
    let database = Cluster::shared().database(&format!(
        "{SQL}
         create schema other;
         grant usage on schema other to web_anon;
         create function api.path() returns text language sql stable as
           $$ select current_setting('search_path') $$;
         create function other.path() returns text language sql stable as
           $$ select current_setting('search_path') $$;
         create function api.turn() returns text language sql as
           $$ select set_config('search_path', 'pg_temp', false) $$;"
    ));
    let settings = Settings::new(&database).set("db-pool", 1).set("db-schemas", "api, other");
    let server = Server::start(&settings);
    let path = |schema: &str| {
        server.send(&Request::get("/rpc/path").header("Accept-Profile", schema)).json()
    };
    for _ in 0..3 {
        assert_eq!(path("api"), json!("\"api\", \"public\""));
        assert_eq!(path("other"), json!("\"other\", \"public\""));
        let turned = server.send(&Request::post("/rpc/turn", "{}"));
        assert_eq!(turned.status, 200, "{}", turned.text());
    }
    server.rewrite(&settings.clone().set("db-schemas", "other, api"));
    server.signal(Signal::User2);
    let reloaded = wait_for(Duration::from_secs(10), || {
        let got = server.send(&Request::get("/rpc/path"));
        (got.json() == json!("\"other\", \"public\"")).then_some(())
    });
    assert!(reloaded.is_some(), "{}", server.log_end());
    assert_eq!(path("api"), json!("\"api\", \"public\""));
}
