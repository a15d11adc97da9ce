//! Which relationship the target of an embed means, and embeds among grouped rows.

mod support;

use serde_json::{Value, json};
use std::sync::LazyLock;
use support::{Cluster, Database, Request, Response, Server, Settings};

const SQL: &str = "
    do $$ begin create role web_anon nologin; exception when duplicate_object then null; end $$;
    grant web_anon to authenticator;
    create schema api;

    create table api.captains (id int primary key, name text not null);
    create table api.ships (
      id int primary key, name text not null,
      captain_id int unique constraint command references api.captains);
    create table api.harbours (country text, code text, primary key (country, code));
    create table api.calls (
      id int primary key,
      ship_id int not null constraint caller references api.ships,
      country text, code text, days int not null,
      constraint berth foreign key (country, code) references api.harbours);
    create view api.call_list as select * from api.calls;

    create table api.sailors (id int primary key, name text);
    create table api.watches (id int primary key, sailor int references api.sailors);
    create table api.wages (id int primary key, sailor int references api.sailors);

    create table api.parts (
      id int primary key, name text not null, part_of int references api.parts);
    create schema hold;
    create table hold.crates (
      id int primary key, name text not null, inside int references hold.crates);
    create view api.crates as select id, name, inside as whole from hold.crates;
    create table api.ports (
      id int primary key,
      mirror int references api.ports, twin int references api.ports);

    insert into api.captains values (1, 'Ines'), (2, 'Olaf');
    insert into api.ships values (1, 'Auk', 2), (2, 'Bittern', null);
    insert into api.harbours values ('NO', 'BGO'), ('PT', 'LIS');
    insert into api.calls values
      (1, 1, 'NO', 'BGO', 3), (2, 1, 'PT', 'LIS', 4), (3, 2, 'PT', 'LIS', 5);
    insert into api.parts values (1, 'mast', null), (2, 'yard', 1), (3, 'rope', 2);
    insert into hold.crates select * from api.parts;

    grant usage on schema api to web_anon;
    grant select on all tables in schema api to web_anon;
";

fn get(target: &str) -> Response {
    static SERVER: LazyLock<(Server, Database<'static>)> = LazyLock::new(|| {
        let database = Cluster::shared().database(SQL);
        let settings = Settings::new(&database).set("db-aggregates-enabled", true);
        (Server::start(&settings), database)
    });
    SERVER.0.send(&Request::get(target))
}

fn assert_rows(target: &str, rows: Value) {
    let response = get(target);
    assert_eq!((response.status, response.json()), (200, rows), "{target}");
}

#[test]
fn the_key_leads_to_the_row_that_holds_it_too() {
    let by_captain =
        |name: &str| json!([{"name": "Ines", name: null}, {"name": "Olaf", name: {"name": "Auk"}}]);
    assert_rows("/captains?select=name,command(name)&order=id", by_captain("command"));
    assert_rows("/captains?select=name,id(name)&order=id", by_captain("id"));
    assert_rows(
        "/ships?select=name,caller(days)&order=id&caller.order=id",
        json!([
            {"name": "Auk", "caller": [{"days": 3}, {"days": 4}]},
            {"name": "Bittern", "caller": [{"days": 5}]},
        ]),
    );
}

#[test]
fn a_key_of_two_columns_leads_both_ways_to_tables_and_to_no_view() {
    assert_rows("/calls?select=berth(code)&id=eq.1", json!([{"berth": {"code": "BGO"}}]));
    assert_rows(
        "/harbours?select=code,berth(days)&code=eq.BGO",
        json!([{"code": "BGO", "berth": [{"days": 3}]}]),
    );
    // A column of such a key alone does not name it.
    assert_eq!(get("/harbours?select=code(days)").code(), "PGRST200");
}

#[test]
fn a_column_that_several_keys_refer_to_is_ambiguous_as_a_target() {
    let response = get("/sailors?select=id(name)");
    assert_eq!((response.status, response.code().as_str()), (300, "PGRST201"));
}

#[test]
fn of_a_self_reference_the_name_means_many_rows_and_the_column_means_one() {
    for (relation, column) in [("parts", "part_of"), ("crates", "whole")] {
        assert_rows(
            &format!("/{relation}?select=name,{relation}(name),{column}(name)&id=eq.2"),
            json!([{"name": "yard", relation: [{"name": "rope"}], column: {"name": "mast"}}]),
        );
        assert_rows(
            &format!("/{relation}?select=inside:{relation}!{column}(name)&id=eq.1"),
            json!([{"inside": [{"name": "yard"}]}]),
        );
    }
}

#[test]
fn two_self_references_need_a_hint() {
    let response = get("/ports?select=ports(id)");
    assert_eq!((response.status, response.code().as_str()), (300, "PGRST201"));
    assert_eq!(response.json()["details"].as_array().map(Vec::len), Some(2));
    assert_rows("/ports?select=ports!twin(id)", json!([]));
}

#[test]
fn embeds_inside_a_spread_can_be_grouped_by() {
    assert_rows(
        "/calls?select=...ships(captains(name)),days.sum()&order=ships(captains->name)",
        json!([{"captains": {"name": "Olaf"}, "sum": 7}, {"captains": null, "sum": 5}]),
    );
    assert_rows(
        "/calls?select=...ships(name,caller(days)),days.max()&ship_id=eq.1&ships.caller.order=id",
        json!([{"name": "Auk", "caller": [{"days": 3}, {"days": 4}], "max": 4}]),
    );
}
