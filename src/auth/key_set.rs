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
            Ok(value) if value["keys"].is_array() => Self::from_jwks(&value, |_| true),
            Ok(value) if value.is_object() => Self::from_jwk_or_text(&value, secret),
            _ => Ok((KeySet { keys: vec![Key::from_secret(secret)?] }, Vec::new())),
        }
    }

    /// Reads a JWK or JWKS that was given as JSON; the texts name keys that cannot be used.
    ///
    /// # Errors
    ///
    /// When no key is left.
    pub fn from_json(value: &Value) -> Result<(Self, Vec<String>), KeyError> {
        if value["keys"].is_array() {
            return Self::from_jwks(value, |_| true);
        }
        let name = jwk_name(value, 1);
        match Key::from_jwk(value, &name) {
            Ok(key) => Ok((KeySet { keys: vec![key] }, Vec::new())),
            Err(unusable) => Err(cannot_be_used(&name, &unusable)),
        }
    }

    /// Reads a JWKS that anybody may have seen, so secrets in it are left out.
    ///
    /// # Errors
    ///
    /// When it has keys and none of them can be used.
    pub fn from_public_jwks(value: &Value) -> Result<(Self, Vec<String>), KeyError> {
        Self::from_jwks(value, |jwk| jwk["kty"] != "oct")
    }

    /// Reads those keys of a JWKS (RFC 7517, section 5) that are `wanted`.
    fn from_jwks(
        value: &Value,
        wanted: fn(&Value) -> bool,
    ) -> Result<(Self, Vec<String>), KeyError> {
        let jwks = value["keys"].as_array().ok_or_else(|| KeyError::new("it is no JWKS"))?;
        let (mut keys, mut warnings) = (Vec::new(), Vec::new());
        for (i, jwk) in jwks.iter().enumerate() {
            let name = jwk_name(jwk, i + 1);
            match Key::from_jwk(jwk, &name) {
                Ok(_) if !wanted(jwk) => {
                    warnings.push(format!("{name} is left out: it is a secret that others know"));
                }
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

    fn from_jwk_or_text(value: &Value, text: &[u8]) -> Result<(Self, Vec<String>), KeyError> {
        let name = jwk_name(value, 1);
        match Key::from_jwk(value, &name) {
            Ok(key) => Ok((KeySet { keys: vec![key] }, Vec::new())),
            Err(unusable @ Unusable::Unsupported(_)) => Err(cannot_be_used(&name, &unusable)),
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

    /// Whether a key has the `kid` of the header, or the header has none to look for.
    pub fn knows(&self, header: &Header) -> bool {
        header.kid.is_none() || self.keys.iter().any(|key| key.kid == header.kid)
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

fn cannot_be_used(name: &str, unusable: &Unusable) -> KeyError {
    KeyError::new(format!("{name} cannot be used: {}", unusable.reason()))
}

fn jwk_name(value: &Value, position: usize) -> String {
    let kind = value["kty"].as_str().unwrap_or("no kty");
    match value["kid"].as_str() {
        Some(kid) => format!("key {position} (kid {kid:?}, {kind})"),
        None => format!("key {position} ({kind})"),
    }
}
