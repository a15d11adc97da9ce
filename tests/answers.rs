//! What the API answers where few think to look: rows of functions beside a count, writes
//! of nothing, rows of a tree, hints, the status line.

mod support;

use serde_json::{Value, json};
use std::sync::LazyLock;
use support::{Cluster, Database, Request, Response, Server, Settings};

const SQL: &str = r#"
    do $$ begin create role web_anon nologin; exception when duplicate_object then null; end $$;
    grant web_anon to authenticator;
    create schema zoo;
    create table zoo.keepers (
        id int primary key,
        name text not null,
        boss_id int references zoo.keepers (id)
    );
    insert into zoo.keepers values (1, 'Ada', null), (2, 'Ben', 1), (3, 'Cleo', 1);
    create function zoo.greeting(zoo.keepers) returns text language sql immutable as
        $$ select 'Hello, ' || $1.name $$;
    create function zoo.keepers_between(id int, upto int) returns setof zoo.keepers
        language sql stable as
        $$ select * from zoo.keepers k where k.id between $1 and $2 order by k.id $$;
    create table zoo.guests (id int primary key, secret text);
    create function zoo.close_early(reason text) returns void language plpgsql as $$
        begin
            raise sqlstate 'PGRST' using
                message = '{"code": "ZOO1", "message": "Closed"}',
                detail = json_build_object(
                    'status', 419, 'status_text', reason, 'headers', json_build_object()
                )::text;
        end
    $$;
    grant usage on schema zoo to web_anon;
    grant select, insert, update on zoo.keepers to web_anon;
    grant select (id), update on zoo.guests to web_anon;
"#;

fn server() -> &'static Server {
    static SERVER: LazyLock<(Server, Database<'static>)> = LazyLock::new(|| {
        let database = Cluster::shared().database(SQL);
        let settings = Settings::new(&database)
            .set("db-schemas", "zoo")
            .set("db-tx-end", "rollback-allow-override");
        (Server::start(&settings), database)
    });
    &SERVER.0
}

fn send(request: Request) -> Response {
    server().send(&request)
}

fn with_rows(request: Request) -> Request {
    request.header("Prefer", "return=representation")
}

// Functions -----------------------------------------------------------------------------

#[test]
fn a_count_beside_a_limit_shows_the_rows_of_a_function_and_not_its_arguments() {
    // An argument has the name of a column.
    for query in ["limit=1&offset=1", "select=id,name,boss_id&limit=1&offset=1"] {
        let call =
            Request::post(&format!("/rpc/keepers_between?{query}"), r#"{"id": 1, "upto": 3}"#);
        let response = send(call.header("Prefer", "count=exact"));
        assert_eq!(response.status, 206, "{}", response.text());
        assert_eq!(response.json(), json!([{"id": 2, "name": "Ben", "boss_id": 1}]));
        assert_eq!(response.header("Content-Range"), Some("1-1/3"));
    }
}

#[test]
fn a_misspelt_function_gets_the_nearest_name_as_a_hint() {
    let hint = |path: &str| send(Request::get(path)).json()["hint"].clone();
    let meant = "Perhaps you meant to call the function zoo.keepers_between";
    assert_eq!(hint("/rpc/keeper_between?id=1&upto=2"), meant);
    assert_eq!(hint("/rpc/keepers_betwen"), meant);
    assert_eq!(hint("/rpc/elephants"), Value::Null);
    let raw = Request::new("POST", "/rpc/keepers_betwen").header("Content-Type", "text/plain");
    assert_eq!(send(raw.body("text")).json()["hint"], Value::Null);
}

#[test]
fn an_error_that_a_function_raises_may_name_its_own_reason_phrase() {
    let closed = |reason: &str| {
        let body = json!({ "reason": reason }).to_string();
        send(Request::post("/rpc/close_early", body))
    };
    let response = closed("Feeding Time");
    assert_eq!((response.status, response.reason.as_str()), (419, "Feeding Time"));
    assert_eq!(response.code(), "ZOO1");
    let response = closed("a\r\nX-Split: b");
    assert_eq!((response.status, response.code().as_str()), (419, "ZOO1"));
    assert_eq!(response.header("X-Split"), None);
}

// Writes of nothing ---------------------------------------------------------------------

#[test]
fn an_update_without_columns_gives_no_rows_whatever_is_selected() {
    for select in ["", "?select=id", "?select=id,greeting", "?select=*,keepers(name)"] {
        let target = format!("/keepers{select}");
        let response = send(with_rows(Request::patch(&target, "{}")));
        assert_eq!((response.status, response.text().as_str()), (200, "[]"), "{target}");
        assert_eq!(response.header("Content-Range"), Some("*/*"));
    }
}

#[test]
fn an_update_without_columns_reads_only_what_is_asked_for() {
    assert_eq!(send(Request::patch("/guests", "{}")).status, 204);
    let target = "/guests?select=id";
    assert_eq!(send(with_rows(Request::patch(target, "{}"))).status, 200);
    assert_eq!(send(with_rows(Request::patch("/guests", "{}"))).code(), "42501");
}

#[test]
fn merging_no_rows_creates_none() {
    let status = |resolution: &str| {
        let request = Request::post("/keepers", "[]").header("Prefer", resolution);
        send(with_rows(request)).status
    };
    assert_eq!(status("resolution=merge-duplicates"), 200);
    assert_eq!(status("resolution=ignore-duplicates"), 201);
}

// Trees ---------------------------------------------------------------------------------

#[test]
fn a_tables_own_name_embeds_the_rows_that_refer_to_a_row() {
    let response =
        send(Request::get("/keepers?select=name,keepers(name)&keepers.order=id&id=lt.3&order=id"));
    let expected = json!([
        {"name": "Ada", "keepers": [{"name": "Ben"}, {"name": "Cleo"}]},
        {"name": "Ben", "keepers": []},
    ]);
    assert_eq!(response.json(), expected);
    let target = "/keepers?id=eq.1&select=name,helpers:keepers(name,boss_id(name))&helpers.id=eq.3";
    let response = send(with_rows(Request::patch(target, r#"{"name": "Adele"}"#)));
    // An embed sees the rows as they were before the write.
    let expected = json!([
        {"name": "Adele", "helpers": [{"name": "Cleo", "boss_id": {"name": "Ada"}}]},
    ]);
    assert_eq!(response.json(), expected);
}

// What an answer names ----------------------------------------------------------------------

#[test]
fn only_a_single_row_has_a_place() {
    let post = |body: &str| {
        let request = Request::post("/keepers", body).header("Prefer", "return=headers-only");
        let got = send(request);
        assert_eq!(got.status, 201, "{}", got.text());
        got.header("Location").map(str::to_owned)
    };
    let one = r#"{"id": 11, "name": "Dan"}"#;
    assert_eq!(post(one).as_deref(), Some("/keepers?id=eq.11"));
    assert_eq!(post(&format!("[{one}]")).as_deref(), Some("/keepers?id=eq.11"));
    assert_eq!(post(&format!(r#"[{one}, {{"id": 12, "name": "Eve"}}]"#)), None);
    let csv = Request::new("POST", "/keepers")
        .header("Content-Type", "text/csv")
        .header("Prefer", "return=headers-only")
        .body("id,name\n11,Dan\n12,Eve\n");
    assert_eq!(send(csv).header("Location"), None);
}

#[test]
fn a_place_names_the_key_in_the_order_of_its_definition() {
    let database = Cluster::shared().database(&format!(
        "{SQL}
         create table zoo.visits (day date, animal int, hour int, primary key (hour, day, animal));
         grant all on zoo.visits to web_anon;"
    ));
    let settings = Settings::new(&database).set("db-schemas", "zoo").set("db-tx-end", "rollback");
    let server = Server::start(&settings);
    let body = r#"{"day": "2026-01-31", "animal": 3, "hour": 9}"#;
    let request = Request::post("/visits", body).header("Prefer", "return=headers-only");
    let got = server.send(&request);
    let place = "/visits?hour=eq.9&day=eq.2026-01-31&animal=eq.3";
    assert_eq!(got.header("Location"), Some(place), "{}", got.text());
}

#[test]
fn an_empty_body_is_no_json() {
    let database = Cluster::shared().database(&format!(
        "{SQL}
         create function zoo.echo(json) returns json language sql as 'select $1';
         create function zoo.echo_b(jsonb) returns jsonb language sql as 'select $1';"
    ));
    let server = Server::start(&Settings::new(&database).set("db-schemas", "zoo"));
    for path in ["/rpc/echo", "/rpc/echo_b"] {
        for _ in 0..3 {
            let got = server.send(&Request::post(path, ""));
            let wrong = json!({
                "code": "22P02",
                "message": "invalid input syntax for type json",
                "details": "The input string ended unexpectedly.",
                "hint": null,
            });
            assert_eq!((got.status, got.json()), (400, wrong), "{path}");
        }
        assert_eq!(server.send(&Request::post(path, "{}")).json(), json!({}));
    }
}

#[test]
fn a_spread_counts_the_rows_that_are_there() {
    let database = Cluster::shared().database(&format!(
        "{SQL}
         create table zoo.nodes (id int primary key, parent_id int references zoo.nodes (id));
         insert into zoo.nodes values (1, null), (2, 1), (3, 2);
         grant select on zoo.nodes to web_anon;"
    ));
    let settings =
        Settings::new(&database).set("db-schemas", "zoo").set("db-aggregates-enabled", true);
    let server = Server::start(&settings);
    let get = |path: &str| server.send(&Request::get(path)).json();
    assert_eq!(
        get("/nodes?select=id,...parent_id(parents:count())&order=id"),
        json!([{"id": 1, "parents": 0}, {"id": 2, "parents": 1}, {"id": 3, "parents": 1}])
    );
    assert_eq!(
        get("/nodes?select=id,...parent_id(...parent_id(grandparents:count()))&order=id"),
        json!([
            {"id": 1, "grandparents": 0},
            {"id": 2, "grandparents": 0},
            {"id": 3, "grandparents": 1}
        ])
    );
    assert_eq!(get("/nodes?select=...parent_id(parents:count())"), json!([{"parents": 2}]));
}
