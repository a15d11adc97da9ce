//! Values that stand in files of their own (`@FILE`), and the secret that signs tokens.

use super::error::ConfigError;
use super::input;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;

/// The fewest bytes of a secret: the output of HMAC-SHA-256 (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// The text of a file without the whitespace around it.
pub(super) fn read_text(error: ConfigError, path: &str) -> Result<String, ConfigError> {
    let bytes = read(error.clone(), path)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(_) => Err(error.reason(format!("{path} is not UTF-8."))),
    }
}

/// The secret's bytes: read from its file, decoded, and checked for its length.
/// A JSON Web Key, or a set of them, stays the JSON text that it is.
pub(super) fn load(
    error: ConfigError,
    mut secret: Vec<u8>,
    is_base64: bool,
) -> Result<Vec<u8>, ConfigError> {
    if let Some(path) = secret.strip_prefix(b"@") {
        let path = String::from_utf8_lossy(path).into_owned();
        secret = read(error.clone(), &path)?;
        if secret.ends_with(b"\n") {
            secret.pop();
        }
    }
    if is_base64 {
        secret = match decode(&secret) {
            Some(bytes) => bytes,
            None => {
                let error =
                    error.reason("jwt-secret is not base64, but jwt-secret-is-base64 is true.");
                return Err(error.allowed("base64 in the standard or the URL alphabet"));
            }
        };
    }
    if secret.len() < MIN_SECRET_BYTES && !is_json_web_key(&secret) {
        let error = error.reason("The JWT secret must be at least 32 characters long.");
        return Err(error
            .allowed("32 bytes or more, a JSON Web Key (set), or @FILE to read it from a file"));
    }
    Ok(secret)
}

fn read(error: ConfigError, path: &str) -> Result<Vec<u8>, ConfigError> {
    input::read(Path::new(path)).map_err(|e| error.reason(format!("{path} cannot be read: {e}.")))
}

/// Base64 in either alphabet; a dot pads too.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let standard: Vec<u8> = text
        .trim_ascii()
        .iter()
        .map(|b| match b {
            b'-' => b'+',
            b'_' => b'/',
            b'.' => b'=',
            b => *b,
        })
        .collect();
    STANDARD.decode(standard).ok()
}

/// Whether the text means to be a JSON Web Key or a set of them (RFC 7517). What its keys
/// are worth is for those who use them to find out.
fn is_json_web_key(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(text)
        .is_ok_and(|json| json["kty"].is_string() || json["keys"].is_array())
}
