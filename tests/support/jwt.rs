//! Tokens for tests: signed with HS256, or malformed in every way asked for.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The `jwt-secret` of tests that need no other.
pub const SECRET: &str = "a secret that is long enough for HS256";

/// A token over the claims, signed with [`SECRET`].
pub fn token(claims: &Value) -> String {
    sign(&json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET.as_bytes())
}

/// A token of that role, signed with [`SECRET`].
pub fn for_role(role: &str) -> String {
    token(&json!({ "role": role }))
}

/// A token over any header and claims, signed with HMAC-SHA256 whatever the header says.
pub fn sign(header: &Value, claims: &Value, key: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

/// base64url without padding.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The Unix time, in seconds.
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(now.as_secs()).expect("the clock is not far off")
}
