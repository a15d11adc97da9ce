//! Point 1 once more: what functions leave in a session, what roles bring to it, and sessions
//! that do not answer.

use crate::SQL;
use crate::support::{Cluster, Database, Request, Server, Settings, jwt, process, wait_for};
use serde_json::{Value, json};
use std::thread;
use std::time::Duration;

/// A function that leaves all that it can behind, and one that looks for it.
const LITTER: &str = r#"
    create function api.litter() returns void language plpgsql as $$
    begin
      perform set_config('statement_timeout', '12345', false);
      perform set_config('standard_conforming_strings', 'off', false);
      perform set_config('request.jwt.claim.email', 'left@example.org', false);
      perform set_config('client_encoding', 'LATIN1', false);
      create temp table litter (id int) on commit preserve rows;
      execute 'declare litter cursor with hold for select 1';
      execute 'listen litter';
    end $$;
    create function api.litter_found() returns json language sql volatile as $$
      select json_build_object(
        'statement_timeout', current_setting('statement_timeout'),
        'standard_conforming_strings', current_setting('standard_conforming_strings'),
        'email', nullif(current_setting('request.jwt.claim.email', true), ''),
        'client_encoding', current_setting('client_encoding'),
        'tables', (select count(*) from pg_class where relname = 'litter'),
        'cursors', (select count(*) from pg_cursors where name = 'litter'),
        'channels', (select count(*) from pg_listening_channels())
      ) $$;
"#;

fn server(database: &Database, pool: u32) -> Server {
    Server::start(&Settings::new(database).set("db-pool", pool))
}

#[test]
fn what_a_function_leaves_in_its_session_does_not_reach_the_next_request() {
    let database = Cluster::shared().database(&format!("{SQL}{LITTER}"));
    let server = server(&database, 1);
    let find = || server.send(&Request::post("/rpc/litter_found", "{}")).json();
    let clean = json!({
        "statement_timeout": "0",
        "standard_conforming_strings": "on",
        "email": null,
        "client_encoding": "UTF8",
        "tables": 0,
        "cursors": 0,
        "channels": 0,
    });
    assert_eq!(find(), clean);
    for _ in 0..3 {
        let got = server.send(&Request::post("/rpc/litter", "{}"));
        assert_eq!(got.status, 204, "{}", got.text());
        assert_eq!(find(), clean);
    }
}

#[test]
fn text_stays_what_it_is_whatever_encoding_a_role_or_function_sets() {
    let database = Cluster::shared().database(&format!(
        "{SQL}{LITTER}
         create function api.same(text) returns text language sql as 'select $1';
         create function api.garble() returns void language sql as
           $$ select set_config('client_encoding', 'SJIS', false) $$;
         alter role sluggish set client_encoding = 'SJIS';
         alter role sluggish set backslash_quote = 'on';
         insert into api.notes values (1, 'naïve 表''\\ café');"
    ));
    let server = server(&database, 1);
    let note = Request::get("/notes?select=note&id=eq.1");
    let expected = json!([{"note": "naïve 表'\\ café"}]);
    let sluggish = jwt::for_role("sluggish");
    for _ in 0..3 {
        assert_eq!(server.send(&note).json(), expected);
        assert_eq!(server.send(&note.clone().bearer(&sluggish)).json(), expected);
        assert_eq!(server.send(&Request::post("/rpc/garble", "{}")).status, 204);
    }
    // Half of a character of SJIS must not take a quote with it.
    let filter = "/notes?note=eq.%E8%A1%A8%27%20or%20true--";
    assert_eq!(server.send(&Request::get(filter).bearer(&sluggish)).json(), json!([]));
}

#[test]
fn policies_of_a_membership_that_was_taken_away_end_within_seconds() {
    let cluster = Cluster::start();
    let database = cluster.database(&format!(
        "{SQL}
         create role insiders nologin;
         grant insiders to reader;
         insert into api.notes values (1, 'for insiders');
         alter table api.notes enable row level security;
         create policy inside on api.notes for select to insiders using (true);"
    ));
    let server = server(&database, 1);
    let notes = || {
        let got = server.send(&Request::get("/notes").bearer(&jwt::for_role("reader"))).json();
        got.as_array().map_or(0, Vec::len)
    };
    for _ in 0..6 {
        assert_eq!(notes(), 1);
    }
    database.sql("revoke insiders from reader");
    let gone = wait_for(Duration::from_secs(10), || (notes() == 0).then_some(()));
    assert!(gone.is_some(), "the plans know of the membership still");
}

#[test]
fn claims_are_told_apart_by_their_case_and_whole_names() {
    let database = Cluster::shared().database(&format!(
        "{SQL} create function api.sub() returns text language sql as
           $$ select nullif(current_setting('request.jwt.claim.sub', true), '') $$;"
    ));
    let server = server(&database, 1);
    let sub = |claims: Value| {
        let request = Request::post("/rpc/sub", "{}").bearer(&jwt::token(&claims));
        server.send(&request).json()
    };
    assert_eq!(sub(json!({"role": "reader", "sub": "me"})), "me");
    assert_eq!(sub(json!({"role": "reader", "SUB": "somebody else"})), Value::Null);
    assert_eq!(sub(json!({"role": "reader", "sub": "me", "Sub": "somebody else"})), "me");
}

#[test]
fn a_claim_that_a_token_lacks_is_the_same_nothing_always() {
    let database = Cluster::shared().database(&format!(
        "{SQL}
         create function api.mail() returns text language sql as
           $$ select coalesce(current_setting('request.jwt.claim.mail', true), 'unknown') $$;
         create function api.phone() returns text begin atomic
           select coalesce(current_setting('request.jwt.claim.phone', true), 'unknown'); end;
         create view api.city as
           select coalesce(current_setting('request.jwt.claim.city', true), 'unknown') as city;
         grant select on api.city to web_anon, reader;"
    ));
    let server = server(&database, 1);
    let seen = |claims: Value| {
        let token = jwt::token(&claims);
        let get = |path: &str| server.send(&Request::get(path).bearer(&token)).json();
        (get("/rpc/mail"), get("/rpc/phone"), get("/city")[0]["city"].clone())
    };
    let nothing = (json!(""), json!(""), json!(""));
    for _ in 0..2 {
        assert_eq!(seen(json!({"role": "reader"})), nothing);
        let all = json!({"role": "reader", "mail": "a@b", "phone": "1", "city": "Ur"});
        assert_eq!(seen(all), (json!("a@b"), json!("1"), json!("Ur")));
    }
    assert_eq!(seen(json!({"role": "reader"})), nothing);
}

#[test]
fn whoever_has_left_while_waiting_for_a_connection_is_not_run() {
    let database = Cluster::shared().database(&format!(
        "{SQL} create function api.nap() returns void language sql as 'select pg_sleep(2)';
         grant all on api.notes to web_anon;"
    ));
    let settings = Settings::new(&database).set("db-pool", 1).set("server-threads", 4);
    let server = Server::start(&settings);
    thread::scope(|scope| {
        let napping = scope.spawn(|| server.send(&Request::post("/rpc/nap", "{}")).status);
        let mut waiting: Vec<_> = (0..3).map(|_| server.connect()).collect();
        thread::sleep(Duration::from_millis(300));
        for (id, connection) in waiting.iter_mut().enumerate() {
            let request = Request::post("/notes", format!("{{\"id\": {id}}}"));
            connection.write(&request.to_bytes()).expect("it reads");
        }
        thread::sleep(Duration::from_millis(300));
        drop(waiting);
        assert_eq!(napping.join().expect("no panic"), 204);
    });
    assert_eq!(server.send(&Request::get("/whoami?select=role")).status, 200);
    assert_eq!(database.value("select count(*)::text from api.notes").as_deref(), Some("0"));
}

#[test]
fn a_session_that_does_not_answer_is_given_up_once_its_client_has_left() {
    let cluster = Cluster::start();
    let database = cluster.database(SQL);
    let server = server(&database, 2);
    let mut clients: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.write(&Request::get("/slow").to_bytes()).expect("it reads");
    }
    let running = "select string_agg(pid::text, ',') from pg_stat_activity \
                   where wait_event = 'PgSleep' having count(*) = 2";
    let pids = wait_for(Duration::from_secs(10), || database.value(running)).expect("both run");
    let pids: Vec<u32> = pids.split(',').map(|pid| pid.parse().expect("a number")).collect();
    for pid in &pids {
        process::send(*pid, process::Signal::Stop);
    }
    drop(clients);
    let answered = wait_for(Duration::from_secs(15), || {
        (server.send(&Request::get("/whoami?select=role")).status == 200).then_some(())
    });
    for pid in &pids {
        process::send(*pid, process::Signal::Continue);
    }
    assert!(answered.is_some(), "new connections would have worked\n{}", server.log_end());
}
