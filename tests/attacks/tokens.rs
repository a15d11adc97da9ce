//! Forged and malformed tokens. Where PostgREST's behaviour was recorded, it is the measure:
//! see `auth-*.json` in the conformance corpus.

use crate::support::{Server, jwt};
use crate::{assert_refused, start, whoami};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE};
use goldenkey::auth::{KeyKind, SigningKey, keygen};
use serde_json::{Map, Value, json};

const SECRET: &[u8] = jwt::SECRET.as_bytes();

fn claims() -> Value {
    json!({"role": "ann", "sub": "ann"})
}

/// A token with a good signature over a header and claims that are any text.
fn signed_text(header: &str, claims: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
    let signed = format!("{}.{}", jwt::encode(header), jwt::encode(claims));
    let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", jwt::encode(tag.as_ref()))
}

fn with_header(header: Value) -> String {
    jwt::sign(&header, &claims(), SECRET)
}

/// Header and claims, and the signature, of a good token.
fn good_parts() -> (String, String) {
    let good = jwt::token(&claims());
    let (message, signature) = good.rsplit_once('.').expect("a token has dots");
    (message.to_owned(), signature.to_owned())
}

/// The good token is still good: the attacks broke nothing.
fn assert_accepts(server: &Server, token: &str) {
    let got = server.send(&whoami().bearer(token));
    assert_eq!((got.status, &got.json()["role"]), (200, &json!("ann")), "{}", got.text());
}

#[test]
fn alg_none_is_refused_in_every_spelling() {
    let (_database, server) = start("", |s| s);
    let (_, signature) = good_parts();
    for name in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "nonE",
        " none",
        "none ",
        "none\t",
        "n\u{f6}ne",
        "",
        "null",
        "HS0",
        "plain",
        "none,HS256",
        "\u{ff4e}one",
        "none\0",
    ] {
        let header = jwt::encode(json!({"alg": name}).to_string());
        let message = format!("{header}.{}", jwt::encode(claims().to_string()));
        for token in
            [format!("{message}."), format!("{message}.{signature}"), format!("{message}.AA")]
        {
            assert_refused(&server, &format!("alg {name:?}"), &token);
        }
    }
    for alg in [
        json!(null),
        json!(["none"]),
        json!(["HS256"]),
        json!(0),
        json!({"a": "none"}),
        json!(false),
    ] {
        assert_refused(&server, &format!("alg {alg}"), &with_header(json!({"alg": alg})));
    }
    for header in [
        r#"{"alg":"\u006eone"}"#,
        r#"{"ALG":"none"}"#,
        r#"{"Alg":"HS256"}"#,
        "{}",
        r#"{"typ":"JWT"}"#,
    ] {
        assert_refused(&server, header, &signed_text(header, &claims().to_string()));
    }
    assert_accepts(&server, &jwt::token(&claims()));
}

#[test]
fn an_hmac_with_the_public_key_as_its_secret_is_refused() {
    for kind in [KeyKind::Rsa, KeyKind::P256, KeyKind::P384, KeyKind::Ed25519] {
        let pair = keygen(kind, Some("k1")).expect("a key");
        let public = pair.public.expect("a public key");
        let (_database, server) = start("", |s| s.set("jwt-secret", public.to_string()));
        let mut secrets = vec![public.to_string(), format!("{public}\n"), format!("{public:#}")];
        secrets
            .extend(["n", "x"].iter().filter_map(|name| Some(public[name].as_str()?.to_owned())));
        for secret in &secrets {
            for alg in ["HS256", "HS384", "HS512"] {
                for header in [json!({"alg": alg}), json!({"alg": alg, "kid": "k1"})] {
                    let token = jwt::sign(&header, &claims(), secret.as_bytes());
                    assert_refused(&server, &format!("{kind:?} {header}"), &token);
                }
            }
        }
        let key = SigningKey::parse(pair.private.to_string().as_bytes(), None).expect("its key");
        assert_accepts(&server, &key.sign(&object(&claims())).expect("a token"));
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

#[test]
fn a_kid_is_a_name_and_nothing_else() {
    let keys = json!({"keys": [{"kty": "oct", "kid": "a", "k": jwt::encode(SECRET)}]});
    let (_database, server) = start("", |s| s.set("jwt-secret", keys.to_string()));
    assert_accepts(&server, &with_header(json!({"alg": "HS256", "kid": "a"})));
    let huge = "k".repeat(10_000);
    for kid in [
        "",
        "b",
        "A",
        "a ",
        "a\0",
        "a\n",
        "../../../../dev/null",
        "/dev/null",
        "/proc/self/environ",
        "file:///etc/passwd",
        "http://127.0.0.1:9/key",
        "a' or '1'='1",
        "'; drop role ann; --",
        "$(id)",
        "`id`",
        "%s%n",
        "*",
        "?",
        "\u{1b}[31m\r\nforged: line",
        "\u{202e}a",
        &huge,
    ] {
        let token = with_header(json!({"alg": "HS256", "kid": kid}));
        assert_refused(&server, &format!("kid {kid:.40?}"), &token);
    }
    // The secrets that those names might stand for.
    for (kid, secret) in [("/dev/null", ""), ("../../dev/null", "\0"), ("a", "a"), ("a", "")] {
        let token = jwt::sign(&json!({"alg": "HS256", "kid": kid}), &claims(), secret.as_bytes());
        assert_refused(&server, &format!("kid {kid:?} for {secret:?}"), &token);
    }
    for kid in [json!(0), json!(["a"]), json!({"a": "a"}), json!(true)] {
        assert_refused(
            &server,
            &format!("kid {kid}"),
            &with_header(json!({"alg": "HS256", "kid": kid})),
        );
    }
    let log = server.log();
    assert!(!log.lines().any(|line| line.starts_with("forged")), "a kid makes a line of the log");
    assert!(!log.contains('\u{1b}'), "a kid's escape sequence is in the log");
}

#[test]
fn extensions_that_must_be_understood_are_refused() {
    let (_database, server) = start("", |s| s);
    for crit in [
        json!(["exp"]),
        json!(["b64"]),
        json!(["x"]),
        json!([]),
        json!(null),
        json!("b64"),
        json!(false),
    ] {
        let header = json!({"alg": "HS256", "crit": crit, "b64": false, "x": 1});
        assert_refused(&server, &format!("crit {crit}"), &with_header(header));
    }
    // RFC 7797: the payload stands there as it is.
    let message = format!("{}.{}", jwt::encode(r#"{"alg":"HS256","b64":false}"#), claims());
    assert_refused(&server, "an unencoded payload", &format!("{message}.{}", good_parts().1));
    // RFC 7516: encrypted tokens have five parts.
    assert_refused(&server, "an encrypted token", "eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFnZ2dnZ2dn");
}

#[test]
fn keys_that_a_token_brings_along_are_not_used() {
    for kind in [KeyKind::Rsa, KeyKind::P256, KeyKind::Ed25519] {
        let own = keygen(kind, Some("k1")).expect("a key").public.expect("a public key");
        let forger = keygen(kind, Some("k1")).expect("a key");
        let (_database, server) = start("", |s| s.set("jwt-secret", own.to_string()));
        let key = SigningKey::parse(forger.private.to_string().as_bytes(), None).expect("its key");
        let token = key.sign(&object(&claims())).expect("a token");
        assert_refused(&server, "another key of the same kid", &token);
        let public = forger.public.expect("a public key");
        let signature = token.rsplit('.').next().expect("a signature");
        for member in [
            json!({"jwk": public}),
            json!({"jku": "http://127.0.0.1:9/keys.json"}),
            json!({"x5u": "http://127.0.0.1:9/cert.pem", "x5t": "AAAA"}),
            json!({"x5c": ["MIIBszCCAVmgAwIBAgIUX"]}),
        ] {
            let mut header = object(&json!({"alg": public["alg"], "kid": "k1"}));
            header.extend(object(&member));
            let header = jwt::encode(Value::Object(header).to_string());
            let token = format!("{header}.{}.{signature}", jwt::encode(claims().to_string()));
            assert_refused(&server, &member.to_string(), &token);
        }
    }
    // A symmetric key, and a URL that would be seen to be fetched.
    let (_database, server) = start("", |s| s);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let forged = b"a secret that the token brings along";
    for header in [
        json!({"alg": "HS256", "jwk": {"kty": "oct", "k": jwt::encode(forged)}}),
        json!({"alg": "HS256", "jku": format!("http://{address}/keys")}),
        json!({"alg": "HS256", "x5u": format!("http://{address}/cert")}),
    ] {
        let token = jwt::sign(&header, &claims(), forged);
        assert_refused(&server, &header.to_string(), &token);
    }
    listener.set_nonblocking(true).expect("a socket of ours");
    assert!(listener.accept().is_err(), "the server asked the address in a token");
}

#[test]
fn a_name_that_is_there_twice_gains_nothing() {
    let (_database, server) = start("", |s| s);
    for header in [
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"HS256","crit":[],"crit":[]}"#,
    ] {
        assert_refused(&server, header, &signed_text(header, &claims().to_string()));
    }
    // PostgREST takes the first of equal claims, and so must everybody behind it.
    for text in [
        r#"{"role":"ann","role":"bob","sub":"first","sub":"second"}"#,
        r#"{"role":"ann","\u0072ole":"bob","sub":"first","s\u0075b":"second"}"#,
    ] {
        let got = server.send(&whoami().bearer(&signed_text(r#"{"alg":"HS256"}"#, text))).json();
        assert_eq!(got["role"], "ann", "{got}");
        assert_eq!(got["claims"], json!({"role": "ann", "sub": "first"}), "{text}");
        assert_eq!(got["sub"], "first", "{text}");
    }
    let expired = r#"{"role":"ann","exp":1,"exp":99999999999}"#;
    assert_refused(&server, "a second exp", &signed_text(r#"{"alg":"HS256"}"#, expired));
}

#[test]
fn huge_and_deep_tokens_are_refused_and_cost_little() {
    let (_database, server) = start("", |s| s);
    let header = r#"{"alg":"HS256"}"#;
    for levels in [100, 2_000, 5_000] {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let deep = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            if deep.len() > 11_000 {
                continue;
            }
            let what = format!("{levels} levels of {open}");
            let claims = format!(r#"{{"role":"ann","x":{deep}}}"#);
            assert_refused(&server, &what, &signed_text(header, &claims));
            let header = format!(r#"{{"alg":"none","x":{deep}}}"#);
            assert_refused(&server, &format!("{what} in the header"), &signed_text(&header, "{}"));
        }
    }
    let huge = signed_text(header, &format!(r#"{{"role":"ann","x":"{}"}}"#, "x".repeat(13_000)));
    assert!(huge.len() > goldenkey::auth::MAX_TOKEN_BYTES);
    assert_refused(&server, "a payload of 13 kB", &huge);
    let many_dots = ".".repeat(10_000);
    assert_refused(&server, "10,000 dots", &many_dots);
    for megabytes in [1, 4] {
        let token = "x".repeat(megabytes << 20);
        let got = server.send(&whoami().bearer(&token));
        assert_eq!(got.status, 431, "{megabytes} MB: {}", got.text());
    }
    assert_accepts(&server, &jwt::token(&claims()));
}

#[test]
fn a_token_has_one_spelling() {
    let (_database, server) = start("", |s| s);
    let (message, signature) = good_parts();
    let (header, payload) = message.split_once('.').expect("two parts");
    let pad = |part: &str| format!("{part}{}", "=".repeat((4 - part.len() % 4) % 4));
    let other_alphabet = |part: &str| part.replace('-', "+").replace('_', "/");
    let mut variants = vec![
        ("padded signature", format!("{message}.{}", pad(&signature))),
        ("padded signature, once more", format!("{message}.{signature}==")),
        ("padded header", format!("{}=.{payload}.{signature}", header)),
        ("padded payload", format!("{header}.{payload}=.{signature}")),
        ("a stray plus", format!("{message}.{}+", other_alphabet(&signature))),
        ("a space in it", format!("{header}.{payload} .{signature}")),
        ("a space before a part", format!("{header}. {payload}.{signature}")),
        ("a word behind it", format!("{message}.{signature} more")),
        ("a comma behind it", format!("{message}.{signature},")),
        ("two tokens", format!("{message}.{signature}, {message}.{signature}")),
        ("quotes", format!("\"{message}.{signature}\"")),
        ("the scheme twice", format!("Bearer {message}.{signature}")),
        ("a percent sign", format!("{header}%2E{payload}%2E{signature}")),
        ("a letter beyond ASCII", format!("{message}.{signature}\u{e9}")),
        ("an invisible letter", format!("{message}.{signature}\u{200b}")),
        ("an empty signature", format!("{message}.")),
        ("no signature", message.clone()),
        ("an empty payload", format!("{header}..{signature}")),
        ("an empty header", format!(".{payload}.{signature}")),
        ("a dot behind it", format!("{message}.{signature}.")),
        ("a dot before it", format!(".{message}.{signature}")),
        ("a fourth part", format!("{message}.{signature}.{signature}")),
        ("parts in another order", format!("{payload}.{header}.{signature}")),
        ("one letter less", format!("{message}.{}", &signature[..signature.len() - 1])),
        ("four letters less", format!("{message}.{}", &signature[..signature.len() - 4])),
        ("one letter more", format!("{message}.{signature}A")),
        ("two letters more", format!("{message}.{signature}AA")),
        ("four letters more", format!("{message}.{signature}AAAA")),
        ("the signature twice", format!("{message}.{signature}{signature}")),
        ("a signature of zeros", format!("{message}.{}", jwt::encode([0; 32]))),
        ("only dots", "..".to_owned()),
    ];
    // A signature of 32 bytes leaves two bits of its last letter unused.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(signature.chars().last().expect("a letter")).expect("base64url");
    for stray in 1..4 {
        let kept = &signature[..signature.len() - 1];
        variants.push((
            "stray bits",
            format!("{message}.{kept}{}", &alphabet[last + stray..=last + stray]),
        ));
    }
    for (what, variant) in &variants {
        assert_refused(&server, what, variant);
    }
    // The same message in the alphabet or with the padding of ordinary base64, and signed so.
    let odd = json!({"role": "ann", "sub": "\u{3fe}\u{3ff}???>>>~~~"});
    for engine in [&BASE64_STANDARD, &BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE] {
        let message =
            format!("{}.{}", engine.encode(r#"{"alg":"HS256"}"#), engine.encode(odd.to_string()));
        if !message.contains(['+', '/', '=']) {
            continue;
        }
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
        let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
        let token = format!("{message}.{}", jwt::encode(tag.as_ref()));
        assert_refused(&server, "another base64", &token);
    }
    assert_accepts(&server, &jwt::token(&claims()));
}

#[test]
fn signatures_of_any_other_length_or_content_are_refused() {
    for kind in [KeyKind::Rsa, KeyKind::P256, KeyKind::P384, KeyKind::Ed25519] {
        let pair = keygen(kind, Some("k1")).expect("a key");
        let public = pair.public.expect("a public key").to_string();
        let (_database, server) = start("", |s| s.set("jwt-secret", public));
        let key = SigningKey::parse(pair.private.to_string().as_bytes(), None).expect("its key");
        let good = key.sign(&object(&claims())).expect("a token");
        assert_accepts(&server, &good);
        let (message, signature) = good.rsplit_once('.').expect("a token has dots");
        // CVE-2022-21449: a signature of zeros was good for every message.
        for length in [0, 1, 32, 63, 64, 65, 96, 97, 128, 255, 256, 257, 512, 1024, 1025, 4096] {
            for byte in [0, 1, 0xff] {
                let token = format!("{message}.{}", jwt::encode(vec![byte; length]));
                assert_refused(&server, &format!("{kind:?}: {length} times {byte}"), &token);
            }
        }
        let raw = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let variants =
            [raw[..raw.len() - 1].to_vec(), [&raw[..], &[0]].concat(), [&[0], &raw[..]].concat()];
        for variant in variants {
            assert_refused(
                &server,
                &format!("{kind:?}"),
                &format!("{message}.{}", jwt::encode(variant)),
            );
        }
        // Somebody else's claims under a good signature.
        let header = message.split('.').next().expect("a header");
        let other = jwt::encode(json!({"role": "bob"}).to_string());
        assert_refused(&server, "other claims", &format!("{header}.{other}.{signature}"));
    }
}

#[test]
fn claims_that_are_no_object_or_no_text_are_refused() {
    let (_database, server) = start("", |s| s);
    for claims in [
        "",
        "null",
        "[]",
        "\"ann\"",
        "7",
        "{",
        "{}x",
        "{'role':'ann'}",
        r#"{"role":"ann",}"#,
        r#"{"role":"\ud800"}"#,
    ] {
        assert_refused(&server, claims, &signed_text(r#"{"alg":"HS256"}"#, claims));
    }
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
    for bytes in [
        &b"{\"role\":\"ann\",\"x\":\"\xff\"}"[..],
        b"\xef\xbb\xbf{\"role\":\"ann\"}",
        b"{\"role\":\"ann\"}\0",
    ] {
        let message = format!("{}.{}", jwt::encode(r#"{"alg":"HS256"}"#), jwt::encode(bytes));
        let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
        assert_refused(
            &server,
            &format!("{bytes:?}"),
            &format!("{message}.{}", jwt::encode(tag.as_ref())),
        );
    }
}

#[test]
fn time_claims_cannot_be_talked_round() {
    let (_database, server) = start("", |s| s);
    let now = jwt::now();
    for claim in [
        json!({"exp": now - 31}),
        json!({"exp": 0}),
        json!({"exp": -1}),
        json!({"exp": "soon"}),
        json!({"exp": "-1"}),
        json!({"exp": true}),
        json!({"exp": [now + 100]}),
        json!({"exp": (now - 31).to_string()}),
        json!({"nbf": now + 60}),
        json!({"nbf": 1e300}),
        json!({"iat": now + 60}),
        json!({"iat": i64::MAX}),
        json!({"aud": 7}),
        json!({"aud": [[]]}),
    ] {
        let mut all = object(&claims());
        all.extend(object(&claim));
        assert_refused(&server, &claim.to_string(), &jwt::token(&Value::Object(all)));
    }
    for exp in ["1e400", "-1e400", "1e-400", "00", "0x7fffffff", "1_000", "NaN", "Infinity"] {
        let text = format!(r#"{{"role":"ann","exp":{exp}}}"#);
        assert_refused(&server, exp, &signed_text(r#"{"alg":"HS256"}"#, &text));
    }
}
