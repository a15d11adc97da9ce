//! Prepared statements and what is left in a session, used to get at what another role may.

use crate::support::{Request, Server, jwt};
use crate::{start, whoami};
use serde_json::json;

/// As often as it takes for a statement to be prepared, used again, and planned for good.
const OFTEN: usize = 10;

/// A schema, a function and rows that only `bob` gets at.
const SCHEMA: &str = r#"
    create schema treasury;
    create table treasury.gold (id int);
    insert into treasury.gold values (79);
    grant usage on schema treasury to bob;
    grant select on treasury.gold to public;
    create table api.notes (id int primary key, note text, owner text);
    insert into api.notes values (1, 'ann''s', 'ann'), (2, 'bob''s', 'bob');
    alter table api.notes enable row level security;
    create policy own on api.notes using (owner = current_user);
    grant select, insert on api.notes to public;
    create table api.memos (id int, memo text);
    insert into api.memos values (1, 'to bob');
    grant select on api.memos to public;
    create function api.shout(api.memos) returns text language sql stable
      as $$ select upper($1.memo) $$;
    revoke execute on function api.shout(api.memos) from public;
    grant execute on function api.shout(api.memos) to bob;
"#;

fn as_user(server: &Server, target: &str, claims: &serde_json::Value) -> (u16, String) {
    let request = Request::get(target)
        .header("Accept-Profile", if target == "/gold" { "treasury" } else { "api" });
    let got = server.send(&request.bearer(&jwt::token(claims)));
    (got.status, if got.status == 200 { got.text() } else { got.code() })
}

fn denied() -> (u16, String) {
    (403, "42501".to_owned())
}

#[test]
fn a_pre_request_that_changes_the_role_opens_no_plan_of_that_role_to_others() {
    // Everybody comes as ann; the pre-request function makes some of them bob.
    let (_database, server) = start(
        &format!(
            r#"{SCHEMA}
            create schema auth;
            grant usage on schema auth to public;
            create function auth.switch() returns void language plpgsql as $$
            declare wish text := current_setting('request.jwt.claims')::json->>'become';
            begin
              if wish <> '' then perform set_config('role', wish, true); end if;
            end $$;"#
        ),
        |s| {
            s.set("db-pool", 1)
                .set("db-schemas", "api, treasury")
                .set("db-pre-request", "auth.switch")
        },
    );
    let (plain, elevated) = (json!({"role": "ann"}), json!({"role": "ann", "become": "bob"}));
    for _ in 0..OFTEN {
        assert_eq!(as_user(&server, "/gold", &elevated), (200, "[{\"id\":79}]".to_owned()));
        let shouted = as_user(&server, "/memos?select=shout", &elevated);
        assert_eq!(shouted, (200, "[{\"shout\":\"TO BOB\"}]".to_owned()));
    }
    for _ in 0..OFTEN {
        assert_eq!(as_user(&server, "/gold", &plain), denied());
        assert_eq!(as_user(&server, "/memos?select=shout", &plain), denied());
        assert_eq!(as_user(&server, "/gold", &elevated).0, 200);
        let role = server.send(&whoami().bearer(&jwt::token(&elevated))).json()["role"].clone();
        assert_eq!(role, "bob");
        let role = server.send(&whoami().bearer(&jwt::token(&plain))).json()["role"].clone();
        assert_eq!(role, "ann");
    }
}

#[test]
fn privileges_that_are_taken_away_are_gone_from_prepared_statements_too() {
    let (database, server) =
        start(SCHEMA, |s| s.set("db-pool", 1).set("db-schemas", "api, treasury"));
    let bob = json!({"role": "bob"});
    for _ in 0..OFTEN {
        assert_eq!(as_user(&server, "/gold", &bob).0, 200);
        assert_eq!(as_user(&server, "/memos?select=shout", &bob).0, 200);
    }
    database.sql("revoke usage on schema treasury from bob");
    database.sql("revoke execute on function api.shout(api.memos) from bob");
    for _ in 0..OFTEN {
        assert_eq!(as_user(&server, "/gold", &bob), denied());
        assert_eq!(as_user(&server, "/memos?select=shout", &bob), denied());
    }
}

#[test]
fn row_level_security_holds_in_prepared_statements() {
    let (database, server) = start(SCHEMA, |s| s.set("db-pool", 1));
    for round in 0..OFTEN {
        for (role, note) in [("ann", "ann's"), ("bob", "bob's")] {
            let got = as_user(&server, "/notes?select=note", &json!({"role": role}));
            assert_eq!(got, (200, json!([{"note": note}]).to_string()), "{round}");
        }
    }
    database.sql(
        "drop policy own on api.notes; \
         create policy claimed on api.notes using (owner = current_setting('request.jwt.claims')::json->>'sub')",
    );
    for round in 0..OFTEN {
        for (sub, note) in [("ann", "ann's"), ("bob", "bob's")] {
            let got = as_user(&server, "/notes?select=note", &json!({"role": "eve", "sub": sub}));
            assert_eq!(got, (200, json!([{"note": note}]).to_string()), "{round}");
        }
    }
}

#[test]
fn a_function_that_drops_or_takes_the_names_of_prepared_statements_breaks_nothing() {
    let (_database, server) = start(
        &format!(
            r#"{SCHEMA}
            create function api.forget() returns void language plpgsql as $$
            begin execute 'deallocate all'; end $$;
            create function api.squat() returns void language plpgsql as $$
            declare n int;
            begin
              for n in 1..40 loop
                begin
                  execute format('prepare k%s as select 1, ''[]'' as squatted', n);
                exception when duplicate_prepared_statement then null;
                end;
              end loop;
            end $$;"#
        ),
        |s| s.set("db-pool", 1),
    );
    let ann = json!({"role": "ann"});
    for name in ["forget", "squat", "forget"] {
        for target in ["/notes?select=note", "/notes?select=note,id", "/notes?select=owner,note"] {
            for round in 0..4 {
                let got = as_user(&server, target, &ann);
                assert!(
                    got.0 == 200 && got.1.contains("ann's"),
                    "{name} {target} {round}: {got:?}"
                );
            }
        }
        let got = server
            .send(&Request::post(&format!("/rpc/{name}"), "{}").bearer(&jwt::for_role("bob")));
        assert_eq!(got.status, 204, "{}", got.text());
        for target in ["/notes?select=note", "/notes?select=id,note", "/notes?select=note,owner"] {
            for round in 0..4 {
                let got = as_user(&server, target, &ann);
                assert!(
                    got.0 == 200 && got.1.contains("ann's"),
                    "after {name}: {target} {round}: {got:?}"
                );
            }
        }
        let insert = Request::post("/notes", json!({"id": 10, "owner": "ann"}).to_string());
        for _ in 0..4 {
            let got = server.send(
                &insert.clone().header("Prefer", "tx=rollback").bearer(&jwt::for_role("ann")),
            );
            assert!(matches!(got.status, 201 | 409), "{}", got.text());
        }
    }
}

#[test]
fn nobody_fills_the_memory_of_a_session_with_statements() {
    let (_database, server) = start(
        r#"
        create function api.prepared_bytes() returns bigint language sql volatile as $$
          select coalesce(sum(length(statement)), 0) from pg_prepared_statements $$;"#,
        |s| s.set("db-pool", 1),
    );
    let mut connection = server.connect();
    for shape in 0..100 {
        let columns: Vec<String> = (0..300).map(|n| format!("a{shape}_{n}:role")).collect();
        let request = Request::get(&format!("/whoami?select={}", columns.join(",")));
        for _ in 0..2 {
            assert_eq!(connection.send(&request).expect("an answer").status, 200);
        }
    }
    let bytes = connection.send(&Request::post("/rpc/prepared_bytes", "{}")).expect("an answer");
    let bytes: u64 = bytes.text().parse().expect("a number");
    // PostgreSQL needs about a hundred times as much for the plans.
    assert!((1..=256 << 10).contains(&bytes), "{bytes}");
}

#[test]
fn what_a_function_sets_for_its_session_gives_nobody_else_its_role_or_claims() {
    let (_database, server) = start(
        r#"
        create function api.linger() returns void language plpgsql as $$
        begin
          perform set_config('role', 'bob', false);
          perform set_config('request.jwt.claims', '{"role": "bob", "sub": "left behind"}', false);
          perform set_config('request.headers', '{"left": "behind"}', false);
          perform set_config('search_path', 'vault', false);
          perform set_config('transaction_read_only', 'off', false);
        end $$;
        create function api.settings() returns json language sql stable as $$
          select json_build_object('path', current_setting('search_path'),
                                   'headers', current_setting('request.headers', true)::json)
        $$;"#,
        |s| s.set("db-pool", 1),
    );
    for _ in 0..3 {
        let got = server.send(&Request::post("/rpc/linger", "{}").bearer(&jwt::for_role("ann")));
        assert_eq!(got.status, 204, "{}", got.text());
        let got = server.send(&whoami()).json();
        assert_eq!(
            (&got["role"], &got["claims"]),
            (&json!("web_anon"), &json!({"role": "web_anon"}))
        );
        let got = server.send(&whoami().bearer(&jwt::for_role("ann"))).json();
        assert_eq!((&got["role"], &got["claims"]), (&json!("ann"), &json!({"role": "ann"})));
        let got = server.send(&Request::get("/rpc/settings")).json();
        assert_eq!(got["headers"]["left"], serde_json::Value::Null, "{got}");
        assert!(got["path"].as_str().is_some_and(|path| path.contains("api")), "{got}");
    }
}
