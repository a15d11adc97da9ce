//! Hostile text in every place of a request that a client controls. PostgreSQL must never
//! find a syntax error in it, which is how a breach of the quoting would begin, and must
//! never do or show what it asks for.

use crate::support::{Cluster, Connection, Database, Request, Response, Server, Settings, jwt};
use crate::{SQL, start, whoami};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::{Value, json};

const SCHEMA: &str = r#"
    create schema other;
    grant usage on schema other to public;
    create table api.authors (id int primary key, name text);
    create table api.notes (
      id int primary key, note text, data jsonb, at timestamptz,
      author int references api.authors, "odd "" ' \ name" text);
    insert into api.authors values (1, 'Ada');
    insert into api.notes values (1, 'one', '{"a": {"b": [1]}}', now(), 1, 'x');
    create function api.echo(a text, "odd "" ' \ b" text default null) returns text
      language sql stable as $$ select a $$;
    create function api.raw(text) returns text language sql stable as $$ select $1 $$;
    grant all on all tables in schema api to web_anon, ann, bob;
"#;

/// Text that ends something early when it is quoted for the wrong rules, or not at all.
const HOSTILE: [&[u8]; 32] = [
    b"'",
    b"''",
    b"\"",
    b"\"\"",
    b"\\",
    b"\\'",
    b"\\\\'",
    b"'; drop table api.notes; --",
    b"\\'; drop table api.notes; --",
    b"\"; drop table api.notes; --",
    b"\\\"; drop table api.notes; --",
    b"$$; drop table api.notes; --",
    b"$1",
    b"$x$",
    b"a) from vault.secrets; --",
    b"1) union all select secret from vault.secrets --",
    b"' || (select secret from vault.secrets) || '",
    b"\" from vault.secrets union select \"",
    b"note::text from vault.secrets --",
    b"/* ",
    b"*/ --",
    b"\\x27; drop table api.notes; --",
    b"U&'\\0027'",
    b"\n;\ndrop table api.notes;\n",
    b"\t\x0b\x01\x1b[31m",
    b"\0",
    b"a\0b'",
    b"\xff\xfe'",
    b"\xc3'",
    b"\xbf\x27 or 1=1",
    "\u{2019}\u{ff07}\u{2b9}\u{1f5dd}".as_bytes(),
    b"",
];

fn encoded(text: &[u8]) -> String {
    percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The text as a header's value can carry it.
fn field(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect()
}

/// Requests with the text in each place of a target.
fn in_targets(text: &[u8]) -> Vec<Request> {
    let p = encoded(text);
    let quoted = encoded(&[b"\"", text.to_vec().escape_quotes().as_slice(), b"\""].concat());
    let mut targets = vec![
        format!("/{p}"),
        format!("/{p}/{p}"),
        format!("/rpc/{p}"),
        format!("/rpc/echo?{p}=1"),
        format!("/rpc/echo?a={p}"),
        format!("/rpc/echo?a=x&{p}=eq.1"),
        format!("/notes?{p}"),
        format!("/notes?{p}={p}"),
        format!("/notes?limit={p}"),
        format!("/notes?offset={p}"),
        format!("/notes?order=note.{p}"),
        format!("/notes?note={p}"),
        format!("/notes?note={p}.x"),
        format!("/notes?note=fts({p}).x"),
        format!("/notes?note=wfts({p}).x"),
        format!("/notes?note=eq({p}).x"),
        format!("/notes?note=like(any).{{{p}}}"),
        format!("/notes?note=eq(any).{{{quoted}}}"),
        format!("/notes?note=in.({p})"),
        format!("/notes?note=in.({quoted},{p})"),
        format!("/notes?or=(note.eq.{p})"),
        format!("/notes?or=(note.in.({quoted}))"),
        format!("/notes?and=(note.not.{p}.x,or({p}))"),
        format!("/notes?select=id::{p}"),
        format!("/notes?select=id.{p}()"),
        format!("/notes?select=authors!{p}(id)"),
        format!("/notes?select=authors(id)&authors.{p}=eq.1"),
        format!("/notes?select=authors(id)&authors.order={p}"),
        format!("/notes?select=authors(id)&{p}.limit=1"),
        format!("/notes?data->a->>b=eq.{p}"),
        format!("/notes?at=lt.{p}"),
        format!("/notes?data=cs.{p}"),
    ];
    for name in [&p, &quoted] {
        targets.extend([
            format!("/notes?select={name}"),
            format!("/notes?select={name}:note"),
            format!("/notes?select={name}:note,{name}:id&{name}=eq.1"),
            format!("/notes?select={name}:authors(*)&{name}.order=id"),
            format!("/notes?select=x:authors({name})"),
            format!("/notes?select=...authors({name}:name)"),
            format!("/notes?select={name}:data->a->b"),
            format!("/notes?select=data->{name}"),
            format!("/notes?select=data->>{name}"),
            format!("/notes?select=data->a->{name}->>{name}"),
            format!("/notes?select={name}:id.max()"),
            format!("/notes?order={name}"),
            format!("/notes?order=data->{name}.desc"),
            format!("/notes?select=authors(*)&order=authors({name})"),
            format!("/notes?{name}=eq.1"),
            format!("/notes?data->>{name}=eq.{name}"),
            format!("/notes?or=({name}.eq.1)"),
            format!("/notes?columns={name}&on_conflict={name}"),
        ]);
    }
    for operator in [
        "eq",
        "neq",
        "gt",
        "gte",
        "lt",
        "lte",
        "like",
        "ilike",
        "match",
        "imatch",
        "in",
        "is",
        "isdistinct",
        "fts",
        "plfts",
        "phfts",
        "wfts",
        "cs",
        "cd",
        "ov",
        "sl",
        "sr",
        "nxr",
        "nxl",
        "adj",
        "not.eq",
    ] {
        targets.push(format!("/notes?note={operator}.{p}"));
    }
    targets.iter().map(|target| Request::get(target)).collect()
}

trait EscapeQuotes {
    /// The text as it stands between double quotes in a target.
    fn escape_quotes(&self) -> Vec<u8>;
}

impl EscapeQuotes for Vec<u8> {
    fn escape_quotes(&self) -> Vec<u8> {
        let escaped = |byte: &u8| match byte {
            b'"' | b'\\' => vec![b'\\', *byte],
            _ => vec![*byte],
        };
        self.iter().flat_map(escaped).collect()
    }
}

/// Requests with the text in headers.
fn in_headers(text: &[u8]) -> Vec<Request> {
    let text = field(text);
    let mut requests: Vec<Request> = [
        ("Accept-Profile", text.clone()),
        ("Accept", text.clone()),
        ("Accept", format!("application/vnd.pgrst.plan+json; for=\"{text}\"")),
        ("Prefer", text.clone()),
        ("Prefer", format!("timezone={text}")),
        ("Prefer", format!("handling=strict, timezone={text}")),
        ("Prefer", format!("count={text}, max-affected={text}")),
        ("Range", text.clone()),
        ("Cookie", format!("a={text}; {text}=b; {text}")),
        ("Authorization", format!("Bearer {text}")),
        ("Origin", text.clone()),
        ("X-Forwarded-For", text.clone()),
        ("User-Agent", text.clone()),
        ("If-None-Match", text.clone()),
    ]
    .into_iter()
    .map(|(name, value)| Request::get("/notes").header(name, &value))
    .collect();
    requests.push(Request::post("/notes", "{}").header("Content-Profile", &text));
    requests.push(Request::new("POST", "/notes").header("Content-Type", &text).body("x"));
    requests
}

/// Requests with the text in bodies, and in what says how to read them.
fn in_bodies(text: &[u8]) -> Vec<Request> {
    let p = encoded(text);
    let lossy = String::from_utf8_lossy(text).into_owned();
    let form = "application/x-www-form-urlencoded";
    let csv = |name: &str, value: &str| {
        format!("id,\"{}\"\n7,\"{}\"\n", name.replace('"', "\"\""), value.replace('"', "\"\""))
    };
    let kept = Request::post("/notes", json!({"id": 7, "note": lossy}).to_string());
    vec![
        kept.clone(),
        kept.header("Prefer", "return=headers-only"),
        Request::post("/notes", json!({lossy.clone(): 7}).to_string()),
        Request::post("/notes", json!([{lossy.clone(): 7}, {lossy.clone(): 8}]).to_string()),
        Request::post("/notes", json!({"id": lossy}).to_string()),
        Request::post("/notes", json!({"id": 7, "data": {lossy.clone(): lossy}}).to_string()),
        Request::post(&format!("/notes?columns={p}"), json!({lossy.clone(): 7}).to_string()),
        Request::post(&format!("/notes?columns=id,\"{p}\""), "{\"id\": 7}"),
        Request::post(&format!("/notes?on_conflict={p}"), "{\"id\": 7}")
            .header("Prefer", "resolution=merge-duplicates"),
        Request::post(&format!("/notes?select={p}"), "{\"id\": 7}")
            .header("Prefer", "return=representation"),
        Request::post("/notes?columns=id,note", text.to_vec()),
        Request::post("/notes", text.to_vec()),
        Request::new("POST", "/notes").header("Content-Type", "text/csv").body(csv("note", &lossy)),
        Request::new("POST", "/notes").header("Content-Type", "text/csv").body(csv(&lossy, "x")),
        Request::new("POST", "/notes").header("Content-Type", "text/csv").body(text.to_vec()),
        Request::new("POST", "/notes").header("Content-Type", form).body(format!("{p}={p}")),
        Request::new("POST", "/notes").header("Content-Type", form).body(format!("id=7&note={p}")),
        Request::patch(&format!("/notes?id=eq.7&note=eq.{p}"), json!({"note": lossy}).to_string()),
        Request::patch("/notes?id=eq.7", json!({lossy.clone(): 1}).to_string()),
        Request::new("DELETE", &format!("/notes?id=eq.7&note=eq.{p}")),
        Request::new("PUT", &format!("/notes?id=eq.{p}")).json("{\"id\": 7}"),
        Request::post("/rpc/echo", json!({"a": lossy}).to_string()),
        Request::post("/rpc/echo", json!({"a": "x", lossy.clone(): "x"}).to_string()),
        Request::post("/rpc/echo", json!({lossy.clone(): {}}).to_string()),
        Request::new("POST", "/rpc/raw").header("Content-Type", "text/plain").body(text.to_vec()),
        Request::new("POST", "/rpc/echo").header("Content-Type", form).body(format!("a={p}&{p}=x")),
    ]
}

/// Requests with the text in the claims of a good token.
fn in_claims(text: &[u8]) -> Vec<Request> {
    let lossy = String::from_utf8_lossy(text).into_owned();
    let long = lossy.repeat(64 / lossy.len().max(1) + 1);
    [
        json!({"role": lossy}),
        json!({"role": "ann", "sub": lossy}),
        json!({"role": "ann", lossy.clone(): lossy}),
        json!({"role": "ann", format!("a{lossy}"): 1, format!("a.{lossy}"): 1}),
        json!({"role": "ann", "x": {lossy.clone(): [lossy]}}),
        json!({"role": "ann", long.clone(): long, "a".repeat(70): 1}),
    ]
    .iter()
    .map(|claims| whoami().bearer(&jwt::token(claims)))
    .collect()
}

/// What must not be in any answer: the canary, and pieces of the server's own SQL, keys and
/// addresses.
const NEVER_SHOWN: [&str; 11] = [
    "the canary",
    "set_config",
    "json_agg",
    "json_to_record",
    "pgrst_row",
    "pgrst_body",
    "SELECT ",
    "EXECUTE k",
    "SET LOCAL",
    jwt::SECRET,
    "authenticator",
];

fn assert_harmless(request: &Request, got: &Response) {
    let text = got.text();
    let what = || format!("{request:?}\nanswered {} {text}", got.status);
    assert!((200..500).contains(&got.status), "{}", what());
    if got.code() == "42601" {
        // A column's alias may be empty, and a text search has a syntax of its own.
        let own = [
            "zero-length delimited identifier",
            "syntax error in tsquery",
            "no operand in tsquery",
            "there is no escaped character",
        ];
        assert!(own.iter().any(|own| text.contains(own)), "{}", what());
    }
    for shown in NEVER_SHOWN {
        // Rather the client's own words than ours.
        let own_words = String::from_utf8_lossy(&request.to_bytes()).contains(shown)
            || text.contains("cannot call json_to_recordset on");
        assert!(own_words || !text.contains(shown), "{shown:?} is shown\n{}", what());
    }
    for (name, value) in &got.headers {
        assert!(!value.contains(['\r', '\n', '\0', '\u{1b}']), "{name}\n{}", what());
    }
}

/// Sends each request so often that its statement is prepared and used again.
fn attack(server: &Server, requests: Vec<Request>) {
    let mut connection: Option<Connection> = None;
    for request in requests {
        for _ in 0..3 {
            let open = connection.get_or_insert_with(|| server.connect());
            let got = open
                .send(&request)
                .unwrap_or_else(|error| panic!("{error}: {request:?}\n{}", server.log_end()));
            assert_harmless(&request, &got);
            if got.header("Connection").is_some_and(|value| value == "close") {
                connection = None;
            }
        }
    }
}

fn attack_everywhere(database: &Database, server: &Server) {
    for text in HOSTILE {
        attack(server, in_targets(text));
        attack(server, in_headers(text));
        attack(server, in_bodies(text));
        attack(server, in_claims(text));
        let notes = database.value("select note from api.notes where id = 1");
        assert_eq!(notes.as_deref(), Some("one"), "after {:?}", String::from_utf8_lossy(text));
        database.sql("delete from api.notes where id <> 1");
    }
    assert_eq!(database.value("select count(*) from vault.secrets").as_deref(), Some("1"));
}

fn settings(database: &Database) -> Settings {
    Settings::new(database)
        .set("db-pool", 1)
        .set("db-schemas", "api, other")
        .set("db-aggregates-enabled", true)
        .set("db-plan-enabled", true)
}

#[test]
fn hostile_text_stays_text() {
    let database = Cluster::shared().database(&format!("{SQL}{SCHEMA}"));
    attack_everywhere(&database, &Server::start(&settings(&database)));
}

#[test]
fn hostile_text_stays_text_where_the_database_takes_backslashes_for_escapes() {
    let database = Cluster::shared().database(&format!("{SQL}{SCHEMA}"));
    database.sql(&format!(
        "alter database {name} set standard_conforming_strings = off;
         alter database {name} set backslash_quote = on;",
        name = database.name
    ));
    attack_everywhere(&database, &Server::start(&settings(&database)));
}

#[test]
fn hostile_text_stays_text_where_the_login_role_takes_backslashes_for_escapes() {
    let cluster = Cluster::start();
    let database = cluster.database(&format!("{SQL}{SCHEMA}"));
    database.sql(
        "alter role authenticator set standard_conforming_strings = off;
         alter role authenticator set escape_string_warning = on;
         alter role authenticator set client_encoding = 'SJIS';
         alter role ann set standard_conforming_strings = off;",
    );
    attack_everywhere(&database, &Server::start(&settings(&database)));
}

#[test]
fn a_role_whose_settings_change_the_lexer_gains_nothing() {
    // Role settings are entered in front of the request's own text, in the same message.
    let cluster = Cluster::start();
    let database = cluster.database(&format!("{SQL}{SCHEMA}"));
    database.sql(
        "alter role ann set client_encoding = 'SJIS';
         alter role bob set client_encoding = 'GBK';
         alter role bob set standard_conforming_strings = off;",
    );
    let server = Server::start(&settings(&database));
    for role in ["ann", "bob"] {
        // The second byte of a character in these encodings may be a backslash or a quote.
        for text in
            ["\u{8868}'; drop table api.notes; --", "\u{203e}\\'", "\u{3f3d}\u{27}", "\u{4e56}"]
        {
            for _ in 0..4 {
                let target = format!("/notes?note=eq.{}", encoded(text.as_bytes()));
                let got = server.send(&Request::get(&target).bearer(&jwt::for_role(role)));
                assert_eq!((got.status, got.text().as_str()), (200, "[]"), "{role} {text}");
            }
            let got = server.send(&Request::get("/notes?select=note"));
            assert_eq!((got.status, got.json()), (200, json!([{"note": "one"}])));
        }
    }
}

#[test]
fn values_come_back_as_they_were_sent() {
    let (_database, server) = start(SCHEMA, |s| s.set("db-pool", 1));
    for (number, text) in HOSTILE.iter().enumerate() {
        let Ok(text) = std::str::from_utf8(text) else { continue };
        if text.contains('\0') {
            continue;
        }
        let id = number + 100;
        let got =
            server.send(&Request::post("/notes", json!({"id": id, "note": text}).to_string()));
        assert_eq!(got.status, 201, "{text:?}: {}", got.text());
        for _ in 0..4 {
            let target =
                format!("/notes?select=note&id=eq.{id}&note=eq.{}", encoded(text.as_bytes()));
            assert_eq!(
                server.send(&Request::get(&target)).json(),
                json!([{"note": text}]),
                "{text:?}"
            );
            let target = format!("/rpc/echo?a={}", encoded(text.as_bytes()));
            assert_eq!(server.send(&Request::get(&target)).json(), json!(text));
            let claims = json!({"role": "ann", "sub": text});
            let got = server.send(&whoami().bearer(&jwt::token(&claims))).json();
            assert_eq!(got["claims"], claims);
            assert_eq!(got["sub"], if text.is_empty() { Value::Null } else { json!(text) });
        }
    }
}

#[test]
fn nul_is_refused_wherever_it_comes_from() {
    let (_database, server) = start(SCHEMA, |s| s.set("db-pool", 1));
    for request in [
        Request::get("/notes?note=eq.%00"),
        Request::get("/notes%00"),
        Request::get("/notes?select=%22a%00%22:note"),
        Request::get("/notes?data->>%00=eq.1"),
        Request::get("/rpc/echo?a=%00"),
        Request::get("/rpc/echo?a%00=1"),
        Request::post("/notes?columns=id%00", "{\"id\": 7}"),
        Request::post("/notes", "{\"a\\u0000\": 7}"),
        Request::post("/notes", b"{\"note\": \"\0\"}".to_vec()),
        Request::post("/notes?columns=note", b"{\"note\": \"\0\"}".to_vec()),
        Request::new("POST", "/notes").header("Content-Type", "text/csv").body("note\na\0b\n"),
        Request::new("POST", "/notes").header("Content-Type", "text/csv").body("no\0te\nab\n"),
        Request::new("POST", "/rpc/raw").header("Content-Type", "text/plain").body("a\0b"),
    ] {
        let got = server.send(&request);
        assert!((400..500).contains(&got.status), "{request:?}: {} {}", got.status, got.text());
    }
    // As JSON a claim can hold it; a setting of its own cannot.
    let claims = json!({"role": "ann", "sub": "a\0b", "x\0y": 1});
    let got = server.send(&Request::get("/whoami").bearer(&jwt::token(&claims)));
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!((&got.json()[0]["claims"], &got.json()[0]["sub"]), (&claims, &Value::Null));
}
