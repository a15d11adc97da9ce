//! Keys from a URL (`jwt-jwks-url`) and of several issuers (`jwt-issuers`): rotation, failures
//! of the key server, and tokens that claim to be from somebody else.

use crate::support::{Database, Server, Settings, janitor, jwt, port, wait_for};
use crate::{SQL, assert_refused, start, whoami};
use goldenkey::auth::{KeyKind, SigningKey, keygen};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The longest that a change of keys takes: a fetch for an unknown `kid` waits 30 seconds
/// after the last one.
const REFRESH_LIMIT: Duration = Duration::from_secs(60);

/// A key pair of somebody who signs tokens.
struct Signer {
    public: Value,
    key: SigningKey,
}

impl Signer {
    fn new(kind: KeyKind, kid: &str) -> Signer {
        let pair = keygen(kind, Some(kid)).expect("a key");
        let key = SigningKey::parse(pair.private.to_string().as_bytes(), None).expect("its key");
        Signer { public: pair.public.expect("a public key"), key }
    }

    fn sign(&self, claims: Value) -> String {
        self.key.sign(claims.as_object().expect("an object")).expect("a token")
    }

    fn token(&self) -> String {
        self.sign(json!({"role": "ann"}))
    }
}

/// An HTTP server with one page, which can be exchanged.
struct KeyServer {
    url: String,
    page: Arc<Mutex<(u16, String)>>,
    fetches: Arc<AtomicUsize>,
}

impl KeyServer {
    fn start(status: u16, body: String) -> KeyServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/keys", listener.local_addr().expect("it is bound"));
        let (page, fetches) = (Arc::new(Mutex::new((status, body))), Arc::new(AtomicUsize::new(0)));
        let (served, counted) = (page.clone(), fetches.clone());
        // It ends with the process; nothing waits for it.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let lines = BufReader::new(&stream).lines();
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                let (status, body) = served.lock().expect("nothing panics with it").clone();
                counted.fetch_add(1, Ordering::SeqCst);
                // A client that has left is fine.
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        KeyServer { url, page, fetches }
    }

    fn serve(&self, status: u16, body: String) {
        *self.page.lock().expect("nothing panics with it") = (status, body);
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

fn set(signers: &[&Signer]) -> String {
    json!({"keys": signers.iter().map(|signer| &signer.public).collect::<Vec<_>>()}).to_string()
}

fn status(server: &Server, token: &str) -> u16 {
    server.send(&whoami().bearer(token)).status
}

/// A server whose only keys are at a URL.
fn start_with_url(url: &str) -> (Database<'static>, Server) {
    start("", |s| s.set("jwt-secret", Value::Null).set("jwt-jwks-url", url))
}

#[test]
fn a_new_key_is_fetched_when_a_token_names_it_and_the_old_one_is_gone() {
    let (old, new) = (Signer::new(KeyKind::P256, "old"), Signer::new(KeyKind::Ed25519, "new"));
    let keys = KeyServer::start(200, set(&[&old]));
    let (_database, server) = start_with_url(&keys.url);
    let (of_old, of_new) = (old.token(), new.token());
    assert_eq!(status(&server, &of_old), 200);
    assert_refused(&server, "an unknown kid", &of_new);
    keys.serve(200, set(&[&new]));
    // Unknown kids, however many, cause a fetch every 30 seconds at most.
    let stranger = Signer::new(KeyKind::P256, "stranger");
    let rotated = wait_for(REFRESH_LIMIT, || {
        assert_eq!(status(&server, &stranger.token()), 401);
        (status(&server, &of_new) == 200).then_some(())
    });
    assert!(rotated.is_some(), "the new key was not fetched: {}", server.log_end());
    assert!(keys.fetches() <= 3, "{} fetches", keys.fetches());
    assert_refused(&server, "a cached token of the old key", &of_old);
}

#[test]
fn keys_stay_when_their_server_fails() {
    let own = Signer::new(KeyKind::P256, "own");
    let keys = KeyServer::start(200, set(&[&own]));
    let (_database, server) = start_with_url(&keys.url);
    assert_eq!(status(&server, &own.token()), 200);
    keys.serve(500, "out of order".to_owned());
    let stranger = Signer::new(KeyKind::P256, "stranger");
    let failed = wait_for(REFRESH_LIMIT, || {
        assert_eq!(status(&server, &stranger.token()), 401);
        (keys.fetches() >= 2).then_some(())
    });
    assert!(failed.is_some(), "nothing was fetched for an unknown kid");
    server.wait_for_log(0, "no keys from");
    assert_eq!(status(&server, &own.sign(json!({"role": "ann", "new": true}))), 200);
}

#[test]
fn without_keys_tokens_wait_and_anonymous_requests_do_not() {
    let own = Signer::new(KeyKind::Rsa, "own");
    let secret = json!({"keys": [{"kty": "oct", "kid": "own", "k": jwt::encode([b'x'; 40])}]});
    for (code, body) in [
        (500, set(&[&own])),
        (200, "no JSON".to_owned()),
        (200, "{}".to_owned()),
        (200, json!({"keys": []}).to_string()),
        (200, json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}).to_string()),
        (200, secret.to_string()),
        (200, format!("{}{}", " ".repeat(2 << 20), set(&[&own]))),
    ] {
        let keys = KeyServer::start(code, body.clone());
        let (_database, server) = start_with_url(&keys.url);
        let token = own.token();
        let got = server.send(&whoami().bearer(&token));
        let what = format!("{code} {:.40}: {}", body.trim(), got.text());
        assert_eq!((got.status, got.code().as_str()), (503, "PGRST300"), "{what}");
        assert!(got.header("Retry-After").is_some());
        assert_eq!(server.send(&whoami()).json()["role"], "web_anon");
        // What everybody can read is no secret to sign with.
        let header = json!({"alg": "HS256", "kid": "own"});
        let forged = jwt::sign(&header, &json!({"role": "ann"}), &[b'x'; 40]);
        assert_ne!(status(&server, &forged), 200, "{what}");
        keys.serve(200, set(&[&own]));
        let fetched = wait_for(REFRESH_LIMIT, || (status(&server, &token) == 200).then_some(()));
        assert!(fetched.is_some(), "{what}: {}", server.log_end());
        assert_ne!(status(&server, &forged), 200, "{what}");
    }
}

#[test]
fn a_key_server_that_is_not_there_keeps_nobody_from_the_rest() {
    let url = format!("http://127.0.0.1:{}/keys", port::free());
    let (_database, server) = start("", |s| s.set("jwt-jwks-url", url));
    // The key of `jwt-secret` is there.
    assert_eq!(status(&server, &jwt::for_role("ann")), 200);
    assert_refused(&server, "another key", &Signer::new(KeyKind::P256, "k").token());
    assert_eq!(status(&server, &jwt::for_role("bob")), 200);
}

#[test]
fn an_address_that_is_none_of_the_web_stops_the_start() {
    for url in
        ["file:///etc/passwd", "/etc/passwd", "ftp://127.0.0.1/keys", "javascript:1", "http//x"]
    {
        let settings =
            Settings::bare().set("db-uri", "postgresql://x@127.0.0.1:9/x").set("jwt-jwks-url", url);
        let mut server = Server::spawn(&settings, &janitor::new_folder("server"));
        let status = server.wait_for_exit(Duration::from_secs(10));
        assert!(status.is_some_and(|status| !status.success()), "{url}: {}", server.log_end());
        assert!(server.log().contains("jwt-jwks-url"), "{url}: {}", server.log_end());
    }
}

#[test]
fn an_issuer_signs_its_own_tokens_and_no_others() {
    let database = crate::Cluster::shared().database(SQL);
    let (a, b) = (Signer::new(KeyKind::P256, "k"), Signer::new(KeyKind::Rsa, "k"));
    let keys = KeyServer::start(200, set(&[&b]));
    let (iss_a, iss_b) = ("https://a.example", "https://b.example/");
    let issuers = json!({
        iss_a: {"keys": a.public, "aud": ["api", "web"], "aud_required": true},
        iss_b: {"jwks_url": keys.url},
    });
    let file = janitor::new_folder("issuers").join("issuers.json");
    std::fs::write(&file, issuers.to_string()).expect("the folder is ours");
    let path = file.to_str().expect("UTF-8");
    let settings = Settings::new(&database).set("jwt-issuers", path);
    let server = Server::start(&settings);
    let claims = |iss: Value| json!({"role": "ann", "iss": iss, "aud": "api"});

    assert_eq!(status(&server, &a.sign(claims(iss_a.into()))), 200);
    assert_eq!(status(&server, &b.sign(claims(iss_b.into()))), 200);
    assert_eq!(status(&server, &jwt::for_role("ann")), 200);
    for (signer, iss) in [
        (&a, json!(iss_b)),
        (&b, json!(iss_a)),
        (&a, json!("https://a.example/")),
        (&a, json!("HTTPS://A.EXAMPLE")),
        (&a, json!(" https://a.example")),
        (&a, json!("https://a.example\0")),
        (&a, json!([iss_a])),
        (&a, json!({"iss": iss_a})),
        (&a, json!(null)),
        (&a, json!("")),
        (&b, json!("https://c.example")),
    ] {
        assert_refused(&server, &format!("iss {iss}"), &signer.sign(claims(iss.clone())));
    }
    // The default secret is not theirs.
    for iss in [iss_a, iss_b] {
        assert_refused(&server, "the default secret", &jwt::token(&claims(iss.into())));
        let public = if iss == iss_a { &a.public } else { &b.public };
        let header = json!({"alg": "HS256", "kid": "k"});
        let confused = jwt::sign(&header, &claims(iss.into()), public.to_string().as_bytes());
        assert_refused(&server, "a public key as secret", &confused);
    }
    for claims in [
        json!({"role": "ann", "iss": iss_a}),
        json!({"role": "ann", "iss": iss_a, "aud": "other"}),
        json!({"role": "ann", "iss": iss_a, "aud": []}),
        json!({"role": "ann", "iss": iss_a, "aud": null}),
    ] {
        let got = assert_refused(&server, &claims.to_string(), &a.sign(claims.clone()));
        assert_eq!(got.json()["message"], "JWT not in audience");
    }
}

#[test]
fn with_issuers_alone_nobody_else_signs() {
    let database = crate::Cluster::shared().database(SQL);
    let a = Signer::new(KeyKind::Ed25519, "k");
    let file = janitor::new_folder("issuers").join("issuers.json");
    let issuers = json!({"https://a.example": {"keys": a.public}});
    std::fs::write(&file, issuers.to_string()).expect("the folder is ours");
    let settings = Settings::new(&database)
        .set("jwt-secret", Value::Null)
        .set("jwt-issuers", file.to_str().expect("UTF-8"));
    let server = Server::start(&settings);
    assert_eq!(status(&server, &a.sign(json!({"role": "ann", "iss": "https://a.example"}))), 200);
    assert_refused(&server, "no issuer", &a.token());
    assert_refused(&server, "an unknown issuer", &a.sign(json!({"role": "ann", "iss": "x"})));
    assert_refused(
        &server,
        "a secret",
        &jwt::token(&json!({"role": "ann", "iss": "https://a.example"})),
    );
}
