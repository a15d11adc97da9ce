//! The server under attack, from outside: forged tokens, hostile text in every place that a
//! client can reach, and database connections that change hands in the worst moment. Each
//! attack must be refused or come to nothing, and the log must tell of it without giving
//! away a token's signature.

mod support;

#[path = "attacks/cliffs.rs"]
mod cliffs;
#[path = "attacks/disclosure.rs"]
mod disclosure;
#[path = "attacks/injection.rs"]
mod injection;
#[path = "attacks/interleaving.rs"]
mod interleaving;
#[path = "attacks/keys.rs"]
mod keys;
#[path = "attacks/places.rs"]
mod places;
#[path = "attacks/plans.rs"]
mod plans;
#[path = "attacks/remote_keys.rs"]
mod remote_keys;
#[path = "attacks/replay.rs"]
mod replay;
#[path = "attacks/response_settings.rs"]
mod response_settings;
#[path = "attacks/secrets.rs"]
mod secrets;
#[path = "attacks/tokens.rs"]
mod tokens;

use std::time::Duration;
use support::{Cluster, Database, Request, Response, Server, Settings, wait_for};

/// How long a line may take to get into the log.
const LOG_LIMIT: Duration = Duration::from_secs(10);

/// Roles, a view that shows who a request runs as, and a secret that none of them may read.
const SQL: &str = r#"
    do $$
    declare name text;
    begin
      foreach name in array array['web_anon', 'ann', 'bob', 'eve', 'o"dd '' \role'] loop
        if not exists (select from pg_roles where rolname = name) then
          execute format('create role %I nologin', name);
        end if;
      end loop;
    end $$;
    grant web_anon, ann, bob, eve, "o""dd ' \role" to authenticator;

    create schema vault;
    create table vault.secrets (secret text);
    insert into vault.secrets values ('the canary in the vault');

    create schema api;
    grant usage on schema api to public;
    create view api.whoami as select
      current_user::text as role,
      nullif(current_setting('request.jwt.claims', true), '')::json as claims,
      nullif(current_setting('request.jwt.claim.sub', true), '') as sub,
      pg_backend_pid() as backend;
    grant select on api.whoami to public;
"#;

/// A database with [`SQL`] and more, and a server on it.
fn start(more: &str, configure: impl FnOnce(Settings) -> Settings) -> (Database<'static>, Server) {
    let database = Cluster::shared().database(&format!("{SQL}{more}"));
    let server = Server::start(&configure(Settings::new(&database)));
    (database, server)
}

/// Who am I? One object: `role`, `claims`, `sub`, `backend`.
fn whoami() -> Request {
    Request::get("/whoami").header("Accept", "application/vnd.pgrst.object+json")
}

/// Sends a token that must be refused, and checks answer and log; gives the answer.
fn assert_refused(server: &Server, what: &str, token: &str) -> Response {
    let from = server.log().len();
    let got = server.send(&whoami().bearer(token));
    let answer = format!("{what}: {} {}", got.status, got.text());
    assert_eq!(got.status, 401, "{answer}");
    assert!(matches!(got.code().as_str(), "PGRST301" | "PGRST303"), "{answer}");
    assert!(got.header("WWW-Authenticate").is_some_and(|h| h.starts_with("Bearer")), "{answer}");
    let told = wait_for(LOG_LIMIT, || {
        let log = server.log()[from..].to_string();
        log.contains("token refused: ").then_some(log)
    });
    let log = told.unwrap_or_else(|| panic!("{what}: the log does not say why"));
    if let Some(signature) = token.rsplit('.').next().filter(|text| text.len() > 8) {
        assert!(!log.contains(signature), "{what}: the signature is in the log:\n{log}");
    }
    got
}
