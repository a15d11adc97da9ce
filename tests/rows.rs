//! JSON that is made of rows is the JSON that PostgreSQL would have made of them: `json_agg` is
//! the judge, for values of all types, under any settings.

mod support;

use postgres::Client;
use postgres::types::Type;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use support::{Cluster, Database, Request, Server, Settings};

const SQL: &str = "
    do $$ begin create role web_anon nologin; exception when duplicate_object then null; end $$;
    grant web_anon to authenticator;
    create schema api;
    grant usage on schema api to web_anon;

    create type api.mood as enum ('sad', 'so \"so\"', 'Größe');
    create type api.loud as enum ('quiet', 'LOUD');
    create function api.loud_json(api.loud) returns json immutable language sql
      as $$ select json_build_object('loud', $1::text) $$;
    create cast (api.loud as json) with function api.loud_json(api.loud);
    create type api.place as (x int, at timestamptz, note text);
    create domain api.word as text;
    create domain api.flag as bool;
    create domain api.count as bigint check (value is distinct from 13);
    create domain api.deep_count as api.count;
    create domain api.doc as json;
    create domain api.day as date;
    create domain api.places as api.place[];

    -- Sets what the test wants, as a function or the pre-request function may.
    create function api.adjust() returns void language plpgsql as $$
    declare
      setting record;
      given text := current_setting('request.headers', true)::json->>'x-settings';
    begin
      if given is null then return; end if;
      for setting in select * from json_each_text(given::json) loop
        perform set_config(setting.key, setting.value, true);
      end loop;
    end $$;
";

/// For each column its type, and texts that make values of it.
const COLUMNS: &[(&str, &str, &[&str])] = &[
    ("c_bool", "bool", &["t", "f"]),
    ("c_int2", "int2", &["0", "-32768", "32767"]),
    ("c_int4", "int4", &["-2147483648", "2147483647", "7"]),
    ("c_int8", "int8", &["-9223372036854775808", "9223372036854775807"]),
    (
        "c_numeric",
        "numeric",
        &[
            "0",
            "-0.0000",
            "1e-300",
            "123456789012345678901234567890.10",
            "NaN",
            "Infinity",
            "-Infinity",
        ],
    ),
    ("c_scaled", "numeric(10,2)", &["0.99", "-1", "NaN"]),
    (
        "c_float4",
        "float4",
        &["0", "-0", "1e-40", "3.4e38", "NaN", "Infinity", "-Infinity", "0.1", "1e10"],
    ),
    (
        "c_float8",
        "float8",
        &[
            "0",
            "-0",
            "5e-324",
            "1.7976931348623157e308",
            "NaN",
            "Infinity",
            "-Infinity",
            "0.30000000000000004",
            "123456789",
            "1e15",
            "1e16",
        ],
    ),
    ("c_text", "text", &[""]),
    ("c_varchar", "varchar(20)", &["", "a\"b"]),
    ("c_bpchar", "char(5)", &["", "a", "a\\b"]),
    ("c_name", "name", &["", "some \"name\""]),
    ("c_char", "\"char\"", &["", "a", "\""]),
    (
        "c_uuid",
        "uuid",
        &["00000000-0000-0000-0000-000000000000", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"],
    ),
    (
        "c_json",
        "json",
        &[
            "null",
            " {\"a\" : [1, null] ,\n \"a\":{\"b\":null}} ",
            "\"\\u00e9\\/\"",
            "1e5",
            "[]",
            "[ {\"n\":null} ]",
        ],
    ),
    ("c_jsonb", "jsonb", &["null", "{\"a\":[1,null],\"b\":{\"c\":null}}", "\"x\"", "1.10", "true"]),
    ("c_mood", "api.mood", &["sad", "so \"so\"", "Größe"]),
    ("c_loud", "api.loud", &["quiet", "LOUD"]),
    ("c_word", "api.word", &["", "\u{1}\u{7f}\"\\"]),
    ("c_flag", "api.flag", &["t", "f"]),
    ("c_count", "api.deep_count", &["0", "9223372036854775807"]),
    ("c_doc", "api.doc", &["{ \"k\" : null }", "null"]),
    ("c_day", "api.day", &["2026-11-27", "infinity"]),
    (
        "c_date",
        "date",
        &["2026-11-27", "0001-01-01 BC", "4713-01-01 BC", "5874897-12-31", "infinity", "-infinity"],
    ),
    (
        "c_timestamp",
        "timestamp",
        &[
            "2026-11-27 01:02:03.000004",
            "0044-03-15 12:00 BC",
            "infinity",
            "-infinity",
            "294276-12-31 23:59:59.999999",
        ],
    ),
    (
        "c_timestamptz",
        "timestamptz",
        &[
            "2026-11-27 01:02:03.5+05:45",
            "1880-01-01 00:00:00+00",
            "0044-03-15 12:00 BC",
            "infinity",
            "-infinity",
        ],
    ),
    ("c_time", "time", &["00:00", "24:00", "12:34:56.789"]),
    ("c_timetz", "timetz", &["00:00+15:59:59", "23:59:59.999999-03:30"]),
    (
        "c_interval",
        "interval",
        &["0", "-1 year 2 mons -3 days 04:05:06.7", "178000000 years", "-00:00:00.000001"],
    ),
    ("c_money", "money", &["0", "-12345.67", "92233720368547758.07"]),
    ("c_bytea", "bytea", &["", "\\x00ff5c22", "abc\"\\\\"]),
    ("c_inet", "inet", &["127.0.0.1", "::1/64"]),
    ("c_cidr", "cidr", &["10.0.0.0/8"]),
    ("c_macaddr", "macaddr", &["08:00:2b:01:02:03"]),
    ("c_bit", "bit(3)", &["101"]),
    ("c_varbit", "varbit", &["", "1"]),
    ("c_xml", "xml", &["<a b=\"c\">é</a>"]),
    ("c_oid", "oid", &["0", "4294967295"]),
    ("c_regclass", "regclass", &["pg_class", "pg_catalog.pg_proc"]),
    ("c_lsn", "pg_lsn", &["16/B374D848"]),
    ("c_tsvector", "tsvector", &["", "'a \"b' 'c':1A,2"]),
    ("c_tsquery", "tsquery", &["'a' & !'b'"]),
    ("c_point", "point", &["(1.5,-2)", "(NaN,Infinity)"]),
    ("c_box", "box", &["((0,0),(0.1,1))"]),
    ("c_polygon", "polygon", &["((0,0),(1,1),(1e10,0))"]),
    ("c_jsonpath", "jsonpath", &["$.a[*]?(@ > 1)"]),
    ("c_range", "int4range", &["empty", "[1,5)", "(,)"]),
    ("c_tsrange", "tstzrange", &["[\"2026-11-27 00:00+00\",)", "empty"]),
    ("c_multirange", "datemultirange", &["{}", "{[2026-01-01,2026-02-01),[2027-01-01,)}"]),
    ("c_vector", "int2vector", &["", "1 2 3"]),
    ("c_ints", "int[]", &["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[2:3]={1,2}"]),
    ("c_texts", "text[]", &["{}", "{\"a \\\"q\\\"\",NULL,\"\"}"]),
    ("c_times", "timestamptz[]", &["{\"2026-11-27 01:02:03+00\",NULL,infinity}"]),
    ("c_loads", "api.loud[]", &["{quiet,LOUD}"]),
    ("c_place", "api.place", &["(1,\"2026-11-27 01:02:03+00\",\"x \"\"y\"\"\")", "(,,)"]),
    ("c_places", "api.places", &["{\"(1,,z)\",NULL}"]),
];

/// Settings that decide how PostgreSQL shows values.
fn settings() -> impl Strategy<Value = BTreeMap<&'static str, String>> {
    let one_of = |values: &'static [&'static str]| prop::sample::select(values);
    (
        one_of(&["ISO, MDY", "ISO, DMY", "SQL, MDY", "SQL, DMY", "German", "Postgres, DMY"]),
        one_of(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        one_of(&["UTC", "Asia/Kathmandu", "America/Caracas", "Europe/Amsterdam", "<x>-03:17"]),
        one_of(&["hex", "escape"]),
        -15i32..=3,
    )
        .prop_map(|(date_style, interval_style, time_zone, bytea, digits)| {
            BTreeMap::from([
                ("datestyle", date_style.to_owned()),
                ("intervalstyle", interval_style.to_owned()),
                ("timezone", time_zone.to_owned()),
                ("bytea_output", bytea.to_owned()),
                ("extra_float_digits", digits.to_string()),
                ("lc_monetary", "C".to_owned()),
            ])
        })
}

/// A text for a value of each column.
fn row() -> impl Strategy<Value = Vec<Option<String>>> {
    let numbers = "-?[0-9]{1,12}(\\.[0-9]{1,12})?(e-?[0-9])?";
    let columns: Vec<BoxedStrategy<Option<String>>> = COLUMNS
        .iter()
        .map(|(_, data_type, texts)| {
            let known = prop::sample::select(*texts).prop_map(str::to_owned);
            let value = match *data_type {
                "text" | "api.word" => prop_oneof![known, "[\\PC\\x01-\\x7f\"\\\\]{0,40}"].boxed(),
                "numeric" | "float8" => prop_oneof![known, numbers].boxed(),
                "int4" => prop_oneof![known, any::<i32>().prop_map(|n| n.to_string())].boxed(),
                _ => known.boxed(),
            };
            prop::option::weighted(0.8, value).boxed()
        })
        .collect();
    columns
}

fn fixture() -> String {
    let columns: Vec<String> =
        COLUMNS.iter().map(|(name, data_type, _)| format!("{name} {data_type}")).collect();
    let table = format!("create table api.everything (id int primary key, {})", columns.join(", "));
    // The plainest types alone, which are read by a star.
    let plain =
        "create table api.plain (id int primary key, \"odd \"\"name\"\"\" text, n numeric);";
    format!(
        "{SQL} {table}; {plain}
         create view api.seen as select * from api.everything;
         create function api.all_of_them() returns setof api.everything stable language sql
           as 'select * from api.everything';
         grant select on all tables in schema api to web_anon;"
    )
}

/// The server's answers beside PostgreSQL's own.
struct Court<'d> {
    server: Server,
    database: Database<'d>,
    judge: Client,
}

impl Court<'static> {
    fn open() -> Self {
        let database = Cluster::shared().database(&fixture());
        let settings = Settings::new(&database).set("db-pre-request", "api.adjust");
        Court { server: Server::start(&settings), judge: database.connect(), database }
    }

    fn store(&mut self, rows: &[Vec<Option<String>>]) -> Result<(), TestCaseError> {
        self.database.sql("truncate api.everything");
        let names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
        let values: Vec<String> = COLUMNS
            .iter()
            .enumerate()
            .map(|(i, (_, data_type, _))| format!("${}::text::{data_type}", i + 1))
            .collect();
        for (id, row) in rows.iter().enumerate() {
            let sql = format!(
                "insert into api.everything (id, {}) values ({id}, {})",
                names.join(", "),
                values.join(", ")
            );
            let values: Vec<_> = row
                .iter()
                .map(|v| (v as &(dyn postgres::types::ToSql + Sync), Type::TEXT))
                .collect();
            let stored = self.judge.query_typed(&sql, &values);
            prop_assert!(stored.is_ok(), "{:?} for {row:?}", stored.err());
        }
        Ok(())
    }

    /// What PostgreSQL says to a query for one text under these settings.
    fn judgement(&mut self, settings: &BTreeMap<&str, String>, query: &str) -> String {
        let mut transaction = self.judge.transaction().expect("a transaction begins");
        for (name, value) in settings {
            transaction
                .execute("select set_config($1, $2, true)", &[name, value])
                .expect("a setting can be set");
        }
        transaction.query_one(query, &[]).expect("the judge answers").get(0)
    }

    fn answer(&self, settings: &BTreeMap<&str, String>, target: &str, accept: &str) -> String {
        let header = serde_json::to_string(settings).expect("texts");
        let request = Request::get(target).header("Accept", accept).header("X-Settings", &header);
        let response = self.server.send(&request);
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        response.text()
    }
}

const ARRAY: &str = "application/json";
const OBJECT: &str = "application/vnd.pgrst.object+json";
const STRIPPED: &str = "application/vnd.pgrst.array+json;nulls=stripped";
const STRIPPED_OBJECT: &str = "application/vnd.pgrst.object+json;nulls=stripped";

#[test]
fn rows_of_all_types_look_as_json_agg_writes_them() {
    let mut court = Court::open();
    let rows = prop::collection::vec(row(), 1..4);
    for_all(48, (rows, settings()), |(rows, settings)| {
        court.store(&rows)?;
        let all = "select json_agg(t)::text from (select * from api.everything order by id) t";
        let expected = court.judgement(&settings, all);
        for target in ["/everything", "/seen", "/rpc/all_of_them"] {
            let answer = court.answer(&settings, &format!("{target}?order=id"), ARRAY);
            prop_assert_eq!(&answer, &expected, "{}", target);
        }
        let one = "select row_to_json(t)::text from api.everything t where id = 0";
        let answer = court.answer(&settings, "/everything?id=eq.0", OBJECT);
        prop_assert_eq!(answer, court.judgement(&settings, one));
        let stripped = "select json_agg(json_strip_nulls(row_to_json(t)))::text
                        from (select * from api.everything order by id) t";
        let answer = court.answer(&settings, "/everything?order=id", STRIPPED);
        prop_assert_eq!(answer, court.judgement(&settings, stripped));
        let stripped = "select json_strip_nulls(row_to_json(t))::text
                        from api.everything t where id = 0";
        let answer = court.answer(&settings, "/everything?id=eq.0", STRIPPED_OBJECT);
        prop_assert_eq!(answer, court.judgement(&settings, stripped));
        Ok(())
    });
}

#[test]
fn names_and_values_of_plain_columns_are_escaped_as_postgresql_does() {
    let mut court = Court::open();
    for_all(64, prop::collection::vec("[\\PC\\x01-\\x7f\"\\\\]{0,40}", 0..4), |texts| {
        court.database.sql("truncate api.plain");
        for (id, text) in (0..).zip(&texts) {
            court
                .judge
                .execute("insert into api.plain values ($1::int, $2, $1::int)", &[&id, text])
                .expect("a row");
        }
        let all =
            "select coalesce(json_agg(t)::text, '[]') from (select * from api.plain order by id) t";
        let expected = court.judgement(&BTreeMap::new(), all);
        prop_assert_eq!(court.answer(&BTreeMap::new(), "/plain?order=id", ARRAY), expected);
        Ok(())
    });
}

/// Runs a test that may change what it uses, for so many values.
fn for_all<S: Strategy>(
    cases: u32,
    strategy: S,
    test: impl FnMut(S::Value) -> Result<(), TestCaseError>,
) {
    let test = RefCell::new(test);
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&strategy, |value| (test.borrow_mut())(value));
    result.unwrap_or_else(|error| panic!("{error}"));
}

const CHANGING: &str = "
    do $$ begin create role web_anon nologin; exception when duplicate_object then null; end $$;
    grant web_anon to authenticator;
    create schema api;
    grant usage on schema api to web_anon;
    create table api.plain (id int primary key, label text, more int);
    create table api.rich (id int primary key, doc json, at timestamptz, on_ bool);
    insert into api.plain values (1, 'one', 5);
    insert into api.rich values (1, '{\"a\": 1}', '2026-11-27 00:00:00+00', true);
    grant select on all tables in schema api to web_anon;
";

/// The cache of the schema is as old as the server: nothing tells it of changes.
#[test]
fn a_relation_that_has_changed_is_read_as_it_is() {
    let database = Cluster::shared().database(CHANGING);
    let server = Server::start(&Settings::new(&database).set("db-channel-enabled", false));
    let read = |target: &str| {
        // Before and after the statement is prepared.
        let texts = [(); 3].map(|()| server.send(&Request::get(target)).text());
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        texts[0].clone()
    };
    assert_eq!(read("/plain"), r#"[{"id":1,"label":"one","more":5}]"#);
    database.sql("alter table api.plain add column late int default 7");
    assert_eq!(read("/plain"), r#"[{"id":1,"label":"one","more":5,"late":7}]"#);
    database.sql("alter table api.plain drop column more, drop column late");
    assert_eq!(read("/plain"), r#"[{"id":1,"label":"one"}]"#);
    database.sql("alter table api.plain rename column label to name");
    assert_eq!(read("/plain"), r#"[{"id":1,"name":"one"}]"#);

    let rich = r#"{"id":1,"doc":{"a": 1},"at":"2026-11-27T00:00:00+00:00""#;
    assert_eq!(read("/rich"), format!("[{rich},\"on_\":true}}]"));
    database.sql("alter table api.rich drop column on_");
    assert_eq!(read("/rich"), format!("[{rich}}}]"));
    database.sql("alter table api.rich alter column doc type text using 'no \"json\"'");
    let response = server.send(&Request::get("/rich?select=id,doc"));
    assert!(response.status == 400 || response.json()[0]["doc"] == "no \"json\"");
}

const SAYING: &str = "
    do $$ begin create role web_anon nologin; exception when duplicate_object then null; end $$;
    grant web_anon to authenticator;
    create schema api;
    grant usage on schema api to web_anon;
    create function api.say(text) returns bool language plpgsql as $$ begin
      perform set_config('response.headers', json_build_array(json_build_object('X-Said', $1))::text, true);
      perform set_config('response.status', '299', true);
      return true;
    end $$;
    create table api.plain (id int primary key);
    insert into api.plain values (1);
    create table api.guarded (id int primary key);
    insert into api.guarded values (1);
    alter table api.guarded enable row level security;
    create policy p on api.guarded using (api.say('policy'));
    create table api.children (id int primary key, guarded_id int references api.guarded);
    insert into api.children values (1, 1);
    create view api.seen as select id from api.plain where api.say('view');
    create function api.spoken(api.plain) returns bool language sql as $$ select api.say('computed') $$;
    create function api.rows() returns setof api.plain language sql as $$
      select p.* from api.plain p where api.say('function') $$;
    grant select on all tables in schema api to web_anon;
";

#[test]
fn whatever_runs_code_can_say_what_the_response_is_to_be() {
    let database = Cluster::shared().database(SAYING);
    let server = Server::start(&Settings::new(&database));
    for (target, said) in [
        ("/guarded", Some("policy")),
        ("/children?select=id,guarded(id)", Some("policy")),
        ("/children?select=id,guarded()&guarded=not.is.null", Some("policy")),
        ("/seen", Some("view")),
        ("/plain?select=id,spoken", Some("computed")),
        ("/plain?select=id&spoken=is.true", Some("computed")),
        ("/plain?select=id&order=spoken", Some("computed")),
        ("/rpc/rows", Some("function")),
        ("/plain", None),
    ] {
        let response = server.send(&Request::get(target));
        assert_eq!(response.header("X-Said"), said, "{target}: {}", response.text());
        assert_eq!(response.status, if said.is_some() { 299 } else { 200 }, "{target}");
    }
    let response = server.send(&Request::post("/rpc/rows", "{}"));
    assert_eq!((response.status, response.header("X-Said")), (299, Some("function")));
}

#[test]
fn a_session_can_begin_with_what_the_response_is_to_be() {
    let database = Cluster::shared().database(SAYING);
    let name = database.value("select current_database()").expect("a name");
    database.sql(&format!("alter database \"{name}\" set response.status = '250'"));
    let server = Server::start(&Settings::new(&database));
    assert_eq!(server.send(&Request::get("/plain")).status, 250);
}

#[test]
fn more_rows_than_are_taken_as_rows_are_all_there() {
    let database = Cluster::shared().database(&format!(
        "{SQL}
         create table api.long (id int, note text);
         insert into api.long select n, 'row ' || n from generate_series(1, 10001) n;
         create view api.first as select * from api.long where id <= 10000;
         grant select on api.long, api.first to web_anon;"
    ));
    let server = Server::start(&Settings::new(&database));
    for (name, filter) in [("long", "&id=gte.0"), ("long", ""), ("first", "")] {
        let judged =
            format!("select json_agg(t)::text from (select * from api.{name} order by id) t");
        let judged = database.value(&judged).expect("there are rows");
        for time in 0..3 {
            let got = server.send(&Request::get(&format!("/{name}?order=id{filter}"))).text();
            assert!(got == judged, "{name}, {filter:?}, time {time}: {} bytes", got.len());
        }
    }
}
