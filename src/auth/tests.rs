//! What authentication does, as its users see it.

use super::test_tokens::*;
use super::*;
use crate::http::Headers;
use std::sync::Arc;

fn role(claims: &str) -> String {
    try_claims(&with_secret(SECRET), claims).expect("the token is good").role.clone()
}

fn claims_refusal(claims: &str) -> String {
    message(try_claims(&with_secret(SECRET), claims))
}

#[test]
fn a_request_without_a_token_is_anonymous() {
    let identity = with_secret(SECRET).authenticate(&Headers::default(), NOW).unwrap();
    assert_eq!(identity.role, "web_anon");
    assert_eq!(identity.claims_json, r#"{"role":"web_anon"}"#);
    assert!(!identity.authenticated);
}

#[test]
fn without_an_anonymous_role_a_token_with_a_role_is_needed() {
    let strict = authenticator(Settings { anonymous_role: None, ..settings() });
    for result in
        [strict.authenticate(&Headers::default(), NOW), try_claims(&strict, r#"{"sub":"ada"}"#)]
    {
        let error = refusal(result);
        assert_eq!((error.status(), error.code()), (401, "PGRST302"));
        assert_eq!(error.message(), "Anonymous access is disabled");
        assert_eq!(challenge(&error), Some("Bearer"));
    }
    assert_eq!(try_claims(&strict, r#"{"role":"ada"}"#).unwrap().role, "ada");
}

#[test]
fn the_scheme_is_bearer_in_any_case_and_others_are_anonymous() {
    let authenticator = with_secret(SECRET);
    let token = token(HS256, r#"{"role":"reader"}"#);
    let role = |value: String| {
        let headers = Headers(vec![("Authorization".to_owned(), value)]);
        authenticator.authenticate(&headers, NOW).map(|identity| identity.role.clone())
    };
    for scheme in ["Bearer ", "bearer ", "BEARER ", "Bearer\t", "Bearer   "] {
        assert_eq!(role(format!("{scheme}{token}")).unwrap(), "reader", "{scheme:?}");
    }
    for value in ["", "Basic dXNlcjpwYXNz", "Bear x", "DPoP x"] {
        assert_eq!(role(value.to_owned()).unwrap(), "web_anon", "{value:?}");
    }
    assert_eq!(role(format!("Bearer{token}")).unwrap(), "web_anon");
}

#[test]
fn a_bearer_without_a_token_is_refused() {
    for value in ["Bearer", "Bearer "] {
        let headers = Headers(vec![("Authorization".to_owned(), value.to_owned())]);
        let error = refusal(with_secret(SECRET).authenticate(&headers, NOW));
        assert_eq!(error.code(), "PGRST301");
        assert_eq!(
            challenge(&error),
            Some(
                "Bearer error=\"invalid_token\", \
                 error_description=\"Empty JWT is sent in Authorization header\""
            )
        );
    }
}

#[test]
fn of_two_authorization_headers_the_first_counts() {
    let mut headers = bearer(&token(HS256, r#"{"role":"reader"}"#));
    headers.0.push(("Authorization".to_owned(), "Bearer x.y.z".to_owned()));
    let authenticator = with_secret(SECRET);
    assert_eq!(authenticator.authenticate(&headers, NOW).unwrap().role, "reader");
    headers.0.reverse();
    refusal(authenticator.authenticate(&headers, NOW));
}

#[test]
fn a_token_without_any_key_configured_is_the_servers_fault() {
    let keyless = authenticator(Settings { secret: None, ..settings() });
    for token in ["i", ""] {
        let error = refusal(try_token(&keyless, token));
        assert_eq!((error.status(), error.code()), (500, "PGRST300"));
        assert_eq!(challenge(&error), None);
    }
}

#[test]
fn the_role_is_a_claim_and_falls_back_to_the_anonymous_one() {
    assert_eq!(role(r#"{"role":"Note Lead"}"#), "Note Lead");
    assert_eq!(role(r#"{"sub":"ada"}"#), "web_anon");
    assert_eq!(role(r#"{"role":null}"#), "null");
    assert_eq!(role(r#"{"role":7}"#), "7");
    assert_eq!(role(r#"{"role":[ "reader" ]}"#), r#"["reader"]"#);
    assert_eq!(role(r#"{"role":{"name": "reader"}}"#), r#"{"name":"reader"}"#);
}

#[test]
fn a_role_that_equals_the_anonymous_one_is_not_authenticated() {
    let authenticator = with_secret(SECRET);
    assert!(!try_claims(&authenticator, r#"{"sub":"ada"}"#).unwrap().authenticated);
    assert!(!try_claims(&authenticator, r#"{"role":"web_anon"}"#).unwrap().authenticated);
    assert!(try_claims(&authenticator, r#"{"role":"reader"}"#).unwrap().authenticated);
}

#[test]
fn the_role_none_is_refused_wherever_it_comes_from() {
    let error = refusal(try_claims(&with_secret(SECRET), r#"{"role":"none"}"#));
    assert_eq!((error.status(), error.code()), (401, "22023"));
    assert_eq!(error.message(), "role \"none\" does not exist");
    assert_eq!(challenge(&error), Some("Bearer"));
    let anonymous = Settings { anonymous_role: Some("none".to_owned()), ..settings() };
    assert!(Authenticator::new(anonymous).is_err());
}

#[test]
fn a_role_with_a_nul_is_refused() {
    assert_eq!(claims_refusal(r#"{"role":"rea\u0000der"}"#), "Parsing claims failed");
}

#[test]
fn the_claims_are_normal_json_with_the_role_in_its_place() {
    let json = |claims: &str| {
        try_claims(&with_secret(SECRET), claims).expect("it is good").claims_json.clone()
    };
    assert_eq!(json(r#"{"sub":"ada"}"#), r#"{"role":"web_anon","sub":"ada"}"#);
    assert_eq!(
        json(r#" { "z" : [ 1 , {"b":2, "a":1} ] } "#),
        r#"{"role":"web_anon","z":[1,{"a":1,"b":2}]}"#
    );
    assert_eq!(json(r#"{"aud":"x"}"#), r#"{"aud":"x","role":"web_anon"}"#);
    assert_eq!(json("{}"), r#"{"role":"web_anon"}"#);
    assert_eq!(json(r#"{"name":"Łucja \u00e9\/"}"#), r#"{"name":"Łucja é/","role":"web_anon"}"#);
}

#[test]
fn numbers_in_claims_keep_every_digit() {
    let claims = r#"{"big":123456789012345678901234567890,"exact":0.10000000000000000001}"#;
    let identity = try_claims(&with_secret(SECRET), claims).unwrap();
    assert!(identity.claims_json.contains("123456789012345678901234567890"));
    assert!(identity.claims_json.contains("0.10000000000000000001"));
}

#[test]
fn single_claims_are_texts_without_quotes() {
    let claims = r#"{"sub":"a\"da","n":1.50,"list":[1, 2],"nul":"a\u0000b","role":"reader"}"#;
    let identity = try_claims(&with_secret(SECRET), claims).unwrap();
    let texts: Vec<_> = identity.claims().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    let expected = [("list", "[1,2]"), ("n", "1.50"), ("role", "reader"), ("sub", "a\"da")];
    assert_eq!(texts, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!(identity.claim("sub").as_deref(), Some("a\"da"));
    assert_eq!(identity.claim("nul"), None);
}

#[test]
fn time_claims_have_thirty_seconds_of_leeway() {
    let at = |name: &str, offset: i64| format!(r#"{{"role":"r","{name}":{}}}"#, NOW + offset);
    for (name, good, bad, message) in [
        ("exp", -30, -31, "JWT expired"),
        ("nbf", 30, 31, "JWT not yet valid"),
        ("iat", 30, 31, "JWT issued at future"),
    ] {
        assert_eq!(role(&at(name, good)), "r", "{name}");
        assert_eq!(claims_refusal(&at(name, bad)), message);
    }
}

#[test]
fn time_claims_are_numbers_strings_of_digits_or_null() {
    for good in ["1e12", "4102444800.75", "null", "\"4102444800\"", "123456789012345678901234"] {
        assert_eq!(role(&format!(r#"{{"role":"r","exp":{good}}}"#)), "r", "{good}");
    }
    for bad in ["\"soon\"", "\"\"", "{}", "[1]", "true", "\"-1\"", "\"1.5\"", "1e999"] {
        assert_eq!(
            claims_refusal(&format!(r#"{{"exp":{bad}}}"#)),
            "The JWT 'exp' claim must be a number",
            "{bad}"
        );
    }
    for past in ["0", "-1", "1700000000e-3", "\"0000\"", "-1e300"] {
        assert_eq!(claims_refusal(&format!(r#"{{"exp":{past}}}"#)), "JWT expired", "{past}");
    }
}

#[test]
fn fractions_of_seconds_count() {
    let claim = |name: &str, at: f64| format!(r#"{{"role":"r","{name}":{at}}}"#);
    let now = NOW as f64;
    assert_eq!(role(&claim("exp", now - 29.5)), "r");
    assert_eq!(claims_refusal(&claim("exp", now - 30.5)), "JWT expired");
    assert_eq!(role(&claim("nbf", now + 29.5)), "r");
    assert_eq!(claims_refusal(&claim("nbf", now + 30.5)), "JWT not yet valid");
}

#[test]
fn the_first_claim_that_fails_is_the_reason() {
    let claims = format!(r#"{{"exp":1,"nbf":{},"iat":"x","aud":{{}}}}"#, NOW + 300);
    assert_eq!(claims_refusal(&claims), "JWT expired");
    let claims = format!(r#"{{"nbf":{},"iat":"x","aud":{{}}}}"#, NOW + 300);
    assert_eq!(claims_refusal(&claims), "JWT not yet valid");
    assert_eq!(claims_refusal(r#"{"iat":"x","aud":{}}"#), "The JWT 'iat' claim must be a number");
}

#[test]
fn an_audience_is_matched_as_a_whole_and_absence_is_for_everybody() {
    let with = |required| {
        authenticator(Settings {
            audience: Some("desk-7".to_owned()),
            audience_required: required,
            ..settings()
        })
    };
    let aud = |aud: &str| format!(r#"{{"role":"r","aud":{aud}}}"#);
    for good in [r#""desk-7""#, r#"["shelf","desk-7"]"#] {
        assert!(try_claims(&with(true), &aud(good)).is_ok(), "{good}");
    }
    for absent in ["[]", "null"] {
        assert!(try_claims(&with(false), &aud(absent)).is_ok(), "{absent}");
        assert_eq!(message(try_claims(&with(true), &aud(absent))), "JWT not in audience");
    }
    assert_eq!(message(try_claims(&with(true), r#"{"role":"r"}"#)), "JWT not in audience");
    for bad in [r#""desk-70""#, r#""desk""#, r#""""#, r#"["Desk-7"]"#] {
        assert_eq!(message(try_claims(&with(false), &aud(bad))), "JWT not in audience", "{bad}");
    }
    for malformed in ["{}", "7", r#"[["desk-7"]]"#, r#"["desk-7",7]"#, "true"] {
        for authenticator in [with(false), with_secret(SECRET)] {
            assert_eq!(
                message(try_claims(&authenticator, &aud(malformed))),
                "The JWT 'aud' claim must be a string or an array of strings",
                "{malformed}"
            );
        }
    }
}

#[test]
fn signed_claims_that_are_no_object_cannot_be_read() {
    for payload in ["", "role=x", "\"x\"", "[]", "null", "7", "{", "{}{}", "{\"a\":}"] {
        let error = refusal(try_claims(&with_secret(SECRET), payload));
        assert_eq!((error.code(), error.message()), ("PGRST303", "Parsing claims failed"));
    }
}

#[test]
fn the_cache_gives_the_same_identity_and_counts() {
    let settings = settings();
    let counters = settings.cache_counters.clone();
    let authenticator = authenticator(settings);
    let token = token(HS256, r#"{"role":"reader"}"#);
    let first = try_token(&authenticator, &token).unwrap();
    let second = try_token(&authenticator, &token).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!((counters.hits(), counters.misses()), (1, 1));
    assert_eq!(authenticator.cached_tokens(), 1);
}

#[test]
fn a_cached_token_expires_by_the_clock_and_leaves_the_cache() {
    let authenticator = with_secret(SECRET);
    let headers = bearer(&token(HS256, &format!(r#"{{"role":"r","exp":{}}}"#, NOW + 60)));
    assert!(authenticator.authenticate(&headers, NOW).is_ok());
    assert!(authenticator.authenticate(&headers, NOW + 90).is_ok());
    assert_eq!(message(authenticator.authenticate(&headers, NOW + 91)), "JWT expired");
    assert_eq!(authenticator.cached_tokens(), 0);
    // A clock that was wrong and is put right again must not matter.
    assert!(authenticator.authenticate(&headers, NOW).is_ok());
}

#[test]
fn failures_are_never_cached() {
    let authenticator = with_secret(SECRET);
    let early = token(HS256, &format!(r#"{{"role":"r","nbf":{}}}"#, NOW + 60));
    let forged = token_with_secret(&[b'x'; 40], HS256, r#"{"role":"r"}"#);
    refusal(try_token(&authenticator, &early));
    refusal(try_token(&authenticator, &forged));
    assert_eq!(authenticator.cached_tokens(), 0);
    assert!(authenticator.authenticate(&bearer(&early), NOW + 60).is_ok());
}

#[test]
fn the_cache_is_bounded_and_counts_evictions() {
    let settings = Settings { cache_max_entries: 10, ..settings() };
    let counters = settings.cache_counters.clone();
    let authenticator = authenticator(settings);
    for number in 0..200 {
        try_claims(&authenticator, &format!(r#"{{"n":{number}}}"#)).unwrap();
    }
    assert!(authenticator.cached_tokens() <= 10);
    assert!(counters.evictions() >= 190);
}

#[test]
fn without_a_cache_every_token_is_verified() {
    let settings = Settings { cache_max_entries: 0, ..settings() };
    let authenticator = authenticator(settings);
    let token = token(HS256, r#"{"role":"reader"}"#);
    let first = try_token(&authenticator, &token).unwrap();
    assert!(!Arc::ptr_eq(&first, &try_token(&authenticator, &token).unwrap()));
    assert_eq!(authenticator.cached_tokens(), 0);
}

#[test]
fn a_denied_claim_refuses_tokens_also_from_the_cache() {
    let settings = settings();
    let deny_list = settings.deny_list.clone();
    let authenticator = authenticator(settings);
    let ada = token(HS256, r#"{"role":"r","jti":"t-1","sub":"ada","n":7}"#);
    let bo = token(HS256, r#"{"role":"r","jti":"t-2","sub":"bo"}"#);
    let mut revocations = Vec::new();
    for (revocation, still_good) in [("t-1", true), (r#"{"sub":"bo"}"#, false)] {
        assert!(try_token(&authenticator, &bo).is_ok());
        revocations.push(Denied::parse(revocation).unwrap());
        deny_list.replace(revocations.iter().cloned().collect());
        let error = refusal(try_token(&authenticator, &ada));
        assert_eq!(
            (error.status(), error.code(), error.message()),
            (401, "PGRST303", "JWT revoked")
        );
        assert_eq!(try_token(&authenticator, &bo).is_ok(), still_good);
    }
    deny_list.replace(Denied::parse(r#"{"n":7}"#).into_iter().collect());
    assert!(try_token(&authenticator, &bo).is_ok());
    refusal(try_token(&authenticator, &ada));
    deny_list.replace(Denials::default());
    assert!(try_token(&authenticator, &ada).is_ok());
}

#[test]
fn the_log_says_why_and_never_holds_the_signature() {
    let token = token_with_secret(&[b'x'; 40], r#"{"alg":"HS256","kid":"k1"}"#, "{}");
    let signature = token.rsplit('.').next().unwrap().to_owned();
    let error = refusal(try_token(&with_secret(SECRET), &token));
    let log = error.log_text().unwrap();
    assert!(log.contains("No suitable key was found") && log.contains("kid \"k1\""), "{log}");
    for text in [log.to_owned(), format!("{error}"), format!("{error:?}")] {
        assert!(!text.contains(&signature), "{text}");
    }
}

#[test]
fn settings_and_keys_do_not_print_the_secret() {
    let authenticator = with_secret(SECRET);
    assert!(!format!("{authenticator:?}").contains("secret for tests"));
}

#[test]
fn a_reload_keeps_counters_and_deny_list() {
    let first = settings();
    let (counters, deny_list) = (first.cache_counters.clone(), first.deny_list.clone());
    let before = authenticator(first.clone());
    try_claims(&before, r#"{"jti":"x"}"#).unwrap();
    deny_list.replace(Denied::parse("x").into_iter().collect());
    let (after, _) = Authenticator::new(first).unwrap();
    assert_eq!(message(try_claims(&after, r#"{"jti":"x"}"#)), "JWT revoked");
    assert_eq!(counters.misses(), 2);
    assert_eq!(after.cached_tokens(), 0);
}

#[test]
fn an_inspection_agrees_with_authentication_and_names_the_key() {
    let set = r#"{"keys":[{"kty":"oct","kid":"a","k":"YS1ub3RlYm9vay1zZWNyZXQtb2YtZm9ydHktdHdvLWxldHRlcnMteWVz"},
        {"kty":"oct","kid":"b","k":"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"}]}"#;
    let authenticator = with_secret(set);
    let header = r#"{"alg":"HS256","kid":"b"}"#;
    let good =
        token_with_secret(&[b'x'; 32], header, &format!(r#"{{"role":"r","exp":{}}}"#, NOW + 7200));
    let report = authenticator.inspect(&good, NOW);
    assert_eq!(report.outcome.as_deref(), Ok("r"));
    let text = report.to_string();
    assert!(text.contains(r#"key 2 (kid "b", oct) has signed it"#), "{text}");
    assert!(text.contains(r#"key 1 (kid "a", oct) has another kid"#), "{text}");
    assert!(text.contains("expires in 2 hours"), "{text}");
    let forged = token(header, r#"{"role":"r"}"#);
    let text = authenticator.inspect(&forged, NOW).to_string();
    assert!(text.contains("refused: No suitable key or wrong key type"), "{text}");
    assert!(!text.contains(forged.rsplit('.').next().unwrap()), "{text}");
}
