//! `->` and `->>` on columns of all types.

mod support;

use serde_json::{Value, json};
use std::sync::LazyLock;
use support::{Cluster, Database, Request, Server, Settings};

const SQL: &str = "
    do $$ begin create role web_anon nologin; exception when duplicate_object then null; end $$;
    grant web_anon to authenticator;
    create schema api;
    create type api.position as (x int, y int);
    create domain api.note as jsonb;
    create table api.pins (
      id int primary key, label text, span int4range, at api.position, near api.position[],
      note api.note, raw json);
    create function api.centre(api.pins) returns api.position stable language sql
      as 'select $1.at';
    create function api.notes(api.pins) returns json stable language sql
      as 'select $1.raw';
    create function api.moves() returns table (id int, target api.position, data json)
      stable language sql
      as $$ values (1, row(1, 5)::api.position, '{\"n\": 1}'::json), (2, row(2, 4)::api.position, '{\"n\": 2}') $$;
    insert into api.pins values
      (1, 'a', '[1,4)', row(3, 4), array[row(1, 2), row(5, 6)]::api.position[],
       '{\"by\": \"Ann\"}', '{\"k\": [7]}'),
      (2, null, null, row(8, 9), null, null, null);
    grant usage on schema api to web_anon;
    grant select on all tables in schema api to web_anon;
";

fn assert_rows(target: &str, rows: Value) {
    static SERVER: LazyLock<(Server, Database<'static>)> = LazyLock::new(|| {
        let database = Cluster::shared().database(SQL);
        (Server::start(&Settings::new(&database)), database)
    });
    let response = SERVER.0.send(&Request::get(target));
    assert_eq!((response.status, response.json()), (200, rows), "{target}");
}

#[test]
fn columns_lead_on_as_their_json() {
    assert_rows(
        "/pins?select=at->x,near->1->y,by:note->>by,raw->k->0,label->nothing&id=eq.1",
        json!([{"x": 3, "y": 6, "by": "Ann", "k": 7, "nothing": null}]),
    );
}

#[test]
fn computed_fields_lead_on_too() {
    assert_rows(
        "/pins?select=id,centre->>y,notes->k&centre->x=gt.3&order=centre->y.desc",
        json!([{"id": 2, "y": "9", "k": null}]),
    );
    assert_rows("/pins?select=id&notes->k->>0=eq.7", json!([{"id": 1}]));
}

#[test]
fn columns_of_a_function_s_rows_lead_on_too() {
    assert_rows(
        "/rpc/moves?select=id,target->x,data->>n&target->y=gt.3&order=target->>y",
        json!([{"id": 2, "x": 2, "n": "2"}, {"id": 1, "x": 1, "n": "1"}]),
    );
}
