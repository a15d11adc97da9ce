//! Names that PostgreSQL would cut off at 63 bytes, so that they would mean something else there
//! than here.

use crate::SQL;
use crate::support::{Cluster, Request, Server, Settings, jwt};
use serde_json::json;

/// As long as a name can be.
fn full(first: char) -> String {
    first.to_string().repeat(63)
}

/// The same, and more that PostgreSQL would cut off.
fn longer(first: char) -> String {
    full(first) + "_and_more"
}

#[test]
fn a_role_is_entered_as_it_was_verified_or_not_at_all() {
    let cluster = Cluster::start();
    let role = full('r');
    let database = cluster.database(&format!(
        "{SQL}
         create role {role} nologin; grant {role} to authenticator;
         alter role {role} set statement_timeout = '7s';
         grant usage on schema api to {role};
         create view api.me as select current_user::text as role,
             current_setting('statement_timeout') as timeout;
         grant select on api.me to {role}, web_anon;"
    ));
    let server = Server::start(&Settings::new(&database));
    let ask = |role: &str| server.send(&Request::get("/me").bearer(&jwt::for_role(role)));
    assert_eq!(ask(&role).json(), json!([{"role": role, "timeout": "7s"}]));
    for beyond in ["x", "_and_more", " ", "\"", "ü"] {
        let got = ask(&format!("{role}{beyond}"));
        assert_eq!((got.status, got.code().as_str()), (401, "22023"), "{}", got.text());
    }
}

#[test]
fn a_roles_name_is_counted_in_the_databases_encoding() {
    let cluster = Cluster::start();
    let role = "ü".repeat(40);
    let view = format!("{SQL} create view api.me as select 1 as one;");
    let wide = cluster.database(&view);
    cluster.sql("postgres", "create database latin template template0 encoding latin1 locale 'C'");
    cluster.sql(
        "latin",
        &format!(
            "{view}
             create role \"{role}\" nologin; grant \"{role}\" to authenticator;
             grant usage on schema api to \"{role}\"; grant select on api.me to \"{role}\""
        ),
    );
    for (database, status) in [("latin", 200), (wide.name.as_str(), 401)] {
        let settings = Settings::new(&wide).set("db-uri", cluster.uri(database));
        let server = Server::start(&settings);
        let got = server.send(&Request::get("/me").bearer(&jwt::for_role(&role)));
        assert_eq!(got.status, status, "{database}: {}", got.text());
    }
}

#[test]
fn no_other_name_means_its_first_63_bytes() {
    let database = Cluster::shared().database(&format!(
        "{SQL}
         create table api.{table} (id int primary key, {column} text, t int);
         create table api.kid (id int primary key, {key} int references api.{table});
         insert into api.{table} values (1, 'one');
         insert into api.kid values (1, 1);
         create function api.{function}({argument} int default 1) returns int language sql
             as 'select 1';
         create function api.{computed}(api.{table}) returns text language sql stable
             as $$ select 'computed' $$;
         create function api.anything() returns setof record language sql
             as 'select 1 as {column}';
         grant all on all tables in schema api to web_anon;",
        table = full('t'),
        column = full('c'),
        key = full('k'),
        function = full('f'),
        argument = full('a'),
        computed = full('q'),
    ));
    let server = Server::start(&Settings::new(&database).set("db-aggregates-enabled", true));
    let table = full('t');
    let column = longer('c');
    let get = |target: String| server.send(&Request::get(&target));
    for target in [
        format!("/{}", longer('t')),
        format!("/rpc/{}", longer('f')),
        format!("/rpc/{}?{}=1", full('f'), longer('a')),
        format!("/{table}?{column}=eq.one"),
        format!("/{table}?select={column}"),
        format!("/{table}?select=x:{column}"),
        format!("/{table}?select={column}.max()"),
        format!("/{table}?order={column}"),
        format!("/{table}?or=({column}.eq.one,id.eq.7)"),
        format!("/{table}?{}=eq.computed", longer('q')),
        format!("/{table}?select={}", longer('q')),
        format!("/{table}?order={}", longer('q')),
        format!("/kid?select=id,{}(id)", longer('t')),
        format!("/kid?select=id,{}(id)", longer('k')),
        format!("/kid?select=id,{table}!{}(id)", longer('k')),
        format!("/kid?select=id,{table}({column})"),
        format!("/kid?select=id,...{table}({column})"),
        format!("/kid?select=id,{table}(id)&{table}.{column}=eq.one"),
        format!("/kid?select=id,{table}(id)&{table}.order={column}"),
    ] {
        let got = get(target.clone());
        assert!((400..500).contains(&got.status), "{target}: {} {}", got.status, got.text());
    }
    for (target, body) in [
        (format!("/{table}"), json!({"id": 2, column.clone(): "x"})),
        (format!("/{table}?columns=id,{column}"), json!({"id": 2, column.clone(): "x"})),
        (format!("/{table}?on_conflict={column}"), json!({"id": 2})),
        (format!("/rpc/{}", full('f')), json!({longer('a'): 1})),
    ] {
        let request = Request::post(&target, body.to_string());
        let got = server.send(&request.header("Prefer", "resolution=merge-duplicates"));
        assert!((400..500).contains(&got.status), "{target}: {} {}", got.status, got.text());
    }
}

#[test]
fn a_setting_of_the_configuration_is_set_under_its_whole_name() {
    let name = longer('s');
    let database = Cluster::shared().database(&format!(
        "{SQL} create view api.shown as select
            current_setting('app.settings.{name}', true) as whole,
            current_setting('app.settings.{}', true) as part;
         grant select on api.shown to web_anon;",
        full('s')
    ));
    let settings = Settings::new(&database).set(&format!("app.settings.{name}"), "blue");
    let got = Server::start(&settings).send(&Request::get("/shown"));
    assert_eq!(got.json(), json!([{"whole": "blue", "part": null}]));
}
