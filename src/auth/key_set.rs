//! The keys of one issuer: read from `jwt-secret` or a JWKS, and tried on a token.

use super::KeyError;
use super::key::{Key, Unusable};
use super::refusal::Refusal;
use super::token::{Header, MAX_SIGNATURE_BYTES, Token};
use serde_json::Value;

/// Keys in the order in which they are tried.
#[derive(Default)]
pub(super) struct KeySet {
    pub keys: Vec<Key>,
}

impl KeySet {
    /// Reads the value of `jwt-secret`: a JWKS, a JWK, or else a plain secret. The texts
    /// name keys that cannot be used.
    ///
    /// # Errors
    ///
    /// When a secret is too short, or no key is left.
    pub fn from_secret(secret: &[u8]) -> Result<(Self, Vec<String>), KeyError> {
        match serde_json::from_slice::<Value>(secret) {
            Ok(value) if value["keys"].is_array() => Self::from_jwks(&value),
            Ok(value) if value.is_object() => Self::from_jwk(&value, secret),
            _ => Ok((KeySet { keys: vec![Key::from_secret(secret)?] }, Vec::new())),
        }
    }

    /// Reads a JWKS (RFC 7517, section 5).
    ///
    /// # Errors
    ///
    /// When it has keys and none of them can be used.
    pub fn from_jwks(value: &Value) -> Result<(Self, Vec<String>), KeyError> {
        let jwks = value["keys"].as_array().ok_or_else(|| KeyError::new("it is no JWKS"))?;
        let (mut keys, mut warnings) = (Vec::new(), Vec::new());
        for (i, jwk) in jwks.iter().enumerate() {
            let name = jwk_name(jwk, i + 1);
            match Key::from_jwk(jwk, name.clone()) {
                Ok(key) => keys.push(key),
                Err(unusable) => {
                    warnings.push(format!("{name} cannot be used: {}", unusable.reason()));
                }
            }
        }
        if keys.is_empty() && !jwks.is_empty() {
            return Err(KeyError::new(format!("no key can be used: {}", warnings.join("; "))));
        }
        if jwks.is_empty() {
            warnings.push("the JWKS has no keys: every token will be refused".to_owned());
        }
        Ok((KeySet { keys }, warnings))
    }

    fn from_jwk(value: &Value, text: &[u8]) -> Result<(Self, Vec<String>), KeyError> {
        let name = jwk_name(value, 1);
        match Key::from_jwk(value, name.clone()) {
            Ok(key) => Ok((KeySet { keys: vec![key] }, Vec::new())),
            Err(Unusable::Unsupported(reason)) => {
                Err(KeyError::new(format!("{name} cannot be used: {reason}")))
            }
            // As PostgREST does; the warning is for those who meant a key.
            Err(Unusable::Malformed(reason)) => {
                let warning = format!(
                    "it looks like a JWK, but cannot be read as one ({reason}), \
                     and is taken for a plain secret"
                );
                Ok((KeySet { keys: vec![Key::from_secret(text)?] }, vec![warning]))
            }
        }
    }

    /// The keys that a token with this header may be signed with: those with its `kid`, or
    /// any when it has none, that may be used with its `alg`.
    pub fn suitable<'k, 'h>(
        &'k self,
        header: &'h Header,
    ) -> impl Iterator<Item = &'k Key> + use<'k, 'h> {
        self.keys.iter().filter(move |key| {
            (header.kid.is_none() || header.kid == key.kid)
                && key.algorithms().any(|algorithm| algorithm == header.algorithm)
        })
    }

    /// Finds the key that signed `token`.
    pub fn verify(&self, token: &Token<'_>) -> Result<&Key, Refusal> {
        let mut suitable = self.suitable(&token.header).peekable();
        if suitable.peek().is_none() {
            return Err(token.header.no_suitable_key());
        }
        let mut buffer = [0; MAX_SIGNATURE_BYTES];
        let signature = token.signature(&mut buffer)?;
        suitable
            .find(|key| key.verify(token.header.algorithm, token.signed.as_bytes(), signature))
            .ok_or(Refusal::BadSignature)
    }
}

fn jwk_name(value: &Value, position: usize) -> String {
    let kind = value["kty"].as_str().unwrap_or("no kty");
    match value["kid"].as_str() {
        Some(kid) => format!("key {position} (kid {kid:?}, {kind})"),
        None => format!("key {position} ({kind})"),
    }
}
