//! Tokens made by hand for tests, good and bad.

use super::{Authenticator, Identity, Settings};
use crate::error::{Error, Result};
use crate::http::Headers;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

pub const SECRET: &[u8] = b"a secret for tests, which has more than 32 bytes";
pub const NOW: i64 = 1_700_000_000;
pub const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with these texts as header and payload, signed with [`SECRET`] by HS256 whatever
/// the header says.
pub fn token(header: &str, payload: &str) -> String {
    token_with_secret(SECRET, header, payload)
}

pub fn token_with_secret(secret: &[u8], header: &str, payload: &str) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", encode(tag.as_ref()))
}

pub fn settings() -> Settings {
    Settings {
        secret: Some(SECRET.to_vec()),
        anonymous_role: Some("web_anon".to_owned()),
        ..Settings::default()
    }
}

pub fn with_secret(secret: impl AsRef<[u8]>) -> Authenticator {
    authenticator(Settings { secret: Some(secret.as_ref().to_vec()), ..settings() })
}

pub fn authenticator(settings: Settings) -> Authenticator {
    Authenticator::new(settings).expect("the settings are good").0
}

pub fn bearer(token: &str) -> Headers {
    Headers(vec![("authorization".to_owned(), format!("Bearer {token}"))])
}

pub fn try_token(authenticator: &Authenticator, token: &str) -> Result<Arc<Identity>> {
    authenticator.authenticate(&bearer(token), NOW)
}

/// Authenticates with these claims, signed well.
pub fn try_claims(authenticator: &Authenticator, claims: &str) -> Result<Arc<Identity>> {
    try_token(authenticator, &token(HS256, claims))
}

/// The message of the refusal, with which a token must be met.
pub fn refusal(result: Result<Arc<Identity>>) -> Error {
    match result {
        Ok(identity) => panic!("accepted as {}", identity.role),
        Err(error) => error,
    }
}

pub fn message(result: Result<Arc<Identity>>) -> String {
    refusal(result).message().to_owned()
}

/// The details of the refusal, which tell an unsuitable key from a wrong signature.
pub fn details(result: Result<Arc<Identity>>) -> String {
    refusal(result).details_value().map(ToString::to_string).unwrap_or_default()
}

pub fn challenge(error: &Error) -> Option<&str> {
    let mut headers = error.headers().iter();
    headers.find(|(name, _)| name == "WWW-Authenticate").map(|(_, value)| value.as_str())
}
