//! A `jwt-secret` that is plainly something else. Taken for a plain secret it would be one that
//! anybody may know or guess, and so anybody could sign tokens.

use super::key::{Key, Unusable};
use serde_json::Value;
use std::path::Path;

/// Where secrets are kept on common systems, as a path begins that lacks its `@`.
const FOLDERS: [&str; 14] = [
    "/etc/",
    "/run/",
    "/var/",
    "/home/",
    "/root/",
    "/opt/",
    "/usr/",
    "/srv/",
    "/mnt/",
    "/tmp/",
    "/secrets/",
    "./",
    "../",
    "~/",
];

/// What the value probably is, and what to write instead; `None` for what may well be a secret.
pub(super) fn reason(secret: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(secret).ok()?.trim();
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    if text.starts_with("-----BEGIN ") {
        return Some("it is a PEM file, but should be a secret or a JWK".to_owned());
    }
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Some("it is the address of a key set: write it into jwt-jwks-url".to_owned());
    }
    if lower.starts_with("file://") || is_path(text) {
        return Some("it is the path of a file: write @ before the path to read it".to_owned());
    }
    if is_token(text) {
        return Some("it is a token, but should be what tokens are signed with".to_owned());
    }
    json_reason(text)
}

fn is_path(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-~".contains(&b);
    let folder = FOLDERS.iter().any(|folder| text.starts_with(folder));
    (folder && text.bytes().all(plain)) || (text.contains('/') && Path::new(text).is_file())
}

/// Whether it has the form of a token; how the header of each begins is `{"`.
fn is_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3
}

/// What is wrong with JSON that is neither a JWK nor a JWKS.
fn json_reason(text: &str) -> Option<String> {
    let value = match serde_json::from_str::<Value>(text) {
        Ok(value) => value,
        Err(error) if looks_like_json(text) => {
            return Some(format!("it begins like a JWK or JWKS, but is not JSON: {error}"));
        }
        Err(_) => return None,
    };
    match &value {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            Some("it is an array of keys: write it as a JWKS, {\"keys\": [...]}".to_owned())
        }
        Value::Array(_) => Some("it is a JSON array, but neither a JWK nor a JWKS".to_owned()),
        Value::Object(_) if value["keys"].is_array() => None,
        Value::Object(members) if members.contains_key("keys") => {
            Some("its \"keys\" should be an array of JWKs".to_owned())
        }
        Value::Object(members) if members.contains_key("kty") || members.contains_key("x5c") => {
            match Key::from_jwk(&value, "the key") {
                Err(Unusable::Malformed(reason)) => {
                    Some(format!("it is a JWK that cannot be used: {reason}"))
                }
                // What else is wrong with it is said where it is used.
                _ => None,
            }
        }
        Value::Object(_) => Some(
            "it is JSON, but neither a JWK, which has a \"kty\", nor a JWKS, which has \"keys\""
                .to_owned(),
        ),
        _ => None,
    }
}

fn looks_like_json(text: &str) -> bool {
    let inner = text.trim_start_matches('[').trim_start();
    inner.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(secret: &str) -> String {
        reason(secret.as_bytes()).unwrap_or_default()
    }

    #[test]
    fn what_is_plainly_no_secret_is_called_what_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (secret, word) in [
            ("https://idp.example.com/.well-known/jwks.json", "jwt-jwks-url"),
            ("HTTP://idp.example.com/realms/main/certs", "jwt-jwks-url"),
            ("file:///etc/goldenkey/jwt-secret.json", "@"),
            ("/etc/goldenkey/jwt-secret-of-this-server", "@"),
            ("./secrets/the-secret-of-this-server.json", "@"),
            (file.path().to_str().unwrap(), "@"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5uIn0.c2lnbmF0dXJl", "a token"),
            ("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI", "PEM"),
            (r#"[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMk"}]"#, r#"{"keys": [...]}"#),
            ("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]", "neither"),
            (r#"{"keys": {"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qz"}}"#, "an array of JWKs"),
            (r#"{"kty":"RSA","n":"AyM1SysPpbyDfgZld3umj1qzKObwVMk"}"#, "its \"e\" is missing"),
            (
                r#"{"x5c":["MIIC+DCCAeCgAwIBAgIJBIGjYW6hFpn2MA0GCSqG"]}"#,
                "its \"kty\" is missing; a certificate",
            ),
            (r#"{"some": "json", "that is": "no key at all"}"#, "a \"kty\""),
            (r#"{"keys": [{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1"}"#, "is not JSON"),
        ] {
            assert!(said(secret).contains(word), "{secret}: {}", said(secret));
        }
    }

    #[test]
    fn what_may_well_be_a_secret_is_one() {
        for secret in [
            "reallyreallyreallyreallyverysafe",
            "/b3Jl+YWxseXJlYWxseXJlYWxseXJlYWxseXZlcnlzYWZl",
            "/etc/ is how this long secret begins!",
            "12345678901234567890123456789012345",
            "{a secret in braces, which is no JSON}",
            "\"a JSON text of 32 characters.......\"",
            r#"{"keys":[]}"#,
            "eyJ is how this secret of mine begins",
        ] {
            assert_eq!(reason(secret.as_bytes()), None, "{secret}");
        }
        assert_eq!(reason(&[0xff; 40]), None);
    }
}
