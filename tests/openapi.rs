//! The API's description of itself: the whole documents, and what must hold for any schema.

mod support;

use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use support::{Cluster, Database, Request, Response, Server, Settings, jwt};

const OPENAPI_31: &str = "application/openapi+json;version=3.1";
const SWAGGER_20: &str = "application/openapi+json";

/// Set to anything, it has the golden files written anew.
const UPDATE: &str = "GOLDENKEY_UPDATE_GOLDEN";

/// Names that no URL, JSON pointer or path template takes as they are, and functions of all
/// shapes.
const ODD: &str = r#"
    create schema odd;
    grant usage on schema odd to web_anon;
    create table odd."a.b c/ä" (
      "x.y" text primary key default 'it''s', "select" int, "tag{}" varchar(2));
    create table odd.a (
      "b c" int primary key generated always as identity,
      upper text generated always as ('x') stored,
      n int default -1, list text[] default '{}', doc jsonb default '{"a":1}',
      ref text references odd."a.b c/ä");
    create materialized view odd.stored as select * from odd.a;
    create table odd.empty ();
    create table odd.chosen ("select" int primary key);
    create function odd.f(a int) returns int language sql as 'select 1';
    create function odd.f(a int, b text) returns setof odd.a language sql stable
      as 'select * from odd.a';
    create function odd.f(text) returns void language sql as 'select';
    create domain odd."image/png" as bytea;
    create function odd.picture(id int) returns odd."image/png" language sql stable
      as $$ select ''::bytea $$;
    create function odd.rows("limit" int, v json default null, variadic more int[] default '{}')
      returns table (a int, b text) language sql stable as $$ select 1, 'x' $$;
    create function odd."we ird/{x}"() returns int[] language sql stable
      as $$ select '{1}'::int[] $$;
    grant select, insert, update on all tables in schema odd to web_anon;
    grant delete on odd.empty to web_anon;
"#;

fn library() -> Database<'static> {
    let fixture = repository().join("tests/conformance/fixtures/config_openapi.sql");
    let database = format!("openapi_{:?}", std::thread::current().id());
    Cluster::shared().database_from(&database, Some(&fixture)).expect("the fixture loads")
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn server(database: &Database, schema: &str) -> Server {
    Server::start(&Settings::new(database).set("db-schemas", schema))
}

fn describe(server: &Server, media_type: &str) -> Value {
    let response = server.send(&Request::get("/").header("Accept", media_type));
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

/// Compares a document with a file under `tests/golden`, apart from version and port.
fn assert_golden(file: &str, mut document: Value, server: &Server) {
    document["info"]["version"] = json!("VERSION");
    let text = serde_json::to_string_pretty(&document).expect("it is JSON") + "\n";
    let text = text.replace(&format!("127.0.0.1:{}", server.port), "127.0.0.1:3000");
    let path: PathBuf = repository().join("tests/golden").join(file);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &text).expect("the repository can be written");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == golden, "{file} differs; see `git diff` after a run with {UPDATE}=1");
}

/// Calls `visit` with each object in a document.
fn each_object(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| each_object(value, visit));
        }
        Value::Array(items) => items.iter().for_each(|value| each_object(value, visit)),
        _ => {}
    }
}

/// The parameters of an operation, with references followed, as name and place.
fn parameters(document: &Value, operation: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("it is a text").to_owned();
    let listed = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let resolved = listed.iter().map(|parameter| match parameter["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).expect("it resolves"),
        None => parameter,
    });
    resolved.map(|parameter| (text(&parameter["name"]), text(&parameter["in"]))).collect()
}

fn assert_references_resolve(document: &Value) {
    each_object(document, &mut |object| {
        if let Some(Value::String(reference)) = object.get("$ref") {
            let found = reference.strip_prefix('#').and_then(|to| document.pointer(to));
            assert!(found.is_some(), "{reference} leads nowhere");
        }
    });
}

fn assert_operations_are_sound(document: &Value) {
    let mut ids = HashSet::new();
    for (path, operations) in document["paths"].as_object().expect("there are paths") {
        assert!(path.starts_with('/') && !path.contains(['{', '}', ' ']), "{path}");
        for (method, operation) in operations.as_object().expect("there are operations") {
            let id = operation["operationId"].as_str().expect("an operation has an id");
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            let responses = operation["responses"].as_object().expect("there are responses");
            assert!(responses.len() > 1 && responses.contains_key("default"), "{method} {path}");
            let mut known = HashSet::new();
            for parameter in parameters(document, operation) {
                assert!(known.insert(parameter.clone()), "{method} {path}: {parameter:?}");
            }
        }
    }
}

fn assert_component_names_are_allowed(document: &Value) {
    let components = document["components"].as_object().expect("there are components");
    let names = components.values().flat_map(|kind| kind.as_object().expect("by name").keys());
    for name in names {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!(!name.is_empty() && name.chars().all(allowed), "{name}");
    }
}

#[test]
fn the_swagger_document_is_the_golden_one() {
    let database = library();
    let server = server(&database, "lib");
    let document = describe(&server, SWAGGER_20);
    assert_references_resolve(&document);
    assert_golden("swagger-2.0.json", document, &server);
}

#[test]
fn the_openapi_document_is_the_golden_one() {
    let database = library();
    let server = server(&database, "lib");
    let document = describe(&server, OPENAPI_31);
    assert_references_resolve(&document);
    assert_operations_are_sound(&document);
    assert_component_names_are_allowed(&document);
    assert_golden("openapi-3.1.json", document, &server);
}

#[test]
fn odd_names_and_all_shapes_of_functions_make_sound_documents() {
    let database = library();
    database.sql(ODD);
    let server = server(&database, "odd");
    assert_references_resolve(&describe(&server, SWAGGER_20));
    let document = describe(&server, OPENAPI_31);
    assert_references_resolve(&document);
    assert_operations_are_sound(&document);
    assert_component_names_are_allowed(&document);

    let written = &document["components"]["schemas"]["a.write"]["properties"];
    assert!(written["b c"].is_null() && written["upper"].is_null(), "{written}");
    assert_eq!(written["n"]["default"], -1);
    assert_eq!(written["list"]["default"], json!([]));
    assert_eq!(written["doc"]["default"], json!({ "a": 1 }));
    let picture = &document["paths"]["/rpc/picture"]["get"]["responses"]["200"]["content"];
    assert!(picture["image/png"].is_object(), "{picture}");
    let arguments = parameters(&document, &document["paths"]["/rpc/rows"]["get"]);
    assert!(arguments.contains(&("more".into(), "query".into())), "{arguments:?}");
}

#[test]
fn openapi_shows_what_the_role_may_do_and_no_more() {
    let database = library();
    let server = server(&database, "lib");
    let methods = |document: &Value, path: &str| -> Vec<String> {
        let operations = document["paths"][path].as_object();
        operations.map(|all| all.keys().cloned().collect()).unwrap_or_default()
    };
    let anonymous = describe(&server, OPENAPI_31);
    assert_eq!(methods(&anonymous, "/authors"), ["get", "post"]);
    assert_eq!(methods(&anonymous, "/counts"), ["get"]);
    assert!(methods(&anonymous, "/fines").is_empty());
    assert!(anonymous["components"]["schemas"]["fines"].is_null());
    assert!(methods(&anonymous, "/rpc/audit").is_empty());
    assert_eq!(methods(&anonymous, "/rpc/renew"), ["post"]);

    let request = Request::get("/").header("Accept", OPENAPI_31);
    let librarian = server.send(&request.bearer(&jwt::for_role("librarian"))).json();
    assert_eq!(methods(&librarian, "/fines"), ["get", "post", "put", "patch", "delete"]);
    assert_eq!(methods(&librarian, "/counts"), ["get"]);
    assert_eq!(methods(&librarian, "/rpc/audit"), ["get", "post"]);
}

#[test]
fn the_accept_header_chooses_the_language() {
    let database = library();
    let server = server(&database, "lib");
    let asked =
        |accept: &str| -> Response { server.send(&Request::get("/").header("Accept", accept)) };
    let version = |response: &Response| {
        let document = response.json();
        document["openapi"].as_str().or(document["swagger"].as_str()).unwrap_or("").to_owned()
    };
    for (accept, expected) in [
        ("*/*", "2.0"),
        ("application/json", "2.0"),
        ("application/openapi+json", "2.0"),
        ("application/openapi+json;version=3.1", "3.1.0"),
        ("application/vnd.oai.openapi+json;version=3.1, */*;q=0.5", "3.1.0"),
        ("application/openapi+json;version=3.1;q=0.1, application/json", "2.0"),
    ] {
        assert_eq!(version(&asked(accept)), expected, "{accept}");
    }
    let vendor = asked("application/vnd.oai.openapi+json; version=3.1");
    let content_type = vendor.header("Content-Type").expect("there is one");
    assert!(content_type.starts_with("application/vnd.oai.openapi+json;"), "{content_type}");
    assert_eq!(asked("text/csv").status, 406);
}

#[test]
fn the_proxy_and_the_security_scheme_are_in_both_documents() {
    let database = library();
    let settings = Settings::new(&database)
        .set("db-schemas", "lib")
        .set("openapi-security-active", true)
        .set("openapi-server-proxy-uri", "https://example.com:8443/basePath");
    let server = Server::start(&settings);
    let swagger = describe(&server, SWAGGER_20);
    assert_eq!(swagger["host"], "example.com:8443");
    assert_eq!(swagger["basePath"], "/basePath");
    assert_eq!(swagger["schemes"], json!(["https"]));
    assert_eq!(swagger["security"], json!([{ "JWT": [] }]));
    assert_eq!(swagger["securityDefinitions"]["JWT"]["name"], "Authorization");
    let openapi = describe(&server, OPENAPI_31);
    assert_eq!(openapi["servers"], json!([{ "url": "https://example.com:8443/basePath" }]));
    assert_eq!(openapi["security"], json!([{ "JWT": [] }]));
}

#[test]
fn each_exposed_schema_is_described_by_itself() {
    let database = library();
    database.sql(ODD);
    let settings = Settings::new(&database).set("db-schemas", "lib, odd");
    let server = Server::start(&settings);
    let response = server.send(&Request::get("/").header("Accept-Profile", "odd"));
    assert_eq!(response.header("Content-Profile"), Some("odd"));
    let document = response.json();
    assert!(document["paths"]["/empty"].is_object() && document["paths"]["/books"].is_null());
    assert!(describe(&server, SWAGGER_20)["paths"]["/books"].is_object());
}
