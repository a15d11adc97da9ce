//! Attacks on tokens. Each must be refused.

use super::test_tokens::*;
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const GOOD: &str = r#"{"role":"reader"}"#;

fn message_of(token: &str) -> String {
    message(try_token(&with_secret(SECRET), token))
}

fn public_and_private(kind: KeyKind) -> (Value, SigningKey) {
    let pair = keygen(kind, Some("k1")).unwrap();
    let key = SigningKey::parse(pair.private.to_string().as_bytes(), None).unwrap();
    (pair.public.unwrap(), key)
}

fn claims() -> serde_json::Map<String, Value> {
    json!({"role": "reader"}).as_object().unwrap().clone()
}

#[test]
fn alg_none_is_refused_in_every_spelling() {
    for spelling in ["none", "None", "NONE", "nOnE", "none ", "", "\\u006eone", "no\\u006ee"] {
        let header = format!(r#"{{"alg":"{spelling}"}}"#);
        let signed = token(&header, GOOD);
        let (unsigned, _) = signed.rsplit_once('.').unwrap();
        for token in [signed.clone(), format!("{unsigned}.")] {
            let message = message_of(&token);
            let expected =
                ["Wrong or unsupported encoding algorithm", "JWT cryptographic operation failed"];
            assert!(expected.contains(&message.as_str()), "{spelling}: {message}");
        }
    }
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    for kind in [KeyKind::Rsa, KeyKind::P256, KeyKind::Ed25519] {
        let (public, _) = public_and_private(kind);
        let authenticator = with_secret(public.to_string());
        let mut secrets = vec![public.to_string().into_bytes()];
        for name in ["n", "x"] {
            secrets.extend(public[name].as_str().map(|text| text.as_bytes().to_vec()));
        }
        for secret in secrets {
            for header in [HS256, r#"{"alg":"HS256","kid":"k1"}"#] {
                let token = token_with_secret(&secret, header, GOOD);
                assert!(details(try_token(&authenticator, &token)).contains("No suitable key"));
            }
        }
    }
}

#[test]
fn a_key_serves_only_its_own_algorithms() {
    let (mut public, key) = public_and_private(KeyKind::Rsa);
    let token = key.sign(&claims()).unwrap();
    assert!(try_token(&with_secret(public.to_string()), &token).is_ok());
    public["alg"] = "RS512".into();
    assert!(details(try_token(&with_secret(public.to_string()), &token)).contains("suitable"));
    for header in [r#"{"alg":"HS384"}"#, r#"{"alg":"HS512"}"#, r#"{"alg":"RS256"}"#] {
        let text =
            details(try_token(&with_secret(SECRET), &super::test_tokens::token(header, GOOD)));
        assert!(text.contains("No suitable key"), "{header}");
    }
}

#[test]
fn a_kid_selects_and_does_nothing_else() {
    let set = json!({"keys": [
        {"kty": "oct", "kid": "a", "k": encode(SECRET)},
        {"kty": "oct", "kid": "b", "k": encode([b'x'; 40])},
        {"kty": "oct", "k": encode([b'y'; 40])},
    ]});
    let authenticator = with_secret(set.to_string());
    let with_kid = |kid: Value| token(&json!({"alg": "HS256", "kid": kid}).to_string(), GOOD);
    assert!(try_token(&authenticator, &with_kid("a".into())).is_ok());
    assert!(try_token(&authenticator, &with_kid(Value::Null)).is_ok());
    assert!(details(try_token(&authenticator, &with_kid("b".into()))).contains("None of the keys"));
    for unknown in ["", "c", "A", "a ", "../../dev/null", "a' or '1'='1", "a\0"] {
        let text = details(try_token(&authenticator, &with_kid(unknown.into())));
        assert!(text.contains("No suitable key"), "{unknown}");
    }
    for malformed in [json!(5), json!(["a"]), json!({"a": 1}), json!(true)] {
        let message = message(try_token(&authenticator, &with_kid(malformed)));
        assert_eq!(message, "JWT cryptographic operation failed");
    }
}

#[test]
fn extensions_that_must_be_understood_are_refused() {
    for crit in [r#"["exp"]"#, r#"["b64"]"#, "[]", "null", "true"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit},"b64":false}}"#);
        assert_eq!(message_of(&token(&header, GOOD)), "JWT cryptographic operation failed");
    }
}

#[test]
fn keys_that_a_token_brings_along_are_not_looked_at() {
    let (public, key) = public_and_private(KeyKind::Rsa);
    let signature = key.sign(&claims()).unwrap().rsplit('.').next().unwrap().to_owned();
    for header in [
        json!({"alg": "RS256", "jwk": public}),
        json!({"alg": "RS256", "jku": "http://127.0.0.1:9/keys", "kid": "k1"}),
        json!({"alg": "RS256", "x5u": "http://127.0.0.1:9/cert"}),
        json!({"alg": "RS256", "x5c": ["MIIB"]}),
        json!({"alg": "HS256", "jwk": {"kty": "oct", "k": encode([b'x'; 40])}}),
    ] {
        let token = format!("{}.{}.{signature}", encode(header.to_string()), encode(GOOD));
        let text = details(try_token(&with_secret(SECRET), &token));
        assert!(text.contains("No suitable key") || text.contains("None of the keys"), "{header}");
    }
}

#[test]
fn of_a_claim_that_is_there_twice_the_first_counts_everywhere() {
    let claims = r#"{"role":"reader","role":"admin","o":{"k":1,"k":2},"exp":9999999999,"exp":1}"#;
    let identity = try_claims(&with_secret(SECRET), claims).unwrap();
    assert_eq!(identity.role, "reader");
    assert_eq!(identity.claims_json, r#"{"exp":9999999999,"o":{"k":1},"role":"reader"}"#);
    // The same name in another spelling.
    let claims = r#"{"role":"reader","\u0072ole":"admin"}"#;
    let identity = try_claims(&with_secret(SECRET), claims).unwrap();
    assert_eq!(identity.claims_json, r#"{"role":"reader"}"#);
    assert_eq!(
        message(try_claims(&with_secret(SECRET), r#"{"exp":1,"exp":9999999999}"#)),
        "JWT expired"
    );
}

#[test]
fn a_header_that_says_something_twice_is_refused() {
    for header in [
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"HS256","\u0061lg":"HS256"}"#,
    ] {
        assert_eq!(message_of(&token(header, GOOD)), "JWT cryptographic operation failed");
    }
}

#[test]
fn headers_that_are_no_objects_are_refused() {
    for header in ["", "HS256", "[]", "null", r#""HS256""#, r#"{"alg":5}"#, r#"{"typ":"JWT"}"#, "{"]
    {
        assert_eq!(message_of(&token(header, GOOD)), "JWT cryptographic operation failed");
    }
}

#[test]
fn deep_and_huge_tokens_are_refused() {
    let deep = |levels: usize| format!(r#"{{"a":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let authenticator = with_secret(SECRET);
    assert!(try_claims(&authenticator, &deep(60)).is_ok());
    assert_eq!(message(try_claims(&authenticator, &deep(5000))), "Parsing claims failed");
    let deep_header = format!(r#"{{"alg":"HS256","x":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let _ = try_token(&authenticator, &token(&deep_header, GOOD));
    let huge = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_TOKEN_BYTES));
    assert_eq!(message(try_claims(&authenticator, &huge)), "JWT cryptographic operation failed");
}

#[test]
fn a_token_has_one_spelling_only() {
    let good = token(HS256, GOOD);
    assert!(try_token(&with_secret(SECRET), &good).is_ok());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let mut variants = vec![
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}={signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}.{signature} more"),
        format!("{header}.{payload}.{signature}\n"),
        format!("{header}. {payload}.{signature}"),
        format!("{header}.{payload}.{}", signature.replace('_', "/").replace('-', "+") + "+"),
        format!("{header}.{payload}.{}", &signature[..signature.len() - 1]),
        format!("{header}.{payload}.{signature}A"),
        format!("{header}.{payload}.{signature}AAAA"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}."),
        format!("{header}.{payload}.{signature}.x"),
        format!("{header}.{payload}.{signature}.x.y"),
    ];
    // The last letter of a signature of 32 bytes has two bits that stand for nothing.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(signature.chars().last().unwrap()).unwrap();
    for stray in 1..4 {
        let letter = &alphabet[last + stray..=last + stray];
        variants.push(format!("{message}.{}{letter}", &signature[..signature.len() - 1]));
    }
    for variant in variants {
        let error = refusal(try_token(&with_secret(SECRET), &variant));
        assert_eq!((error.status(), error.code()), (401, "PGRST301"), "{variant}");
    }
}

#[test]
fn the_number_of_parts_is_told() {
    for (token, parts) in [("x", 1), ("a.b", 2), ("a.b.c.d", 4), ("a.b.c.d.e", 5), ("....", 5)] {
        assert_eq!(message_of(token), format!("Expected 3 parts in JWT; got {parts}"));
    }
}

#[test]
fn signatures_of_the_wrong_length_are_refused_by_every_family() {
    for kind in [KeyKind::Rsa, KeyKind::P256, KeyKind::P384, KeyKind::Ed25519] {
        let (public, key) = public_and_private(kind);
        let authenticator = with_secret(public.to_string());
        let good = key.sign(&claims()).unwrap();
        assert!(try_token(&authenticator, &good).is_ok());
        let (message, _) = good.rsplit_once('.').unwrap();
        for length in [0, 1, 31, 32, 33, 63, 64, 65, 96, 128, 255, 256, 257, 512, 1024, 1025, 2000]
        {
            for byte in [0, 1, 0xff] {
                let token = format!("{message}.{}", encode(vec![byte; length]));
                refusal(try_token(&authenticator, &token));
            }
        }
    }
}

#[test]
fn an_issuers_key_is_good_for_its_own_tokens_only() {
    let (a, key_a) = public_and_private(KeyKind::P256);
    let (b, key_b) = public_and_private(KeyKind::P256);
    let issuers = json!({
        "https://a.example": {"keys": a, "aud": ["api", "web"], "aud_required": true},
        "https://b.example": {"keys": {"keys": [b]}},
    });
    let settings = Settings { issuers: Some(issuers.to_string()), ..settings() };
    let (authenticator, _) = Authenticator::new(settings).unwrap();
    let claims =
        |iss: &str| json!({"role": "r", "iss": iss, "aud": "api"}).as_object().unwrap().clone();
    let from =
        |key: &SigningKey, iss: &str| try_token(&authenticator, &key.sign(&claims(iss)).unwrap());
    let (iss_a, iss_b) = ("https://a.example", "https://b.example");

    assert!(from(&key_a, iss_a).is_ok());
    assert!(from(&key_b, iss_b).is_ok());
    refusal(from(&key_a, iss_b));
    refusal(from(&key_b, iss_a));
    refusal(from(&key_a, "https://c.example"));
    // The default secret signs for those who are not listed, and for nobody else.
    let secret = |claims: String| try_token(&authenticator, &token(HS256, &claims));
    assert!(secret(r#"{"role":"r"}"#.to_owned()).is_ok());
    assert!(secret(r#"{"role":"r","iss":"https://c.example"}"#.to_owned()).is_ok());
    refusal(secret(format!(r#"{{"role":"r","iss":"{iss_a}"}}"#)));
    refusal(secret(format!(r#"{{"role":"r","iss":"{iss_a}","iss":"x"}}"#)));
    // Audiences are the issuer's own.
    let nobody = json!({"role": "r", "iss": iss_a}).as_object().unwrap().clone();
    assert_eq!(
        message(try_token(&authenticator, &key_a.sign(&nobody).unwrap())),
        "JWT not in audience"
    );
}

#[test]
fn issuers_without_good_keys_stop_the_start() {
    for issuers in [
        "[]",
        r#"{"x":{}}"#,
        r#"{"x":{"keys":{"keys":[{"kty":"RSA"}]}}}"#,
        r#"{"x":{"keys":{"kty":"oct","k":"c2hvcnQ"}}}"#,
        r#"{"x":{"jwks_url":"ftp://example.com/keys"}}"#,
        r#"{"x":{"keys":{"keys":[]},"unknown":1}}"#,
    ] {
        let settings = Settings { issuers: Some(issuers.to_owned()), ..settings() };
        let error = Authenticator::new(settings).expect_err(issuers).to_string();
        assert!(error.contains("jwt-"), "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_panics_or_authenticates(text in "\\PC{0,200}") {
        prop_assert!(try_token(&with_secret(SECRET), &text).is_err());
    }

    #[test]
    fn no_header_panics_or_authenticates_what_it_did_not_sign(
        header in "\\PC{0,60}", payload in "\\PC{0,60}", tag in prop::collection::vec(any::<u8>(), 0..70)
    ) {
        let token = format!("{}.{}.{}", encode(header), encode(payload), encode(tag));
        prop_assert!(try_token(&with_secret(SECRET), &token).is_err());
    }

    #[test]
    fn no_signed_payload_panics_or_keeps_a_name_twice(payload in prop::collection::vec(any::<u8>(), 0..80)) {
        let message = format!("{}.{}", encode(HS256), encode(payload));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
        let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
        let _ = try_token(&with_secret(SECRET), &format!("{message}.{}", encode(tag.as_ref())));
    }

    #[test]
    fn a_token_with_one_letter_changed_is_refused(position in 0usize..1000, letter in "[A-Za-z0-9_-]") {
        let good = token(HS256, GOOD);
        let position = position % good.len();
        let changed = format!("{}{letter}{}", &good[..position], &good[position + 1..]);
        prop_assume!(changed != good);
        prop_assert!(try_token(&with_secret(SECRET), &changed).is_err());
    }

    #[test]
    fn no_secret_or_jwk_text_panics(secret in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = Authenticator::new(Settings { secret: Some(secret), ..settings() });
    }

    #[test]
    fn no_role_claim_key_panics(path in "[$.\\[\\]?(@=!^*\"'a-z0-9 )|&,:-]{0,30}") {
        let settings = Settings { role_claim_key: path, ..settings() };
        if let Ok((authenticator, _)) = Authenticator::new(settings) {
            let _ = try_claims(&authenticator, r#"{"a":{"b":["c",1,null]},"role":"r"}"#);
        }
    }
}
