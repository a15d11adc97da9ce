//! What answers and log give away, and what can be smuggled into them.

use crate::start;
use crate::support::{Request, Server, jwt};
use serde_json::json;

const SCHEMA: &str = r#"
    create table api.authors (id int primary key, name text);
    create table api.notes (id int primary key, note text, author int references api.authors);
    insert into api.authors values (1, 'Ada');
    insert into api.notes values (1, 'one', 1);
    grant all on all tables in schema api to web_anon;
    create function api.with_headers(headers text) returns text language sql as $$
      select set_config('response.headers', headers, true) $$;
    create function api.raise_custom(detail text) returns void language plpgsql as $$
    begin
      raise sqlstate 'PGRST' using
        message = '{"code": "X1", "message": "custom"}', detail = detail;
    end $$;
    create function api.raise_text(state text, message text) returns void language plpgsql as $$
    begin
      raise exception '%', message using errcode = state;
    end $$;
    create function api.raise_rich() returns void language plpgsql as $$
    begin
      raise exception 'public text' using errcode = 'P0001', detail = 'public detail',
        table = 'secret_table', schema = 'secret_schema', constraint = 'secret_constraint';
    end $$;
    create function api.outer_secret(n int) returns int language plpgsql as $$
    begin
      return (select 1 / n as "secret_internal_query");
    end $$;
"#;

/// Sends a request and gives its answer's head and body as they came.
fn raw(server: &Server, request: &Request) -> String {
    let request = request.clone().header("Connection", "close");
    let got = server.send(&request);
    let headers: String = got.headers.iter().map(|(n, v)| format!("{n}: {v}\n")).collect();
    format!("{}\n{headers}\n{}", got.status, got.text())
}

#[test]
fn no_header_from_sql_breaks_out_of_its_line() {
    let (_database, server) = start(SCHEMA, |s| s);
    for headers in [
        json!([{"X-A": "1\r\nX-Evil: 2"}]),
        json!([{"X-A": "1\nX-Evil: 2"}]),
        json!([{"X-A": "1\rX-Evil: 2"}]),
        json!([{"X-A\r\nX-Evil": "2"}]),
        json!([{"X-A: 1\r\nX-Evil": "2"}]),
        json!([{"X-A": "1\r\n\r\n<script>X-Evil:</script>"}]),
        json!([{"X-A": "1\u{0}\nX-Evil: 2"}]),
        json!([{"": "X-Evil: 2"}]),
        json!([{"X-A": "1\u{2028}\u{85}X-Evil: 2"}]),
    ] {
        let text = headers.to_string();
        let got =
            server.send(&Request::post("/rpc/with_headers", json!({"headers": text}).to_string()));
        let clean = got.headers.iter().all(|(name, _)| !name.to_lowercase().contains("evil"));
        assert!(clean, "{headers}: {:?}", got.headers);
        assert!(matches!(got.status, 200 | 500), "{headers}: {}", got.text());
        let pair = headers[0].clone();
        let detail = json!({"status": 400, "headers": pair}).to_string();
        let got =
            server.send(&Request::post("/rpc/raise_custom", json!({"detail": detail}).to_string()));
        let clean = got.headers.iter().all(|(name, _)| !name.to_lowercase().contains("evil"));
        assert!(clean, "{headers}: {:?}", got.headers);
    }
    // Framing is the server's own business.
    for (name, value) in
        [("Content-Length", "1"), ("Transfer-Encoding", "chunked"), ("Connection", "upgrade")]
    {
        let text = json!([{name: value}]).to_string();
        let got =
            server.send(&Request::post("/rpc/with_headers", json!({"headers": text}).to_string()));
        assert_ne!(got.header(name), Some(value), "{:?}", got.headers);
    }
}

#[test]
fn no_text_of_the_client_makes_a_header_or_a_line_of_the_log() {
    let (_database, server) = start(SCHEMA, |s| s.set("server-trace-header", "X-Trace"));
    let evil = "%0D%0AX-Evil:%201%0D%0Aforged%20line";
    for target in [
        format!("/notes?select=%22a{evil}%22:note"),
        format!("/notes?select=%22a{evil}%22:authors(name)&authors.order=name"),
        format!("/notes?select=%22a{evil}%22:authors(name)&authors.id=eq.1"),
        format!("/notes?select=id&order=%22{evil}%22"),
        format!("/{evil}"),
        format!("/rpc/{evil}"),
        format!("/notes?note=eq.{evil}"),
        format!("/rpc/raise_text?state=XX000&message={evil}"),
        format!("/rpc/raise_text?state=PT503&message={evil}"),
        format!("/rpc/raise_text?state=53400&message={evil}"),
        format!("/rpc/raise_text?state=PT500&message=%1B%5B31mred%1B%5B0m%C2%9B31m{evil}"),
    ] {
        for request in
            [Request::get(&target), Request::new("OPTIONS", &target), Request::new("HEAD", &target)]
        {
            let got = server.send(&request.header("X-Trace", "t"));
            assert!(got.header("X-Evil").is_none(), "{target}: {:?}", got.headers);
        }
    }
    for claims in [json!({"role": "x\r\nforged line"}), json!({"role": "\u{1b}[31m"})] {
        server.send(&Request::get("/notes").bearer(&jwt::token(&claims)));
    }
    let header = json!({"alg": "HS256", "kid": "k\r\nforged line \u{1b}[31m"});
    server.send(&Request::get("/notes").bearer(&jwt::sign(&header, &json!({}), b"x")));
    let quotes = "x\" 200 0 \"-\" 0.1ms \u{9b}31m \u{2028}";
    server.send(&Request::get("/notes").header("User-Agent", quotes));
    server.send(&Request::get("/notes?a=\u{9b}31m\"x\""));
    server.wait_for_log(0, "GET /notes?a=");
    let log = server.log();
    assert!(
        !log.lines().any(|line| line.starts_with("forged") || line.starts_with("X-Evil")),
        "{log}"
    );
    let control = log.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "a control character is in the log:\n{log:?}");
    let agent = log.lines().find(|line| line.contains("200 0")).expect("the request is in the log");
    assert!(!agent.contains(quotes), "quotes end the field of the log: {agent}");
}

#[test]
fn an_error_tells_nothing_of_the_statement_behind_it() {
    let (database, server) = start(SCHEMA, |s| s);
    for target in [
        "/notes?nothing=eq.1",
        "/notes?select=id&note=eq(any).1",
        "/notes?id=eq.x",
        "/notes?select=id::nothing",
        "/notes?select=data->x",
        "/notes?note=fts(klingon).x",
        "/rpc/raise_rich",
        "/rpc/outer_secret?n=0",
        "/rpc/nothing?a=1",
        "/notes?id=gt.99999999999999999999",
        "/notes?limit=99999999999999999999",
        "/notes?offset=9223372036854775807",
    ] {
        let answer = raw(&server, &Request::get(target));
        for secret in [
            "SELECT",
            "select 1",
            "pgrst_",
            "json_agg",
            "set_config",
            "EXECUTE",
            "PREPARE",
            "secret_",
            "PL/pgSQL",
            "CONTEXT",
            "LINE ",
            "src/",
            ".rs",
            "authenticator",
            jwt::SECRET,
            &database.name,
        ] {
            let own = target.contains(secret);
            assert!(own || !answer.contains(secret), "{target} shows {secret:?}:\n{answer}");
        }
    }
}

#[test]
fn secrets_of_the_configuration_are_not_in_the_log() {
    let (_database, server) =
        start(SCHEMA, |s| s.set("log-level", "debug").set("app.settings.key", "a key of the app"));
    let token = jwt::for_role("ann");
    server.send(&Request::get("/notes").bearer(&token));
    server.send(&Request::get("/nothing").bearer(&token));
    server.send(&Request::get("/notes").bearer(&format!("{token}x")));
    server.wait_for_log(0, "token refused: ");
    let log = server.log();
    for secret in
        [jwt::SECRET, "a key of the app", &token, token.rsplit('.').next().expect("a signature")]
    {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
}

#[test]
fn tokens_of_every_wrong_kind_get_one_answer() {
    // Whether a role exists or a token was once good is not told before the signature holds.
    let (_database, server) = start(SCHEMA, |s| s);
    let key = [b'x'; 40];
    let answers: Vec<String> = [
        json!({"role": "web_anon"}),
        json!({"role": "nobody at all"}),
        json!({"role": "none"}),
        json!({"role": "web_anon", "exp": 1}),
        json!({"role": "web_anon", "aud": 7}),
        json!([1]),
    ]
    .iter()
    .map(|claims| {
        server
            .send(&Request::get("/notes").bearer(&jwt::sign(
                &json!({"alg": "HS256"}),
                claims,
                &key,
            )))
            .text()
    })
    .collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
}
