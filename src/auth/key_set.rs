//! The keys of one issuer: read from `jwt-secret` or a JWKS, and tried on a token.

use super::KeyError;
use super::algorithm::Algorithm;
use super::key::{Key, Unusable};
use super::mistaken;
use super::refusal::Refusal;
use super::token::{Header, MAX_SIGNATURE_BYTES, Token};
use serde_json::Value;

/// The most keys that are tried on one token. Whoever leaves the `kid` out, or has the same in
/// many keys, must not have a set of thousands gone through for each forged token.
const MAX_KEYS_TRIED: usize = 32;

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
    /// When a secret is too short or plainly something else, or no key is left.
    pub fn from_secret(secret: &[u8]) -> Result<(Self, Vec<String>), KeyError> {
        // As a plain secret it would be one that others know.
        if let Some(reason) = mistaken::reason(secret) {
            return Err(KeyError::new(format!("jwt-secret: {reason}")));
        }
        match serde_json::from_slice::<Value>(secret) {
            Ok(value) if value.is_object() => Self::from_json(&value)
                .map_err(|error| KeyError::new(format!("jwt-secret: {error}"))),
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
        let set = KeySet { keys };
        warnings.extend(set.warning_of_keys_never_tried());
        Ok((set, warnings))
    }

    fn warning_of_keys_never_tried(&self) -> Option<String> {
        let count = |algorithm| self.keys.iter().filter(|key| key.suits(algorithm)).count();
        let algorithm =
            *Algorithm::ALL.iter().find(|algorithm| count(**algorithm) > MAX_KEYS_TRIED)?;
        let count = count(algorithm);
        Some(format!(
            "{count} keys may be used with {algorithm}: a token without a \"kid\" is tried with \
             the first {MAX_KEYS_TRIED} of them only"
        ))
    }

    /// The keys that a token with this header may be signed with: those with its `kid`, or
    /// any when it has none, that may be used with its `alg`.
    pub fn suitable<'k, 'h>(
        &'k self,
        header: &'h Header,
    ) -> impl Iterator<Item = &'k Key> + use<'k, 'h> {
        self.keys.iter().filter(move |key| {
            (header.kid.is_none() || header.kid == key.kid) && key.suits(header.algorithm)
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
            .take(MAX_KEYS_TRIED)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{KeyKind, SigningKey, keygen};
    use serde_json::json;

    fn public(kind: KeyKind) -> Value {
        keygen(kind, Some("k1")).unwrap().public.unwrap()
    }

    fn with(mut jwk: Value, name: &str, value: impl Into<Value>) -> Value {
        jwk[name] = value.into();
        jwk
    }

    fn without(mut jwk: Value, name: &str) -> Value {
        jwk.as_object_mut().unwrap().remove(name);
        jwk
    }

    /// What `jwt-secret` with this JWK says: the error, or the warning, or nothing.
    fn complaint(jwk: &Value) -> String {
        match KeySet::from_secret(jwk.to_string().as_bytes()) {
            Ok((_, warnings)) => warnings.join("; "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_key_may_be_used_with_what_it_says_itself() {
        let algorithms = |jwk: &Value| {
            let (set, _) = KeySet::from_secret(jwk.to_string().as_bytes()).unwrap();
            set.keys[0].algorithms().map(Algorithm::as_str).collect::<Vec<_>>().join(" ")
        };
        let rsa = public(KeyKind::Rsa);
        assert_eq!(algorithms(&rsa), "RS256");
        assert_eq!(algorithms(&without(rsa.clone(), "alg")), "RS256 RS384 RS512 PS256 PS384 PS512");
        assert_eq!(algorithms(&with(rsa, "alg", "PS512")), "PS512");
        assert_eq!(algorithms(&without(public(KeyKind::P256), "alg")), "ES256");
        assert_eq!(algorithms(&without(public(KeyKind::P384), "alg")), "ES384");
        assert_eq!(algorithms(&without(public(KeyKind::P521), "alg")), "ES512");
        assert_eq!(algorithms(&without(public(KeyKind::Ed25519), "alg")), "EdDSA");
        let oct =
            json!({"kty": "oct", "k": "YS1ub3RlYm9vay1zZWNyZXQtb2YtZm9ydHktdHdvLWxldHRlcnMteWVz"});
        assert_eq!(algorithms(&oct), "HS256 HS384 HS512");
        let (text, _) = KeySet::from_secret(&[b'x'; 32]).unwrap();
        assert_eq!(text.keys[0].algorithms().collect::<Vec<_>>(), [Algorithm::Hs256]);
    }

    #[test]
    fn a_key_that_cannot_be_used_is_named_and_stops_the_start() {
        let rsa = public(KeyKind::Rsa);
        let ec = public(KeyKind::P256);
        for (jwk, reason) in [
            (with(rsa.clone(), "use", "enc"), "\"use\""),
            (with(rsa.clone(), "key_ops", json!(["sign"])), "\"key_ops\""),
            (with(rsa.clone(), "alg", "RSA-OAEP"), "\"alg\""),
            (with(rsa.clone(), "alg", "ES256"), "\"alg\""),
            (with(rsa.clone(), "n", "AQAB"), "17 bits"),
            (with(ec.clone(), "crv", "P-521"), "66 bytes each"),
            (with(ec.clone(), "crv", "secp256k1"), "curve"),
            (with(ec.clone(), "x", ec["y"].clone()), "not on the curve"),
            (with(ec.clone(), "x", "AAAA"), "32 bytes each"),
            (with(public(KeyKind::Ed25519), "x", "AAAA"), "no public key"),
            (json!({"kty": "oct", "k": "c2hvcnQ", "note": "long enough as a text"}), "32 bytes"),
        ] {
            let complaint = complaint(&jwk);
            assert!(complaint.contains("key 1") && complaint.contains(reason), "{complaint}");
            assert!(KeySet::from_secret(jwk.to_string().as_bytes()).is_err(), "{complaint}");
        }
    }

    #[test]
    fn json_that_is_no_key_is_refused() {
        let ec = public(KeyKind::P256);
        for jwk in [
            without(public(KeyKind::Rsa), "e"),
            with(public(KeyKind::Rsa), "n", "not base64!"),
            with(ec.clone(), "x", "not base64!"),
            with(ec, "y", 7),
            json!({"some": "json", "that is": "no key at all"}),
        ] {
            assert!(KeySet::from_secret(jwk.to_string().as_bytes()).is_err(), "{jwk}");
        }
    }

    #[test]
    fn a_set_leaves_out_what_cannot_be_used_unless_nothing_is_left() {
        let good = public(KeyKind::Ed25519);
        let bad = with(public(KeyKind::Rsa), "use", "enc");
        let set = json!({"keys": [bad, good]});
        let (keys, warnings) = KeySet::from_json(&set).unwrap();
        assert_eq!(keys.keys.len(), 1);
        assert!(warnings[0].starts_with("key 1 (kid \"k1\", RSA) cannot be used"));
        assert!(KeySet::from_json(&json!({"keys": [bad]})).is_err());
        let (keys, warnings) = KeySet::from_json(&json!({"keys": []})).unwrap();
        assert!(keys.keys.is_empty() && warnings.len() == 1);
    }

    #[test]
    fn a_secret_in_a_public_set_is_left_out() {
        let secret = keygen(KeyKind::Secret, Some("s")).unwrap().private;
        let set = json!({"keys": [secret, public(KeyKind::P256)]});
        let (keys, warnings) = KeySet::from_public_jwks(&set).unwrap();
        assert_eq!(keys.keys.len(), 1);
        assert!(warnings[0].contains("a secret that others know"));
    }

    #[test]
    fn so_many_keys_are_tried_on_a_token_without_a_kid_and_no_more() {
        let pairs: Vec<_> = (0..MAX_KEYS_TRIED + 1)
            .map(|i| keygen(KeyKind::Ed25519, Some(&format!("k{i}"))).unwrap())
            .collect();
        let publics: Vec<_> = pairs.iter().map(|pair| pair.public.clone()).collect();
        let (set, warnings) = KeySet::from_json(&json!({"keys": publics})).unwrap();
        assert!(warnings[0].contains("33 keys may be used with EdDSA"), "{warnings:?}");
        let verifies = |index: usize, named: bool| {
            let mut private = pairs[index].private.clone();
            if !named {
                private.as_object_mut().unwrap().remove("kid");
            }
            let key = SigningKey::parse(private.to_string().as_bytes(), None).unwrap();
            let token = key.sign(json!({"role": "r"}).as_object().unwrap()).unwrap();
            set.verify(&Token::parse(&token).unwrap()).is_ok()
        };
        assert!(verifies(MAX_KEYS_TRIED - 1, false));
        assert!(!verifies(MAX_KEYS_TRIED, false));
        assert!(verifies(MAX_KEYS_TRIED, true));
    }

    #[test]
    fn a_pem_file_is_no_secret() {
        let pem = b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n";
        assert!(KeySet::from_secret(pem).err().unwrap().to_string().contains("PEM"));
    }

    #[test]
    fn a_secret_needs_32_bytes() {
        let error = KeySet::from_secret(&[b'x'; 31]).err().unwrap();
        assert_eq!(error.to_string(), "The JWT secret must be at least 32 characters long.");
        assert!(KeySet::from_secret(&[0xff; 32]).is_ok());
    }
}
