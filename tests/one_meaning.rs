//! A statement means the same however it is run: as it is at first, prepared the second time,
//! executed from then on, and without prepared statements.

mod support;

use serde_json::json;
use support::{Cluster, Request, Server, Settings};

/// A domain whose representation as text has the domain's own name, as in PostgREST's manual:
/// hexadecimal for clients, a number in the table.
const SQL: &str = "
    do $$ begin create role web_anon nologin; exception when duplicate_object then null; end $$;
    grant web_anon to authenticator;
    create schema shop;
    create domain shop.color as int;
    create function shop.color(text) returns shop.color language sql immutable as
        $$ select ('x' || lpad($1, 8, '0'))::bit(32)::int::shop.color $$;
    create cast (text as shop.color) with function shop.color(text) as implicit;
    create table shop.paints (id int primary key, c shop.color not null);
    insert into shop.paints values (1, 10), (2, 16);
    grant usage on schema shop to web_anon;
    grant all on shop.paints to web_anon;
";

#[test]
fn a_filter_on_a_represented_domain_finds_the_same_row_every_time() {
    let database = Cluster::shared().database(SQL);
    for prepared in [true, false] {
        let settings = Settings::new(&database)
            .set("db-schemas", "shop")
            .set("db-pool", 1)
            .set("db-tx-end", "rollback")
            .set("db-prepared-statements", prepared);
        let server = Server::start(&settings);
        for filter in ["c=eq.10", "c=in.(10)", "c=gte.10", "or=(c.eq.10,id.eq.9)", "not.c=neq.10"] {
            let filter = filter.replace("not.c=neq", "c=not.neq");
            for time in 0..4 {
                let path = format!("/paints?select=id&{filter}");
                let got = server.send(&Request::get(&path)).json();
                assert_eq!(got, json!([{"id": 2}]), "{path}, time {time}, prepared: {prepared}");
            }
        }
        for time in 0..4 {
            let request = Request::new("DELETE", "/paints?c=eq.10&select=id")
                .header("Prefer", "return=representation");
            assert_eq!(server.send(&request).json(), json!([{"id": 2}]), "time {time}");
        }
    }
}
