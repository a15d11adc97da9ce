//! Requests that are cheap to send and were dear to answer. What they may cost is counted
//! (plans, refusals), not timed; `statement_timeout` is only there to end a test that fails.

use crate::start;
use crate::support::{Database, Request, Server};

const SCHEMA: &str = r#"
    create table api.places (id int primary key, name text);
    create table api.trips (id int primary key, place int references api.places, notes jsonb);
    create table api.stops (id int primary key, trip int references api.trips);
    create index on api.stops (trip);
    insert into api.places select n, 'place ' || n from generate_series(1, 100) n;
    insert into api.trips select n, n, '{}' from generate_series(1, 100) n;
    insert into api.stops select n, n from generate_series(1, 100) n;
    analyze api.places, api.trips, api.stops;
    grant select on api.places, api.trips, api.stops to public;
    do $$ begin
      execute format('alter database %I set statement_timeout = %L', current_database(), '10s');
    end $$;
"#;

/// As many embeds as a request may have.
const MOST: usize = 100;

fn server() -> (Database<'static>, Server) {
    start(SCHEMA, |s| s.set("db-anon-role", "web_anon").set("db-plan-enabled", true))
}

/// So many embeds of one relation, under names of their own.
fn embeds(count: usize, target: &str, inside: &str) -> String {
    let embeds: Vec<String> = (0..count).map(|n| format!("e{n}:{target}({inside})")).collect();
    embeds.join(",")
}

fn plan_of(server: &Server, target: &str) -> String {
    server.send(&Request::get(target).header("Accept", "application/vnd.pgrst.plan")).text()
}

#[test]
fn as_many_embeds_as_are_allowed_are_planned_in_no_time() {
    let (_database, server) = server();
    for target in ["places", "places!inner", "stops", "stops!inner"] {
        for inside in ["id", ""] {
            let select = embeds(MOST, target, inside);
            for count in ["none", "exact"] {
                let request = Request::get(&format!("/trips?select=id,{select}&limit=5"))
                    .header("Prefer", &format!("count={count}"));
                let got = server.send(&request);
                let what = format!("{target}({inside}), {count}: {}", got.text());
                assert!(matches!(got.status, 200 | 206), "{what}");
                assert_eq!(got.json().as_array().unwrap().len(), 5, "{what}");
            }
        }
    }
    let tests: String = (0..MOST).map(|n| format!("&e{n}=not.is.null")).collect();
    let select = embeds(MOST, "places", "");
    let got = server.send(&Request::get(&format!("/trips?select=id,{select}{tests}")));
    assert_eq!(got.json().as_array().unwrap().len(), 100, "{}", got.text());
}

#[test]
fn a_filter_of_an_embed_still_decides_where_a_plan_begins() {
    let (_database, server) = server();
    for others in [0, 3, 20] {
        let select = format!("id,places!inner(id),{}", embeds(others, "stops!inner", ""));
        let target = format!("/trips?select={}&places.id=eq.7", select.trim_end_matches(','));
        let plan = plan_of(&server, &target);
        // Only where the embed is part of the query does its filter reach the trips.
        assert!(plan.contains("(place = 7)"), "{plan}");
        assert_eq!(plan.contains("SubPlan"), others > 3, "{plan}");
        assert_eq!(server.send(&Request::get(&target)).json().as_array().unwrap().len(), 1);
    }
}

#[test]
fn more_embeds_are_refused() {
    let (_database, server) = server();
    let select = embeds(MOST + 1, "places", "id");
    let got = server.send(&Request::get(&format!("/trips?select={select}")));
    assert_eq!((got.status, got.code().as_str()), (400, "GK110"));
}
