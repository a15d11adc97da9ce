//! Functions that say of the response what cannot be sent: such a request is refused before
//! its transaction ends, so that nothing is done and no connection breaks.

use crate::start;
use crate::support::{Request, Response, Server};
use serde_json::{Value, json};

/// A function that writes a row and then says `headers` and `status` of the response, and one
/// that raises what a client says.
const SCHEMA: &str = r#"
    create table api.done (at timestamptz default now());
    create function api.say(headers text default '', status text default '') returns int
      language plpgsql as $$
    begin
      insert into api.done default values;
      perform set_config('response.headers', headers, true);
      perform set_config('response.status', status, true);
      return 1;
    end $$;
    create function api.fail(code text, message text, detail text default '') returns int
      language plpgsql as $$
    begin
      raise using errcode = code, message = message, detail = detail;
    end $$;
    create table api.wishes (headers text);
    create function api.grant_wish() returns trigger language plpgsql as $$
    begin
      perform set_config('response.headers', new.headers, true);
      return new;
    end $$;
    create trigger grant_wish before insert on api.wishes
      for each row execute function api.grant_wish();
    grant all on api.done, api.wishes to public;
"#;

fn call(server: &Server, arguments: &Value) -> Response {
    server.send(&Request::post("/rpc/say", arguments.to_string()))
}

fn rows(server: &Server, table: &str) -> usize {
    let rows = server.send(&Request::get(&format!("/{table}"))).json();
    rows.as_array().unwrap().len()
}

/// Whether a text is what may be said, read by another parser than the statement's.
fn may_be_said(text: &str) -> bool {
    let Ok(Value::Array(items)) = serde_json::from_str(text) else { return false };
    let field = |item: &Value| {
        let Value::Object(members) = item else { return false };
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        members.len() == 1
            && members.iter().all(|(name, value)| {
                !name.is_empty()
                    && name.bytes().all(token)
                    && value.as_str().is_some_and(|value| {
                        value.chars().all(|c| c == '\t' || c >= ' ' && c != '\u{7f}')
                    })
            })
    };
    items.len() <= 200 && text.len() <= 512 << 10 && items.iter().all(field)
}

fn fields(count: usize, value: &str) -> String {
    let fields: Vec<Value> = (0..count).map(|n| json!({ format!("X-{n}"): value })).collect();
    Value::Array(fields).to_string()
}

#[test]
fn headers_that_cannot_be_sent_undo_what_was_done() {
    let (_database, server) = start(SCHEMA, |s| s.set("db-anon-role", "web_anon"));
    let mut done = 0;
    let pieces = [
        r#"[{"X-A": "1"}]"#,
        " [\n{ \"X-A\"\t:\r\"1\" } , {\"x-!#$%&'*+.^_`|~0\":\"\"}]\n",
        "[]",
        r#"[{"X-A": "a\tb\"\\\/\u00e9\ud83e\udd50 ł"}]"#,
        r#"[{"X-A": "1"},]"#,
        r#"[{"X-A": "1"} {"X-B": "1"}]"#,
        r#"{"X-A": "1"}"#,
        r#"[{"X-A": 1}]"#,
        r#"[{"X-A": null}]"#,
        r#"[{}]"#,
        r#"[[]]"#,
        r#"[{"X-A": "1", "X-B": "2"}]"#,
        r#"[{"X A": "1"}]"#,
        r#"[{"": "1"}]"#,
        r#"[{"X-ä": "1"}]"#,
        r#"[{"X-A": "1\r\nX-B: 2"}]"#,
        r#"[{"X-A": "\u000a"}]"#,
        r#"[{"X-A": "\u0000"}]"#,
        r#"[{"X-A": "\u0007"}]"#,
        r#"[{"X-A": "\u007f"}]"#,
        r#"[{"X-A": "\u007F"}]"#,
        "[{\"X-A\": \"\u{7f}\"}]",
        "[{\"X-A\": \"\u{1b}\"}]",
        r#"[{"X-A": "\b"}]"#,
        r#"[{"X-A": "\x41"}]"#,
        r#"[{"X-A": "\ud800"}]"#,
        r#"[{"X-A": "\udc00\ud800"}]"#,
        r#"[{"X-A": "1"}] x"#,
        "tea",
        "\u{a0}[]",
    ];
    let mut texts: Vec<String> = pieces.map(str::to_owned).into();
    texts.extend([fields(200, "{,}\\\""), fields(201, ""), fields(2_000, "")]);
    texts.extend([fields(2, &"v".repeat(200 << 10)), fields(2, &"v".repeat(300 << 10))]);
    for text in &texts {
        let got = call(&server, &json!({ "headers": text }));
        let shown: String = text.chars().take(80).collect();
        if may_be_said(text) {
            done += 1;
            assert_eq!(got.status, 200, "{shown}: {}", got.text());
        } else {
            assert_eq!((got.status, got.code().as_str()), (500, "PGRST111"), "{shown}");
        }
        assert_eq!(rows(&server, "done"), done, "{shown}");
    }
    let got = call(&server, &json!({"headers": r#"[{"X-A": "a\tb\"\\\/\u00e9"}]"#}));
    assert_eq!(got.header("X-A"), Some("a\tb\"\\/é"));
}

#[test]
fn a_trigger_that_says_such_headers_undoes_the_insert() {
    let (_database, server) = start(SCHEMA, |s| s.set("db-anon-role", "web_anon"));
    let insert =
        |text: &str| server.send(&Request::post("/wishes", json!({ "headers": text }).to_string()));
    // Often enough for a prepared statement.
    for _ in 0..3 {
        assert_eq!(insert(r#"[{"X-A": "\u0001"}]"#).code(), "PGRST111");
        assert_eq!(insert(&fields(300, "")).code(), "PGRST111");
    }
    assert_eq!(rows(&server, "wishes"), 0);
    for number in 1..=3 {
        assert_eq!(insert(r#"[{"X-A": "1"}]"#).header("X-A"), Some("1"));
        assert_eq!(rows(&server, "wishes"), number);
    }
}

#[test]
fn a_status_that_ends_no_exchange_undoes_what_was_done() {
    let (_database, server) = start(SCHEMA, |s| s.set("db-anon-role", "web_anon"));
    for status in ["100", "101", "199", "99", "1000", "tea", "-1", "200 OK", "2e2"] {
        let got = call(&server, &json!({ "status": status }));
        assert_eq!((got.status, got.code().as_str()), (500, "PGRST112"), "{status}");
    }
    assert_eq!(rows(&server, "done"), 0);
    for (status, number) in ["200", "299", "418", "999", " 204 "].into_iter().zip(1..) {
        assert_eq!(call(&server, &json!({ "status": status })).status.to_string(), status.trim());
        assert_eq!(rows(&server, "done"), number);
    }
}

#[test]
fn an_error_of_a_function_is_answered_whatever_it_holds() {
    let (_database, server) = start(SCHEMA, |s| s.set("db-anon-role", "web_anon"));
    let fail = |code: &str, message: &str, detail: &str| {
        let arguments = json!({"code": code, "message": message, "detail": detail});
        server.send(&Request::post("/rpc/fail", arguments.to_string()))
    };
    for status in ["PT100", "PT101", "PT199", "PT099"] {
        assert_eq!(fail(status, "interim", "").status, 500, "{status}");
    }
    let long = "x".repeat(2 << 20);
    assert_eq!(fail("PT404", "lost", &long).status, 404);
    let message = json!({"code": "A\u{7f}\r\nX-Split: 1", "message": "no"}).to_string();
    let many: serde_json::Map<String, Value> =
        (0..1_000).map(|n| (format!("X-{n}"), "v".into())).collect();
    for detail in [
        json!({"status": 418, "headers": {"X-A": "\u{7f}", "X-B\n": "1", "X-Vast": long}}),
        json!({"status": 418, "headers": many}),
        json!({"status": 418, "headers": {}, "status_text": long}),
        json!({"status": 418, "headers": {}, "status_text": "tea\r\nX-Split: 1"}),
    ] {
        let got = fail("PGRST", &message, &detail.to_string());
        assert_eq!(got.status, 418, "{}", got.text());
        assert_eq!(got.header("X-Split"), None);
    }
    let interim = json!({"status": 103, "headers": {}}).to_string();
    assert_eq!(fail("PGRST", &message, &interim).code(), "PGRST121");
}
