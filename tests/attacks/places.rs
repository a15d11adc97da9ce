//! Tokens in places where they do not belong, and more than one of them.

use crate::support::{Request, Server, jwt};
use crate::{start, whoami};
use serde_json::json;

fn role(server: &Server, request: &Request) -> String {
    let got = server.send(request);
    assert_eq!(got.status, 200, "{}", got.text());
    got.json()["role"].as_str().expect("a name").to_owned()
}

#[test]
fn of_two_authorization_headers_only_the_first_counts() {
    assert_first_counts(&start("", |s| s).1);
}

#[test]
fn without_the_gate_the_first_counts_too() {
    assert_first_counts(&start("", |s| s.set("server-gate", false)).1);
}

fn assert_first_counts(server: &Server) {
    let (ann, bob) = (jwt::for_role("ann"), jwt::for_role("bob"));
    // As recorded from PostgREST: never the second one.
    assert_eq!(role(server, &whoami().bearer(&ann).bearer(&bob)), "ann");
    assert_eq!(role(server, &whoami().bearer(&bob).bearer(&ann)), "bob");
    assert_eq!(
        role(server, &whoami().header("authorization", "Basic eDp5").bearer(&bob)),
        "web_anon"
    );
    assert_eq!(role(server, &whoami().header("AUTHORIZATION", "").bearer(&bob)), "web_anon");
    let forged = jwt::sign(&json!({"alg": "HS256"}), &json!({"role": "bob"}), &[b'x'; 40]);
    let got = server.send(&whoami().bearer(&forged).bearer(&ann));
    assert_eq!(got.status, 401, "{}", got.text());
}

#[test]
fn a_token_elsewhere_is_none() {
    let (_database, server) = start("", |s| s);
    let (_strict_database, strict) = start("", |s| s.set("db-anon-role", serde_json::Value::Null));
    let token = jwt::for_role("ann");
    let bearer = format!("Bearer {token}");
    let requests = [
        whoami().header("X-Authorization", &bearer),
        whoami().header("Proxy-Authorization", &bearer),
        whoami().header("X-Forwarded-Authorization", &bearer),
        whoami().header("X-Access-Token", &token),
        whoami().header("Authentication", &bearer),
        whoami().header("Authorization-", &bearer),
        whoami().header("Authorization_", &bearer),
        whoami().header("X-Forwarded-User", "ann"),
        whoami().header("X-Role", "ann"),
        whoami().header("Role", "ann"),
        whoami().header("request.jwt.claims", "{\"role\":\"ann\"}"),
        whoami().header("Cookie", &format!("Authorization={bearer}")),
        whoami().header("Cookie", &format!("token={token}; access_token={token}; jwt={token}")),
        whoami().header("Prefer", &format!("token={token}")),
        whoami().header("Authorization", &format!("Token {token}")),
        whoami().header("Authorization", &format!("JWT {token}")),
        whoami().header("Authorization", &format!("Bearer{token}")),
        whoami().header("Authorization", &format!("Bearer,{token}")),
        whoami().header("Authorization", &format!("Bearer: {token}")),
        whoami().header("Authorization", &format!("Basic {token}, Bearer {token}")),
        whoami().header("Authorization", &format!("\u{feff}Bearer {token}")),
        whoami().header("Authorization", &token),
    ];
    for request in requests {
        assert_eq!(role(&server, &request), "web_anon", "{:?}", request.headers);
        let got = strict.send(&request);
        assert_eq!((got.status, got.code().as_str()), (401, "PGRST302"), "{:?}", request.headers);
    }
}

#[test]
fn a_token_in_the_target_is_none_and_its_signature_stays_out_of_the_log() {
    let (_database, server) = start("", |s| s);
    let token = jwt::for_role("ann");
    let signature = token.rsplit('.').next().expect("a signature");
    for path in [
        format!("/whoami?access_token={token}"),
        format!("/whoami?Authorization=Bearer%20{token}"),
        format!("/whoami?role=eq.ann&token=eq.{token}"),
        format!("/{token}"),
        format!("/whoami;jwt={token}"),
        format!("/rpc/{token}"),
    ] {
        let got = server.send(&Request::get(&path));
        assert!(matches!(got.status, 400..=404), "{path}: {} {}", got.status, got.text());
    }
    server.wait_for_log(0, "GET /rpc/");
    let log = server.log();
    assert!(log.contains("GET /whoami?access_token="), "{log}");
    assert!(!log.contains(signature), "the signature is in the log:\n{log}");
}

#[test]
fn a_folded_or_split_header_is_no_way_in() {
    let (_database, server) = start("", |s| s);
    let token = jwt::for_role("ann");
    for head in [
        format!("Authorization: Bearer\r\n {token}"),
        format!("Authorization : Bearer {token}"),
        format!(" Authorization: Bearer {token}"),
        format!("X: y\nAuthorization: Bearer {token}"),
        format!("X: y\rAuthorization: Bearer {token}"),
        format!("X: y\0\r\nAuthorization: Bearer {token}"),
        format!("Authorization\0: Bearer {token}"),
    ] {
        let request = format!("GET /whoami HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n");
        let mut connection = server.connect();
        connection.write(request.as_bytes()).expect("the server reads");
        let got = connection.read("GET").expect("an answer");
        assert_eq!(got.status, 400, "{head:?}: {}", got.text());
    }
}

#[test]
fn a_token_names_no_role_that_the_server_may_not_enter() {
    let (_database, server) = start(
        "do $$ begin create role stranger nologin; exception when duplicate_object then null; end $$;
         grant select on api.whoami to stranger;",
        |s| s.set("db-pool", 1),
    );
    let long = "ann".repeat(100);
    for name in [
        "stranger",
        "postgres",
        "pg_read_all_data",
        "pg_signal_backend",
        "none",
        "NONE",
        "None",
        "public",
        "session_user",
        "current_user",
        "default",
        "",
        " ",
        " ann",
        "ann ",
        "ANN",
        "\"ann\"",
        "'ann'",
        "ann\0",
        "\0ann",
        "ann\0bob",
        "ann; set role bob",
        "ann'; --",
        "ann\\",
        "\\'",
        "o\"dd",
        &long,
    ] {
        for _ in 0..2 {
            let got = server.send(&whoami().bearer(&jwt::for_role(name)));
            assert!(matches!(got.status, 401 | 403), "{name:?}: {} {}", got.status, got.text());
        }
    }
    for value in [json!(7), json!(true), json!(null), json!(["ann"]), json!({"role": "ann"})] {
        let got = server.send(&whoami().bearer(&jwt::token(&json!({"role": value}))));
        assert_eq!(got.status, 401, "{value}: {}", got.text());
    }
    let odd = "o\"dd ' \\role";
    assert_eq!(role(&server, &whoami().bearer(&jwt::for_role(odd))), odd);
    assert_eq!(role(&server, &whoami()), "web_anon");
}
