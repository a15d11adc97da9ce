//! New keys, as JWK: for the command `goldenkey keygen`.

use super::KeyError;
use super::rsa_der;
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use serde_json::{Value, json};
use std::str::FromStr;

/// The length of a new secret. HS512 wants 64 bytes, and more does not hurt HS256.
const SECRET_BYTES: usize = 64;

/// What kind of key to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// A shared secret, for HS256.
    Secret,
    /// RSA with 2048 bits, for RS256.
    Rsa,
    /// The curve P-256, for ES256.
    P256,
    /// The curve P-384, for ES384.
    P384,
    /// The curve P-521, for ES512.
    P521,
    /// The curve Ed25519, for EdDSA.
    Ed25519,
}

impl FromStr for KeyKind {
    type Err = KeyError;

    /// Reads `secret`, `rsa`, `ec` (or `p256`), `p384`, `p521` or `ed25519`.
    fn from_str(name: &str) -> Result<Self, KeyError> {
        match name {
            "secret" => Ok(KeyKind::Secret),
            "rsa" => Ok(KeyKind::Rsa),
            "ec" | "p256" => Ok(KeyKind::P256),
            "p384" => Ok(KeyKind::P384),
            "p521" => Ok(KeyKind::P521),
            "ed25519" => Ok(KeyKind::Ed25519),
            _ => Err(KeyError::new(format!(
                "there is no kind of key {name:?}, but secret, rsa, ec, p384, p521 and ed25519"
            ))),
        }
    }
}

/// A new key.
#[derive(Debug, Clone)]
pub struct GeneratedKey {
    /// The JWK that signs, to be kept secret.
    pub private: Value,
    /// The JWK that verifies, for `jwt-secret`; a secret has none beside itself.
    pub public: Option<Value>,
}

/// Makes a key. Its `kid` is the given one, or else the thumbprint of the public key
/// (RFC 7638); a secret gets none unless it is given.
///
/// # Errors
///
/// When the system gives no randomness.
pub fn keygen(kind: KeyKind, kid: Option<&str>) -> Result<GeneratedKey, KeyError> {
    let (mut public, private) = match kind {
        KeyKind::Secret => (json!({"kty": "oct", "alg": "HS256"}), secret()?),
        KeyKind::Rsa => rsa()?,
        KeyKind::P256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", "ES256")?,
        KeyKind::P384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", "ES384")?,
        KeyKind::P521 => ec(&ECDSA_P521_SHA512_FIXED_SIGNING, "P-521", "ES512")?,
        KeyKind::Ed25519 => ed25519()?,
    };
    public["use"] = "sig".into();
    let kid = match (kid, kind) {
        (None, KeyKind::Secret) => None,
        (Some(kid), _) => Some(kid.to_owned()),
        (None, _) => Some(thumbprint(&public)?),
    };
    if let Some(kid) = kid {
        public["kid"] = kid.into();
    }
    let mut signing = public.clone();
    for (name, bytes) in private {
        signing[name] = encode(bytes).into();
    }
    Ok(GeneratedKey { private: signing, public: (kind != KeyKind::Secret).then_some(public) })
}

type PrivateMembers = Vec<(&'static str, Vec<u8>)>;

fn secret() -> Result<PrivateMembers, KeyError> {
    let mut bytes = [0; SECRET_BYTES];
    rand::fill(&mut bytes).map_err(failed)?;
    Ok(vec![("k", bytes.to_vec())])
}

fn rsa() -> Result<(Value, PrivateMembers), KeyError> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let integers = rsa_der::components(&pair).ok_or_else(|| failed("unexpected DER"))?;
    let mut members = rsa_der::MEMBERS.into_iter().zip(integers);
    let mut public = json!({"kty": "RSA", "alg": "RS256"});
    for (name, bytes) in members.by_ref().take(2) {
        public[name] = encode(bytes).into();
    }
    Ok((public, members.collect()))
}

fn ec(
    signing: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm,
    curve: &str,
    algorithm: &str,
) -> Result<(Value, PrivateMembers), KeyError> {
    let pair = EcdsaKeyPair::generate(signing).map_err(failed)?;
    let private: EcPrivateKeyBin = pair.private_key().as_be_bytes().map_err(failed)?;
    // An uncompressed point: 4, x, y.
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at(point.len() / 2);
    let public = json!({
        "kty": "EC", "crv": curve, "alg": algorithm, "x": encode(x), "y": encode(y),
    });
    Ok((public, vec![("d", private.as_ref().to_vec())]))
}

fn ed25519() -> Result<(Value, PrivateMembers), KeyError> {
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let seed = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(failed)?;
    let x = encode(pair.public_key());
    let public = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x});
    Ok((public, vec![("d", seed.as_ref().to_vec())]))
}

fn thumbprint(public: &Value) -> Result<String, KeyError> {
    let jwk: Jwk = serde_json::from_value(public.clone()).map_err(failed)?;
    jwk.thumbprint(ThumbprintHash::SHA256).map_err(failed)
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn failed(error: impl std::fmt::Display) -> KeyError {
    KeyError::new(format!("no key could be made: {error}"))
}
