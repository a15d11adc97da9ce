//! Signing tokens, for the command line and for tests.

use super::KeyError;
use super::algorithm::Algorithm;
use super::key::MIN_SECRET_BYTES;
use super::rsa_der;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, crypto};
use serde_json::{Map, Value, json};

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
    algorithm: Algorithm,
    kid: Option<String>,
    key: Signer,
}

/// A private key, for those who can use it.
enum Signer {
    Jsonwebtoken(EncodingKey),
    /// On P-521, which `jsonwebtoken` does not know.
    P521(EcdsaKeyPair),
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

    fn new(algorithm: Algorithm, key: EncodingKey) -> Self {
        SigningKey { algorithm, kid: None, key: Signer::Jsonwebtoken(key) }
    }

    fn from_secret(secret: &[u8], algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeyError::new("The JWT secret must be at least 32 characters long."));
        }
        if algorithm.is_some_and(|algorithm| algorithm != Algorithm::Hs256) {
            return Err(KeyError::new("a plain secret signs with HS256 only; write it as a JWK"));
        }
        Ok(Self::new(Algorithm::Hs256, EncodingKey::from_secret(secret)))
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
        use Signer::{Jsonwebtoken, P521};
        let (key, algorithms) = match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
            (Some("oct"), _) => (Jsonwebtoken(EncodingKey::from_secret(&member("k")?)), HMAC),
            (Some("RSA"), _) => (Jsonwebtoken(rsa_key(member)?), RSA),
            (Some("EC"), Some("P-256")) => {
                (ec_key(&ECDSA_P256_SHA256_FIXED_SIGNING, member)?, ES256)
            }
            (Some("EC"), Some("P-384")) => {
                (ec_key(&ECDSA_P384_SHA384_FIXED_SIGNING, member)?, ES384)
            }
            (Some("EC"), Some("P-521")) => {
                (P521(ec_pair(&ECDSA_P521_SHA512_FIXED_SIGNING, member)?), ES512)
            }
            (Some("OKP"), Some("Ed25519")) => (Jsonwebtoken(ed_key(member)?), EDDSA),
            _ => return Err(KeyError::new("the \"kty\" or \"crv\" of the JWK is not supported")),
        };
        let algorithm = choose(own.or(algorithm), algorithms)?;
        Ok(SigningKey { algorithm, kid: jwk["kid"].as_str().map(str::to_owned), key })
    }

    fn from_pem(pem: &[u8], algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        if let Ok(key) = EncodingKey::from_rsa_pem(pem) {
            return Ok(Self::new(choose(algorithm, RSA)?, key));
        }
        if let Ok(key) = EncodingKey::from_ed_pem(pem) {
            return Ok(Self::new(choose(algorithm, EDDSA)?, key));
        }
        let key = EncodingKey::from_ec_pem(pem).map_err(|_| {
            KeyError::new("the PEM holds no private key that signs tokens (PKCS#8, or PKCS#1)")
        })?;
        let on = |curve| EcdsaKeyPair::from_pkcs8(curve, key.as_bytes());
        if let Ok(pair) = on(&ECDSA_P521_SHA512_FIXED_SIGNING) {
            let algorithm = choose(algorithm, ES512)?;
            return Ok(SigningKey { algorithm, kid: None, key: Signer::P521(pair) });
        }
        let p256 = on(&ECDSA_P256_SHA256_FIXED_SIGNING).is_ok();
        Ok(Self::new(choose(algorithm, if p256 { ES256 } else { ES384 })?, key))
    }

    /// Signs `claims`; the token carries the `kid` of the key.
    ///
    /// # Errors
    ///
    /// When the key cannot sign after all.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, KeyError> {
        let mut header = json!({"typ": "JWT", "alg": self.algorithm.as_str()});
        if let Some(kid) = &self.kid {
            header["kid"] = kid.as_str().into();
        }
        let part = |json: String| URL_SAFE_NO_PAD.encode(json);
        let claims = serde_json::to_string(claims).map_err(failed)?;
        let message = format!("{}.{}", part(header.to_string()), part(claims));
        let signature = self.signature(message.as_bytes())?;
        Ok(format!("{message}.{signature}"))
    }

    /// The signature of `message`, in base64url.
    fn signature(&self, message: &[u8]) -> Result<String, KeyError> {
        match (&self.key, self.algorithm.known_to_jsonwebtoken()) {
            (Signer::P521(pair), _) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(failed)?;
                Ok(URL_SAFE_NO_PAD.encode(signature))
            }
            (Signer::Jsonwebtoken(key), Some(algorithm)) => {
                crypto::sign(message, key, algorithm).map_err(failed)
            }
            (_, None) => Err(failed("the key does not suit its algorithm")),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> KeyError {
    KeyError::new(format!("signing failed: {error}"))
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

const HMAC: &[Algorithm] = &[Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];
const RSA: &[Algorithm] = &[
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];
const ES256: &[Algorithm] = &[Algorithm::Es256];
const ES384: &[Algorithm] = &[Algorithm::Es384];
const ES512: &[Algorithm] = &[Algorithm::Es512];
const EDDSA: &[Algorithm] = &[Algorithm::EdDsa];

fn parse_algorithm(name: &str) -> Result<Algorithm, KeyError> {
    name.parse().map_err(|_| KeyError::new(format!("there is no algorithm {name:?}")))
}

/// The wanted algorithm if the key suits it, or the first of those that it suits.
fn choose(wanted: Option<Algorithm>, suited: &[Algorithm]) -> Result<Algorithm, KeyError> {
    let algorithm = wanted.unwrap_or(suited[0]);
    if suited.contains(&algorithm) {
        Ok(algorithm)
    } else {
        let suited: Vec<_> = suited.iter().map(|suited| suited.as_str()).collect();
        Err(KeyError::new(format!("the key does not suit {algorithm}, but {}", suited.join(", "))))
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

fn ec_pair(
    curve: &'static EcdsaSigningAlgorithm,
    member: impl Fn(&str) -> Result<Vec<u8>, KeyError>,
) -> Result<EcdsaKeyPair, KeyError> {
    let point = [vec![4], member("x")?, member("y")?].concat();
    EcdsaKeyPair::from_private_key_and_public_key(curve, &member("d")?, &point)
        .map_err(|error| inconsistent("EC", error))
}

fn ec_key(
    curve: &'static EcdsaSigningAlgorithm,
    member: impl Fn(&str) -> Result<Vec<u8>, KeyError>,
) -> Result<Signer, KeyError> {
    let der = ec_pair(curve, member)?.to_pkcs8v1().map_err(|error| inconsistent("EC", error))?;
    Ok(Signer::Jsonwebtoken(EncodingKey::from_ec_der(der.as_ref())))
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
            (KeyKind::P521, ES512),
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
                let name = algorithm.as_str();
                let key = SigningKey::parse(private.to_string().as_bytes(), Some(name)).unwrap();
                let token = key.sign(&claims()).unwrap();
                assert_eq!(try_token(&authenticator, &token).expect(name).role, "reader");
                let other = keygen(kind, Some("k1")).unwrap();
                let stranger = with_secret(other.public.unwrap_or(other.private).to_string());
                assert!(try_token(&stranger, &token).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn a_public_half_holds_nothing_private() {
        for kind in [KeyKind::Rsa, KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519] {
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
        assert_eq!(key.kid.as_deref(), Some("b"));
        assert!(SigningKey::parse(br#"{"keys":[]}"#, None).is_err());
    }

    #[test]
    fn keys_in_pem_sign_too() {
        let pem = |der: &[u8]| {
            let body = base64::engine::general_purpose::STANDARD.encode(der);
            format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
        };
        let ec = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let p521 = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        for (der, algorithm) in [
            (ec.to_pkcs8v1().unwrap(), Algorithm::Es384),
            (p521.to_pkcs8v1().unwrap(), Algorithm::Es512),
            (ed.to_pkcs8v1().unwrap(), Algorithm::EdDsa),
        ] {
            let key = SigningKey::parse(pem(der.as_ref()).as_bytes(), None).unwrap();
            assert_eq!(key.algorithm, algorithm);
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
