//! Bodies too large for one message go to the database in pieces, and arrive as they are.

mod support;

use serde_json::{Value, json};
use support::{Cluster, Database, Request, Server, Settings};

const FIXTURE: &str = "
    create schema api;
    create table api.notes (id int primary key, note text not null check (note <> 'refused'));
    create function api.length_of(json) returns int language sql as
        $$ select length($1->>'text') $$;
    create function api.hash_of(bytea) returns text language sql as $$ select md5($1) $$;
    create function api.piece() returns text language sql stable as
        $$ select current_setting('pgrst.piece_0', true) $$;
    create function api.echo(text) returns text language sql as $$ select $1 $$;
    do $$ begin create role web_anon nologin; exception when duplicate_object then null; end $$;
    grant web_anon to authenticator;
    grant usage on schema api to web_anon;
    grant all on api.notes to web_anon;
";

fn start() -> (Database<'static>, Server) {
    let database = Cluster::shared().database(FIXTURE);
    // Of one connection it would show when a request left something behind.
    let server = Server::start(&Settings::new(&database).set("db-pool", 1));
    (database, server)
}

/// Three megabytes whose characters stand across the pieces' ends, with all that quoting knows.
fn long_text() -> String {
    "\u{1f511}'\\\" \u{e9}\n".repeat(250_000)
}

#[test]
fn rows_arrive_as_they_were_sent() {
    let (database, server) = start();
    let note = long_text();
    let body = json!([{ "id": 1, "note": note }, { "id": 2, "note": "short" }]).to_string();
    let response = server.send(&Request::post("/notes", body));
    assert_eq!(response.status, 201, "{}", response.text());
    let stored = database.connect().query_one("select note from api.notes where id = 1", &[]);
    let stored: String = stored.expect("it is there").get(0);
    assert!(stored == note, "another text was stored");

    let patch = json!({ "note": note.to_uppercase() }).to_string();
    let request = Request::patch("/notes?id=eq.2&select=note", patch);
    let response = server.send(&request.header("Prefer", "return=representation"));
    let expected = json!([{ "note": note.to_uppercase() }]);
    assert!(response.json() == expected, "another text came back");
}

#[test]
fn functions_take_them_in_every_form() {
    let (_database, server) = start();
    let text = long_text();
    let response =
        server.send(&Request::post("/rpc/length_of", json!({ "text": text }).to_string()));
    assert_eq!(response.json(), Value::from(text.chars().count()));
    let plain = |path: &str, media: &str| {
        Request::new("POST", path).header("Content-Type", media).body(text.clone())
    };
    let response = server.send(&plain("/rpc/echo", "text/plain"));
    assert!(response.json() == text.as_str(), "another text came back");
    let response = server.send(&plain("/rpc/hash_of", "application/octet-stream"));
    let expected = Cluster::shared()
        .connect("postgres")
        .query_one("select md5($1::text::bytea)", &[&text.replace('\\', "\\\\")])
        .expect("a hash");
    assert_eq!(response.json(), Value::from(expected.get::<_, String>(0)));
}

#[test]
fn a_refused_one_leaves_nothing_behind() {
    let (database, server) = start();
    let rows = json!([{ "id": 1, "note": long_text() }, { "id": 2, "note": "refused" }]);
    let response = server.send(&Request::post("/notes", rows.to_string()));
    assert_eq!((response.status, response.code().as_str()), (400, "23514"));
    let rows = json!([{ "id": 1, "note": long_text() }, { "id": 2, "note": "short" }]);
    let singular = Request::post("/notes", rows.to_string())
        .header("Accept", "application/vnd.pgrst.object+json")
        .header("Prefer", "return=representation");
    assert_eq!(server.send(&singular).status, 406);
    assert_eq!(database.value("select count(*) from api.notes").as_deref(), Some("0"));
    // The pieces are gone with their transaction: the session only knows their name.
    assert_eq!(server.send(&Request::get("/rpc/piece")).json(), json!(""));
}
