//! What a token costs, each beside its floor: the bare signature check of the same bytes.
//!
//! `cargo bench --bench auth`

use aws_lc_rs::{hmac, signature};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::Criterion;
use goldenkey::auth::{Authenticator, KeyKind, Settings, SigningKey, keygen};
use goldenkey::http::Headers;
use serde_json::{Map, Value, json};
use std::hint::black_box;

mod brief;

const SECRET: &[u8] = b"a secret for benches, which has more than 32 bytes";
const NOW: i64 = 1_700_000_000;
const DIFFERENT_TOKENS: usize = 100_000;
const CACHED_TOKENS: usize = 1_000;
const CROWD: &str = "100,000 tokens";
const CROWD_UNCACHED: &str = "no cache";
const CROWD_CACHED: &str = "cache of 1,000";

fn claims(number: usize) -> Map<String, Value> {
    let claims = json!({
        "role": "todo_user",
        "sub": format!("user-{number}"),
        "email": "somebody@example.com",
        "iat": NOW - 60,
        "exp": NOW + 3600,
    });
    claims.as_object().expect("it is an object").clone()
}

fn authenticator(secret: &[u8], cache_max_entries: usize) -> Authenticator {
    let settings =
        Settings { secret: Some(secret.to_vec()), cache_max_entries, ..Settings::default() };
    Authenticator::new(settings).expect("the settings are good").0
}

fn headers(token: &str) -> Headers {
    Headers(vec![
        ("Host".to_owned(), "localhost:3000".to_owned()),
        ("Accept".to_owned(), "*/*".to_owned()),
        ("Authorization".to_owned(), format!("Bearer {token}")),
    ])
}

fn authenticate(authenticator: &Authenticator, headers: &Headers) {
    black_box(authenticator.authenticate(black_box(headers), NOW).expect("the token is good"));
}

/// Message and signature of a token.
fn parts(token: &str) -> (&str, Vec<u8>) {
    let (message, signature) = token.rsplit_once('.').expect("there are three parts");
    (message, URL_SAFE_NO_PAD.decode(signature).expect("it is base64url"))
}

fn hs256(c: &mut Criterion) {
    let token = goldenkey::auth::sign(SECRET, &claims(0)).expect("the secret signs");
    let (message, tag) = parts(&token);
    let payload = message.split('.').nth(1).expect("there is a payload");
    let payload = URL_SAFE_NO_PAD.decode(payload).expect("it is base64url");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let headers = headers(&token);

    let mut group = c.benchmark_group("hs256");
    group.bench_function("floor: HMAC", |b| {
        b.iter(|| hmac::verify(&key, black_box(message.as_bytes()), &tag).expect("it is good"));
    });
    group.bench_function("floor: HMAC and JSON parse", |b| {
        b.iter(|| {
            hmac::verify(&key, black_box(message.as_bytes()), &tag).expect("it is good");
            black_box(serde_json::from_slice::<Value>(black_box(&payload)).expect("it is JSON"))
        });
    });
    let uncached = authenticator(SECRET, 0);
    group.bench_function("from scratch", |b| b.iter(|| authenticate(&uncached, &headers)));
    let cached = authenticator(SECRET, CACHED_TOKENS);
    group.bench_function("cached", |b| b.iter(|| authenticate(&cached, &headers)));
    group.finish();
}

fn public_key(c: &mut Criterion, name: &str, kind: KeyKind) {
    let pair = keygen(kind, None).expect("there is randomness");
    let public = pair.public.expect("the kind has public keys");
    let key = SigningKey::parse(pair.private.to_string().as_bytes(), None).expect("it signs");
    let token = key.sign(&claims(0)).expect("it signs");
    let (message, tag) = parts(&token);
    let floor = parsed_key(&public);
    let headers = headers(&token);

    let mut group = c.benchmark_group(name);
    group.bench_function("floor: signature", |b| {
        b.iter(|| floor.verify_sig(black_box(message.as_bytes()), &tag).expect("it is good"));
    });
    let uncached = authenticator(public.to_string().as_bytes(), 0);
    group.bench_function("from scratch", |b| b.iter(|| authenticate(&uncached, &headers)));
    let cached = authenticator(public.to_string().as_bytes(), CACHED_TOKENS);
    group.bench_function("cached", |b| b.iter(|| authenticate(&cached, &headers)));
    group.finish();
}

fn parsed_key(jwk: &Value) -> signature::ParsedPublicKey {
    let member = |name: &str| {
        URL_SAFE_NO_PAD.decode(jwk[name].as_str().expect("it is text")).expect("it is base64url")
    };
    match jwk["kty"].as_str() {
        Some("RSA") => signature::RsaPublicKeyComponents { n: member("n"), e: member("e") }
            .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256),
        Some("EC") => signature::ParsedPublicKey::new(
            &signature::ECDSA_P256_SHA256_FIXED,
            [vec![4], member("x"), member("y")].concat(),
        ),
        _ => signature::ParsedPublicKey::new(&signature::ED25519, member("x")),
    }
    .expect("the key was just made")
}

fn public_keys(c: &mut Criterion) {
    public_key(c, "rs256", KeyKind::Rsa);
    public_key(c, "es256", KeyKind::P256);
    public_key(c, "eddsa", KeyKind::Ed25519);
}

/// Far more tokens than the cache holds, so that nearly each one is verified and pushes
/// another one out.
fn crowd(c: &mut Criterion) {
    let tokens: Vec<Headers> = (0..DIFFERENT_TOKENS)
        .map(|i| headers(&goldenkey::auth::sign(SECRET, &claims(i)).expect("the secret signs")))
        .collect();
    let mut group = c.benchmark_group(CROWD);
    for (name, entries) in [(CROWD_UNCACHED, 0), (CROWD_CACHED, CACHED_TOKENS)] {
        let authenticator = authenticator(SECRET, entries);
        let mut next = tokens.iter().cycle();
        group.bench_function(name, |b| {
            b.iter(|| authenticate(&authenticator, next.next().expect("it never ends")));
        });
    }
    group.finish();
}

/// The kinds of token, and the floor that each stands on.
const KINDS: [(&str, &str); 4] = [
    ("hs256", "floor: HMAC and JSON parse"),
    ("rs256", "floor: signature"),
    ("es256", "floor: signature"),
    ("eddsa", "floor: signature"),
];

/// Prints what was measured as a table.
fn summary() {
    let micros = |group: &str, name: &str| match brief::nanoseconds(group, name) {
        Some(nanoseconds) => format!("{:.2}", nanoseconds / 1e3),
        None => "–".to_owned(),
    };
    println!("\nWhat a token costs, in µs:\n");
    println!("| token | from the cache | from scratch | its floor: signature |");
    println!("| --- | ---: | ---: | ---: |");
    for (kind, floor) in KINDS {
        let (cached, scratch) = (micros(kind, "cached"), micros(kind, "from scratch"));
        println!("| {kind} | {cached} | {scratch} | {} |", micros(kind, floor));
    }
    let (without, with) = (micros(CROWD, CROWD_UNCACHED), micros(CROWD, CROWD_CACHED));
    println!(
        "\n{CROWD} in turn, hs256: {without} with {CROWD_UNCACHED}, {with} with a {CROWD_CACHED}\n"
    );
}

fn main() {
    let mut criterion = brief::criterion();
    hs256(&mut criterion);
    public_keys(&mut criterion);
    crowd(&mut criterion);
    criterion.final_summary();
    summary();
}
