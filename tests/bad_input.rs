//! Bad input: each gets its documented error, and the next request on the same connection
//! works.

mod support;

use serde_json::{Value, json};
use std::sync::LazyLock;
use support::{Cluster, Connection, Database, Request, Response, Server, Settings, jwt};

const SQL: &str = "
    do $$ begin create role web_anon nologin; exception when duplicate_object then null; end $$;
    do $$ begin create role todo_user nologin; exception when duplicate_object then null; end $$;
    grant web_anon, todo_user to authenticator;
    create schema api;
    create table api.todos (id int primary key, task text not null, due date);
    insert into api.todos values (1, 'water the plants', null);
    grant usage on schema api to web_anon, todo_user;
    grant select on api.todos to web_anon;
    grant all on api.todos to todo_user;
";

/// One server for all tests of this file, with one connection to the database: an error must
/// not spoil that one either.
fn server() -> &'static Server {
    static SERVER: LazyLock<(Server, Database<'static>)> = LazyLock::new(|| {
        let database = Cluster::shared().database(SQL);
        (Server::start(&settings(&database)), database)
    });
    &SERVER.0
}

/// Writes of `Prefer: tx=rollback` leave nothing.
fn settings(database: &Database) -> Settings {
    Settings::new(database).set("db-pool", 1).set("db-tx-end", "commit-allow-override")
}

/// Sends the request, and then a good one over the same connection; gives the first answer.
fn refused(request: Request) -> Response {
    let mut connection = server().connect();
    let response = connection.send(&request).expect("an answer");
    let closes = response.header("Connection").is_some_and(|c| c.eq_ignore_ascii_case("close"));
    assert!(!closes, "the connection stays: {} {}", response.status, response.text());
    assert_works(&mut connection);
    assert_eq!(response.header("Content-Type"), Some("application/json; charset=utf-8"));
    let token = format!("PostgREST; error={}", response.code());
    assert_eq!(response.header("Proxy-Status"), Some(token.as_str()));
    response
}

fn assert_works(connection: &mut Connection) {
    let next = connection.send(&Request::get("/todos?select=id&id=eq.1")).expect("an answer");
    assert_eq!((next.status, next.text().as_str()), (200, r#"[{"id":1}]"#));
}

fn assert_error(request: Request, status: u16, body: Value) {
    let response = refused(request);
    assert_eq!((response.status, response.json()), (status, body));
}

fn writer(request: Request) -> Request {
    request.bearer(&jwt::for_role("todo_user"))
}

#[test]
fn malformed_json_is_pgrst102() {
    for body in [
        "",
        "{",
        "[1,",
        "{\"task\": \"x\"",
        "{task: 1}",
        "{'task': 1}",
        "{\"task\": 01}",
        "{\"task\": \"x\"} tail",
        "{\"task\": \"\\ud83e\"}",
        "nothing",
    ] {
        assert_error(
            writer(Request::post("/todos", body)),
            400,
            json!({"code": "PGRST102", "details": null, "hint": null,
                   "message": "Empty or invalid json"}),
        );
    }
}

#[test]
fn json_nested_beyond_any_use_is_refused() {
    let deep = format!("{{\"task\": {}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let response = refused(writer(Request::post("/todos", deep)));
    assert_eq!(response.status, 400, "{}", response.text());
}

#[test]
fn a_body_that_is_not_utf8_is_refused() {
    let response = refused(writer(Request::post("/todos", b"{\"task\": \"\xff\"}".to_vec())));
    assert_eq!((response.status, response.code().as_str()), (400, "PGRST102"));
}

#[test]
fn an_unknown_table_is_pgrst205_with_the_nearest_known_one() {
    assert_error(
        Request::get("/todo"),
        404,
        json!({"code": "PGRST205", "details": null,
               "hint": "Perhaps you meant the table 'api.todos'",
               "message": "Could not find the table 'api.todo' in the schema cache"}),
    );
}

#[test]
fn an_unknown_column_is_named() {
    let missing = json!({"code": "42703", "details": null, "hint": null,
                         "message": "column todos.owner does not exist"});
    for path in ["/todos?select=owner", "/todos?owner=eq.1", "/todos?order=owner"] {
        assert_error(Request::get(path), 400, missing.clone());
    }
    assert_error(
        writer(Request::post("/todos", r#"{"id": 2, "task": "x", "owner": 1}"#)),
        400,
        json!({"code": "PGRST204", "details": null, "hint": null,
               "message": "Could not find the 'owner' column of 'todos' in the schema cache"}),
    );
}

#[test]
fn a_value_of_the_wrong_type_is_refused_in_the_words_of_postgresql() {
    let wrong = json!({"code": "22P02", "details": null, "hint": null,
                       "message": "invalid input syntax for type integer: \"one\""});
    assert_error(Request::get("/todos?id=eq.one"), 400, wrong.clone());
    assert_error(Request::get("/todos?id=in.(1,one)"), 400, wrong.clone());
    assert_error(writer(Request::post("/todos", r#"{"id": "one", "task": "x"}"#)), 400, wrong);
    let day = refused(writer(Request::patch("/todos?id=eq.1", r#"{"due": "someday"}"#)));
    assert_eq!((day.status, day.code().as_str()), (400, "22007"));
}

#[test]
fn a_query_that_does_not_parse_is_pgrst100() {
    for path in ["/todos?id=1", "/todos?id=eq", "/todos?order=id.up"] {
        let response = refused(Request::get(path));
        assert_eq!((response.status, response.code().as_str()), (400, "PGRST100"), "{path}");
    }
}

/// Every way in which a token can be malformed: token, code, message, details.
fn malformed_tokens() -> Vec<(String, &'static str, &'static str, Option<&'static str>)> {
    const BROKEN: &str = "JWT cryptographic operation failed";
    const NO_KEY: &str = "No suitable key or wrong key type";
    const UNDECODED: Option<&str> = Some("None of the keys was able to decode the JWT");
    const UNSUITABLE: Option<&str> = Some("No suitable key was found to decode the JWT");
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let claims = json!({"role": "todo_user"});
    let secret = jwt::SECRET.as_bytes();
    let good = jwt::token(&claims);
    let parts: Vec<&str> = good.split('.').collect();
    let of_alg = |alg: &str| jwt::sign(&json!({ "alg": alg }), &claims, secret);
    let of_claims = |claims: Value| jwt::sign(&header, &claims, secret);
    vec![
        (String::new(), "PGRST301", "Empty JWT is sent in Authorization header", None),
        (parts[0].into(), "PGRST301", "Expected 3 parts in JWT; got 1", None),
        (parts[..2].join("."), "PGRST301", "Expected 3 parts in JWT; got 2", None),
        (format!("{good}.x"), "PGRST301", "Expected 3 parts in JWT; got 4", None),
        (format!("{good}.x.y"), "PGRST301", "Expected 3 parts in JWT; got 5", None),
        ("..".into(), "PGRST301", BROKEN, None),
        ("a.b.c".into(), "PGRST301", BROKEN, None),
        (format!("{}.{}.!?", parts[0], parts[1]), "PGRST301", BROKEN, None),
        (format!("{good}="), "PGRST301", BROKEN, None),
        (format!("{good} and more"), "PGRST301", BROKEN, None),
        (format!("x{good}"), "PGRST301", BROKEN, None),
        (jwt::sign(&json!("text"), &claims, secret), "PGRST301", BROKEN, None),
        (jwt::sign(&json!({}), &claims, secret), "PGRST301", BROKEN, None),
        (of_alg("hs256"), "PGRST301", BROKEN, None),
        (of_alg("XS256"), "PGRST301", BROKEN, None),
        (of_alg("HS512"), "PGRST301", NO_KEY, UNSUITABLE),
        (of_alg("RS256"), "PGRST301", NO_KEY, UNSUITABLE),
        (jwt::sign(&header, &claims, b"another secret"), "PGRST301", NO_KEY, UNDECODED),
        (
            format!("{}.{}.", jwt::encode(r#"{"alg":"none"}"#), parts[1]),
            "PGRST301",
            "Wrong or unsupported encoding algorithm",
            Some("JWT is unsecured but expected 'alg' was not 'none'"),
        ),
        (of_claims(json!("text")), "PGRST303", "Parsing claims failed", None),
        (of_claims(json!(["todo_user"])), "PGRST303", "Parsing claims failed", None),
        (
            of_claims(json!({"exp": "tomorrow"})),
            "PGRST303",
            "The JWT 'exp' claim must be a number",
            None,
        ),
        (of_claims(json!({"nbf": {}})), "PGRST303", "The JWT 'nbf' claim must be a number", None),
        (of_claims(json!({"iat": [1]})), "PGRST303", "The JWT 'iat' claim must be a number", None),
        (of_claims(json!({"exp": 1})), "PGRST303", "JWT expired", None),
        (of_claims(json!({"nbf": jwt::now() + 300})), "PGRST303", "JWT not yet valid", None),
        (of_claims(json!({"iat": jwt::now() + 300})), "PGRST303", "JWT issued at future", None),
    ]
}

#[test]
fn a_malformed_token_is_401_with_its_reason_and_challenge() {
    for (token, code, message, details) in malformed_tokens() {
        let response = refused(Request::get("/todos").bearer(&token));
        let body = json!({"code": code, "message": message, "details": details, "hint": null});
        assert_eq!((response.status, response.json()), (401, body), "{token:?}");
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{message}\"");
        assert_eq!(response.header("WWW-Authenticate"), Some(challenge.as_str()), "{token:?}");
    }
}

#[test]
fn a_huge_token_is_refused() {
    let padding = "x".repeat(20_000);
    let token = jwt::sign(
        &json!({"alg": "HS256"}),
        &json!({"role": "todo_user", "padding": padding}),
        b"another secret",
    );
    let response = server().send(&Request::get("/todos").bearer(&token));
    assert!(matches!(response.status, 401 | 431), "{}", response.text());
    assert_works(&mut server().connect());
}

#[test]
fn a_role_that_cannot_be_entered_fails_the_request() {
    for role in ["nobody_at_all", "postgres", "authenticator; drop table api.todos", "\"", "\\"] {
        let response = refused(Request::get("/todos").bearer(&jwt::for_role(role)));
        assert!(matches!(response.status, 401 | 403), "{role}: {}", response.text());
    }
}

fn body_of_20_mb() -> Request {
    let body = format!("{{\"id\": 20, \"task\": \"{}\"}}", "x".repeat(20_000_000));
    writer(Request::post("/todos", body).header("Prefer", "tx=rollback"))
}

#[test]
fn a_body_of_20_mb_is_taken_whole() {
    let mut connection = server().connect();
    let response = connection.send(&body_of_20_mb()).expect("an answer");
    assert_eq!(response.status, 201, "{}", response.text());
    assert_works(&mut connection);
}

#[test]
fn a_body_beyond_the_limit_is_413_and_the_next_request_works() {
    let database = Cluster::shared().database(SQL);
    let settings = Settings::new(&database).set("server-max-body-bytes", 10 << 20);
    let server = Server::start(&settings);
    let mut connection = server.connect();
    // The answer may come, and the connection be closed, before all was sent.
    let written = connection.write(&body_of_20_mb().to_bytes());
    match connection.read("POST") {
        Ok(response) => {
            assert_eq!(response.status, 413, "{}", response.text());
            assert!(!response.code().is_empty(), "{}", response.text());
            let closes = response.header("Connection").is_some_and(|c| c == "close");
            if written.is_ok() && !closes {
                assert_works(&mut connection);
            }
        }
        Err(error) => assert!(written.is_err(), "no answer, though all was read: {error}"),
    }
    assert_works(&mut server.connect());
}

#[test]
fn a_nul_in_a_filter_is_refused_before_it_reaches_the_database() {
    for path in ["/todos?task=eq.a%00b", "/todos?task=in.(a%00b,c)", "/todos?task=like.%00*"] {
        let response = refused(Request::get(path));
        assert_eq!(response.status, 400, "{path}: {}", response.text());
    }
}

#[test]
fn a_nul_in_a_name_is_refused() {
    for path in ["/to%00dos", "/todos?select=ta%00sk", "/todos?ta%00sk=eq.1", "/todos?order=i%00d"]
    {
        let response = refused(Request::get(path));
        assert!(matches!(response.status, 400 | 404), "{path}: {}", response.text());
    }
}

#[test]
fn a_nul_in_a_body_is_refused() {
    assert_error(
        writer(Request::post("/todos", r#"{"id": 2, "task": "a\u0000b"}"#)),
        400,
        json!({"code": "22P05", "details": "\\u0000 cannot be converted to text.", "hint": null,
               "message": "unsupported Unicode escape sequence"}),
    );
    let raw = refused(writer(Request::post("/todos", b"{\"id\": 2, \"task\": \"a\0b\"}".to_vec())));
    assert_eq!((raw.status, raw.code().as_str()), (400, "PGRST102"));
    let key = refused(writer(Request::post("/todos", r#"{"id": 2, "ta\u0000sk": "x"}"#)));
    assert_eq!(key.status, 400, "{}", key.text());
}

#[test]
fn a_nul_in_a_token_is_refused_or_kept_from_the_database() {
    let role = refused(Request::get("/todos").bearer(&jwt::for_role("todo_user\0x")));
    assert_eq!((role.status, role.code().as_str()), (401, "PGRST303"));
    // In another claim it is no reason to refuse the token, and must not break the request.
    let token = jwt::token(&json!({"role": "todo_user", "name": "a\0b", "x\0y": 1}));
    let mut connection = server().connect();
    let response = connection.send(&Request::get("/todos").bearer(&token)).expect("an answer");
    assert!(matches!(response.status, 200 | 401), "{}", response.text());
    assert_works(&mut connection);
}

#[test]
fn client_text_of_every_kind_stays_text() {
    let token = jwt::for_role("todo_user");
    let mut connection = server().connect();
    for (id, text) in ["'", "\\'", "'; drop table api.todos; --", "$$", "E'\\''", "\u{1f5dd}", "\\"]
        .iter()
        .enumerate()
    {
        let id = id + 100;
        let body = json!({"id": id, "task": text}).to_string();
        let post = Request::post("/todos", body).bearer(&token);
        assert_eq!(connection.send(&post).expect("an answer").status, 201, "{text}");
        let value = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/todos?task=eq.{value}&id=eq.{id}");
        let get = connection.send(&Request::get(&path)).expect("an answer");
        assert_eq!(get.json(), json!([{"id": id, "task": text, "due": null}]));
        let delete = Request::new("DELETE", &path).bearer(&token);
        assert_eq!(connection.send(&delete).expect("an answer").status, 204);
    }
}
