//! Signing tokens, for the command line and for tests.

use super::KeyError;
use super::key::MIN_SECRET_BYTES;
use super::rsa_der;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};

/// A key that signs tokens.
///
/// ```
/// use goldenkey::auth::{KeyKind, SigningKey, keygen};
///
/// let pair = keygen(KeyKind::Ed25519, None)?;
/// let key = SigningKey::parse(pair.private.to_string().as_bytes(), None)?;
/// let token = key.sign(serde_json::json!({"role": "todo_user"}).as_object().unwrap())?;
/// assert_eq!(token.split('.').count(), 3);
/// # Ok::<(), goldenkey::auth::KeyError>(())
/// ```
pub struct SigningKey {
    header: Header,
    key: EncodingKey,
}

impl SigningKey {
    /// Reads a key: a private JWK, a JWKS (its first key that signs), a private key in PEM,
    /// or else a plain secret, as `jwt-secret` has it.
    ///
    /// `algorithm` chooses where the key leaves a choice, such as PS256 for an RSA key.
    ///
    /// # Errors
    ///
    /// When the key is no private one, is malformed, or does not suit the algorithm.
    pub fn parse(text: &[u8], algorithm: Option<&str>) -> Result<Self, KeyError> {
        let algorithm = algorithm.map(parse_algorithm).transpose()?;
        if text.trim_ascii_start().starts_with(b"-----BEGIN ") {
            return Self::from_pem(text, algorithm);
        }
        match serde_json::from_slice::<Value>(text) {
            Ok(Value::Object(set)) if set.get("keys").is_some_and(Value::is_array) => {
                let keys = set["keys"].as_array().into_iter().flatten();
                let mut last = KeyError::new("the JWKS has no keys");
                for jwk in keys {
                    match Self::from_jwk(jwk, algorithm) {
                        Ok(key) => return Ok(key),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Ok(jwk) if jwk["kty"].is_string() => Self::from_jwk(&jwk, algorithm),
            _ => Self::from_secret(text, algorithm),
        }
    }

    fn from_secret(secret: &[u8], algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeyError::new("The JWT secret must be at least 32 characters long."));
        }
        if algorithm.is_some_and(|algorithm| algorithm != Algorithm::HS256) {
            return Err(KeyError::new("a plain secret signs with HS256 only; write it as a JWK"));
        }
        let header = Header::new(Algorithm::HS256);
        Ok(SigningKey { header, key: EncodingKey::from_secret(secret) })
    }

    fn from_jwk(jwk: &Value, algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        let own = jwk["alg"].as_str().map(parse_algorithm).transpose()?;
        if own.is_some() && algorithm.is_some() && own != algorithm {
            return Err(KeyError::new(format!("the key is for {} only", jwk["alg"])));
        }
        let member = |name: &str| {
            let text = jwk[name].as_str().ok_or_else(|| {
                KeyError::new(format!("the JWK has no {name:?}, which a private key needs"))
            })?;
            URL_SAFE_NO_PAD
                .decode(text.trim_end_matches('='))
                .map_err(|_| KeyError::new(format!("{name:?} of the JWK is no base64url")))
        };
        let (key, algorithms) = match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
            (Some("oct"), _) => (EncodingKey::from_secret(&member("k")?), HMAC),
            (Some("RSA"), _) => (rsa_key(member)?, RSA),
            (Some("EC"), Some("P-256")) => (ec_key(Algorithm::ES256, member)?, ES256),
            (Some("EC"), Some("P-384")) => (ec_key(Algorithm::ES384, member)?, ES384),
            (Some("OKP"), Some("Ed25519")) => (ed_key(member)?, EDDSA),
            _ => return Err(KeyError::new("the \"kty\" or \"crv\" of the JWK is not supported")),
        };
        let mut header = Header::new(choose(own.or(algorithm), algorithms)?);
        header.kid = jwk["kid"].as_str().map(str::to_owned);
        Ok(SigningKey { header, key })
    }

    fn from_pem(pem: &[u8], algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        if let Ok(key) = EncodingKey::from_rsa_pem(pem) {
            return Ok(SigningKey { header: Header::new(choose(algorithm, RSA)?), key });
        }
        if let Ok(key) = EncodingKey::from_ed_pem(pem) {
            return Ok(SigningKey { header: Header::new(choose(algorithm, EDDSA)?), key });
        }
        let key = EncodingKey::from_ec_pem(pem).map_err(|_| {
            KeyError::new("the PEM holds no private key that signs tokens (PKCS#8, or PKCS#1)")
        })?;
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_bytes());
        let algorithms = if p256.is_ok() { ES256 } else { ES384 };
        Ok(SigningKey { header: Header::new(choose(algorithm, algorithms)?), key })
    }

    /// Signs `claims`; the token carries the `kid` of the key.
    ///
    /// # Errors
    ///
    /// When the key cannot sign after all.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, KeyError> {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .map_err(|error| KeyError::new(format!("signing failed: {error}")))
    }
}

/// Signs `claims` with the value of `jwt-secret`, if that can sign.
///
/// ```
/// let claims = serde_json::json!({"role": "todo_user"}).as_object().unwrap().clone();
/// let token = goldenkey::auth::sign(b"a secret of at least thirty-two bytes", &claims)?;
/// assert_eq!(token.split('.').count(), 3);
/// # Ok::<(), goldenkey::auth::KeyError>(())
/// ```
///
/// # Errors
///
/// When the secret is too short, or a key that only verifies.
pub fn sign(secret: &[u8], claims: &Map<String, Value>) -> Result<String, KeyError> {
    SigningKey::parse(secret, None)?.sign(claims)
}

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const ES256: &[Algorithm] = &[Algorithm::ES256];
const ES384: &[Algorithm] = &[Algorithm::ES384];
const EDDSA: &[Algorithm] = &[Algorithm::EdDSA];

fn parse_algorithm(name: &str) -> Result<Algorithm, KeyError> {
    name.parse().map_err(|_| KeyError::new(format!("there is no algorithm {name:?}")))
}

/// The wanted algorithm if the key suits it, or the first of those that it suits.
fn choose(wanted: Option<Algorithm>, suited: &[Algorithm]) -> Result<Algorithm, KeyError> {
    let algorithm = wanted.unwrap_or(suited[0]);
    if suited.contains(&algorithm) {
        Ok(algorithm)
    } else {
        Err(KeyError::new(format!("the key does not suit {algorithm:?}, but {suited:?}")))
    }
}

fn rsa_key(member: impl Fn(&str) -> Result<Vec<u8>, KeyError>) -> Result<EncodingKey, KeyError> {
    let mut integers: [Vec<u8>; 8] = Default::default();
    for (integer, name) in integers.iter_mut().zip(rsa_der::MEMBERS) {
        *integer = member(name)?;
    }
    let der = rsa_der::encode(&integers);
    RsaKeyPair::from_der(&der).map_err(|error| inconsistent("RSA", error))?;
    Ok(EncodingKey::from_rsa_der(&der))
}

fn ec_key(
    algorithm: Algorithm,
    member: impl Fn(&str) -> Result<Vec<u8>, KeyError>,
) -> Result<EncodingKey, KeyError> {
    let signing = match algorithm {
        Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => &ECDSA_P256_SHA256_FIXED_SIGNING,
    };
    let point = [vec![4], member("x")?, member("y")?].concat();
    let pair = EcdsaKeyPair::from_private_key_and_public_key(signing, &member("d")?, &point)
        .map_err(|error| inconsistent("EC", error))?;
    let der = pair.to_pkcs8v1().map_err(|error| inconsistent("EC", error))?;
    Ok(EncodingKey::from_ec_der(der.as_ref()))
}

fn ed_key(member: impl Fn(&str) -> Result<Vec<u8>, KeyError>) -> Result<EncodingKey, KeyError> {
    let pair = Ed25519KeyPair::from_seed_and_public_key(&member("d")?, &member("x")?)
        .map_err(|error| inconsistent("OKP", error))?;
    let der = pair.to_pkcs8v1().map_err(|error| inconsistent("OKP", error))?;
    Ok(EncodingKey::from_ed_der(der.as_ref()))
}

fn inconsistent(kind: &str, error: impl std::fmt::Display) -> KeyError {
    KeyError::new(format!("the private {kind} key is not valid: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::test_tokens::{try_token, with_secret};
    use crate::auth::{KeyKind, keygen};
    use serde_json::json;

    fn claims() -> Map<String, Value> {
        json!({"role": "reader"}).as_object().unwrap().clone()
    }

    #[test]
    fn every_kind_of_new_key_signs_what_its_public_half_verifies() {
        for (kind, algorithms) in [
            (KeyKind::Secret, HMAC),
            (KeyKind::Rsa, RSA),
            (KeyKind::P256, ES256),
            (KeyKind::P384, ES384),
            (KeyKind::Ed25519, EDDSA),
        ] {
            let pair = keygen(kind, Some("k1")).unwrap();
            let mut private = pair.private.clone();
            let mut public = pair.public.unwrap_or(pair.private);
            for jwk in [&mut private, &mut public] {
                jwk.as_object_mut().unwrap().remove("alg");
            }
            let authenticator = with_secret(public.to_string());
            for algorithm in algorithms {
                let name = format!("{algorithm:?}");
                let key = SigningKey::parse(private.to_string().as_bytes(), Some(&name)).unwrap();
                let token = key.sign(&claims()).unwrap();
                assert_eq!(try_token(&authenticator, &token).expect(&name).role, "reader");
                let other = keygen(kind, Some("k1")).unwrap();
                let stranger = with_secret(other.public.unwrap_or(other.private).to_string());
                assert!(try_token(&stranger, &token).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn a_public_half_holds_nothing_private() {
        for kind in [KeyKind::Rsa, KeyKind::P256, KeyKind::P384, KeyKind::Ed25519] {
            let public = keygen(kind, None).unwrap().public.unwrap();
            for name in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(public.get(name).is_none(), "{kind:?} {name}");
            }
            assert!(public["kid"].is_string());
            assert!(SigningKey::parse(public.to_string().as_bytes(), None).is_err());
        }
    }

    #[test]
    fn the_first_key_of_a_set_that_signs_is_taken() {
        let public = keygen(KeyKind::Rsa, Some("a")).unwrap().public.unwrap();
        let private = keygen(KeyKind::P256, Some("b")).unwrap().private;
        let set = json!({"keys": [public, private]}).to_string();
        let key = SigningKey::parse(set.as_bytes(), None).unwrap();
        assert_eq!(key.header.kid.as_deref(), Some("b"));
        assert!(SigningKey::parse(br#"{"keys":[]}"#, None).is_err());
    }

    #[test]
    fn keys_in_pem_sign_too() {
        let pem = |der: &[u8]| {
            let body = base64::engine::general_purpose::STANDARD.encode(der);
            format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
        };
        let ec = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        for (der, algorithm) in [
            (ec.to_pkcs8v1().unwrap(), Algorithm::ES384),
            (ed.to_pkcs8v1().unwrap(), Algorithm::EdDSA),
        ] {
            let key = SigningKey::parse(pem(der.as_ref()).as_bytes(), None).unwrap();
            assert_eq!(key.header.alg, algorithm);
            assert!(key.sign(&claims()).is_ok());
        }
    }

    #[test]
    fn what_cannot_sign_says_why() {
        let reason = |text: &str, algorithm| match SigningKey::parse(text.as_bytes(), algorithm) {
            Ok(_) => panic!("{text} signs"),
            Err(error) => error.to_string(),
        };
        assert!(reason("short", None).contains("at least 32 characters"));
        assert!(reason(&"x".repeat(32), Some("HS512")).contains("HS256 only"));
        assert!(reason(&"x".repeat(32), Some("XS256")).contains("no algorithm"));
        let rsa = keygen(KeyKind::Rsa, None).unwrap().private.to_string();
        assert!(reason(&rsa, Some("PS256")).contains("RS256"));
        let rsa = rsa.replace("\"alg\":\"RS256\",", "");
        assert!(reason(&rsa, Some("ES256")).contains("does not suit"));
        assert!(reason(r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, None).contains("\"d\""));
        assert!(reason("-----BEGIN PUBLIC KEY-----\n", None).contains("PEM"));
    }
}
