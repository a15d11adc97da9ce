//! One key that verifies tokens: from a secret or a JWK to prepared verifiers.
//!
//! What a key may be used for is the key's own business (RFC 8725, section 3.1): its family
//! and curve, and its `alg`, `use` and `key_ops` where it has them. A token only chooses
//! among what is left.

use super::KeyError;
use super::algorithm::Algorithm;
use aws_lc_rs::hmac;
use aws_lc_rs::signature as aws;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk, KeyOperations,
    PublicKeyUse,
};
use serde_json::Value;
use std::sync::Arc;

/// The least length of a secret: HMAC with SHA-256 wants a key as long as its output
/// (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// The sizes of RSA modulus that are verified, in bits (RFC 7518, section 3.3, for the least).
const RSA_MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

const HMAC: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];
const RSA: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// One key, with a prepared verifier for each algorithm that it may be used with.
pub(super) struct Key {
    /// How messages call it, such as `key 2 (kid "a", RSA)`.
    pub name: Arc<str>,
    pub kid: Option<String>,
    verifiers: Vec<(Algorithm, Verifier)>,
}

/// A key prepared for one algorithm. `jsonwebtoken` prepares keys anew for each signature,
/// which for HMAC is a third of the whole work, hence the direct use of aws-lc-rs.
enum Verifier {
    /// In a box because it is twenty times as large as a parsed public key.
    Hmac(Box<hmac::Key>),
    Public(aws::ParsedPublicKey),
}

impl Key {
    /// A secret in plain text, good for HS256 alone, as in PostgREST.
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeyError::new("The JWT secret must be at least 32 characters long."));
        }
        let verifiers = vec![hmac_verifier(Algorithm::Hs256, secret)];
        Ok(Key { name: "the secret".into(), kid: None, verifiers })
    }

    /// A key from its JWK (RFC 7517), which messages call `name`.
    pub fn from_jwk(value: &Value, name: &str) -> Result<Self, Unusable> {
        if let Some(reason) = missing_member(value) {
            return Err(Unusable::Malformed(reason));
        }
        let jwk: Jwk = serde_json::from_value(value.clone())
            .map_err(|error| Unusable::Malformed(error.to_string()))?;
        let common = &jwk.common;
        if !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return Err(Unusable::unsupported("its \"use\" is not \"sig\""));
        }
        if common.key_operations.as_ref().is_some_and(|o| !o.contains(&KeyOperations::Verify)) {
            return Err(Unusable::unsupported("its \"key_ops\" do not include \"verify\""));
        }
        let mut verifiers = verifiers(&jwk.algorithm, value)?;
        if let Some(alg) = value["alg"].as_str() {
            verifiers.retain(|(algorithm, _)| algorithm.as_str() == alg);
        }
        if verifiers.is_empty() {
            return Err(Unusable::unsupported("its \"alg\" does not suit its type"));
        }
        Ok(Key { name: name.into(), kid: jwk.common.key_id, verifiers })
    }

    /// The algorithms that the key may be used with.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.verifiers.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether the key may be used with `algorithm`.
    pub fn suits(&self, algorithm: Algorithm) -> bool {
        self.algorithms().any(|own| own == algorithm)
    }

    /// Whether `signature` is this key's signature of `message` with `algorithm`.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match self.verifiers.iter().find(|(a, _)| *a == algorithm) {
            // Compares in constant time.
            Some((_, Verifier::Hmac(key))) => hmac::verify(key, message, signature).is_ok(),
            Some((_, Verifier::Public(key))) => key.verify_sig(message, signature).is_ok(),
            None => false,
        }
    }
}

/// Why a JWK gives no key.
pub(super) enum Unusable {
    /// It lacks a member, or has one of the wrong type or coding.
    Malformed(String),
    /// It has the form of a key, but does not verify signatures here.
    Unsupported(String),
}

impl Unusable {
    fn unsupported(reason: &str) -> Self {
        Unusable::Unsupported(reason.to_owned())
    }

    /// The reason, for a message.
    pub fn reason(&self) -> &str {
        match self {
            Unusable::Malformed(reason) | Unusable::Unsupported(reason) => reason,
        }
    }
}

fn verifiers(
    parameters: &AlgorithmParameters,
    value: &Value,
) -> Result<Vec<(Algorithm, Verifier)>, Unusable> {
    match parameters {
        AlgorithmParameters::OctetKey(key) => {
            let secret = member_bytes("k", &key.value)?;
            if secret.len() < MIN_SECRET_BYTES {
                return Err(Unusable::unsupported("it has less than 32 bytes"));
            }
            Ok(HMAC.map(|algorithm| hmac_verifier(algorithm, &secret)).into())
        }
        AlgorithmParameters::RSA(key) => {
            rsa_verifiers(&member_bytes("n", &key.n)?, &member_bytes("e", &key.e)?)
        }
        AlgorithmParameters::EllipticCurve(key) => ec_verifiers(key),
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            let key = aws::ParsedPublicKey::new(&aws::ED25519, member_bytes("x", &key.x)?)
                .map_err(|_| Unusable::unsupported("its \"x\" is no public key"))?;
            Ok(vec![(Algorithm::EdDsa, Verifier::Public(key))])
        }
        _ => Err(other_type(value)),
    }
}

fn rsa_verifiers(n: &[u8], e: &[u8]) -> Result<Vec<(Algorithm, Verifier)>, Unusable> {
    // Some tools write leading zeros.
    let n = &n[n.iter().take_while(|b| **b == 0).count()..];
    let e = &e[e.iter().take_while(|b| **b == 0).count()..];
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if !RSA_MODULUS_BITS.contains(&bits) {
        return Err(Unusable::Unsupported(format!(
            "its modulus has {bits} bits, not 2048 to 8192"
        )));
    }
    let prepare = |algorithm| {
        let parsed = aws::RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(rsa_parameters(algorithm))
            .map_err(|_| Unusable::unsupported("its \"n\" and \"e\" are no public key"))?;
        Ok((algorithm, Verifier::Public(parsed)))
    };
    RSA.into_iter().map(prepare).collect()
}

fn rsa_parameters(algorithm: Algorithm) -> &'static aws::RsaParameters {
    match algorithm {
        Algorithm::Rs384 => &aws::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &aws::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &aws::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &aws::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &aws::RSA_PSS_2048_8192_SHA512,
        _ => &aws::RSA_PKCS1_2048_8192_SHA256,
    }
}

fn ec_verifiers(key: &EllipticCurveKeyParameters) -> Result<Vec<(Algorithm, Verifier)>, Unusable> {
    let (algorithm, verification, coordinate_bytes) = match key.curve {
        EllipticCurve::P256 => (Algorithm::Es256, &aws::ECDSA_P256_SHA256_FIXED, 32),
        EllipticCurve::P384 => (Algorithm::Es384, &aws::ECDSA_P384_SHA384_FIXED, 48),
        EllipticCurve::P521 => (Algorithm::Es512, &aws::ECDSA_P521_SHA512_FIXED, 66),
        _ => return Err(Unusable::unsupported("its curve is not supported")),
    };
    let (x, y) = (member_bytes("x", &key.x)?, member_bytes("y", &key.y)?);
    if x.len() != coordinate_bytes || y.len() != coordinate_bytes {
        let reason = format!("its coordinates do not have {coordinate_bytes} bytes each");
        return Err(Unusable::Unsupported(reason));
    }
    // An uncompressed point (SEC 1, section 2.3.3).
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    let key = aws::ParsedPublicKey::new(verification, point)
        .map_err(|_| Unusable::unsupported("its point is not on the curve"))?;
    Ok(vec![(algorithm, Verifier::Public(key))])
}

fn hmac_verifier(algorithm: Algorithm, secret: &[u8]) -> (Algorithm, Verifier) {
    let digest = match algorithm {
        Algorithm::Hs384 => hmac::HMAC_SHA384,
        Algorithm::Hs512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    (algorithm, Verifier::Hmac(Box::new(hmac::Key::new(digest, secret))))
}

/// Decodes a member of a JWK. Some tools write padding, which is dropped.
fn member_bytes(member: &str, text: &str) -> Result<Vec<u8>, Unusable> {
    URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| Unusable::Malformed(format!("its \"{member}\" is no base64url")))
}

/// Which member a JWK lacks (RFC 7518, section 6; RFC 8037, section 2).
fn missing_member(value: &Value) -> Option<String> {
    let needed: &[&str] = match value["kty"].as_str() {
        None => &["kty"],
        Some("oct") => &["k"],
        Some("RSA") => &["n", "e"],
        Some("EC") => &["crv", "x", "y"],
        Some("OKP") => &["crv", "x"],
        Some(_) => &[],
    };
    let missing = needed.iter().find(|name| !value[**name].is_string())?;
    let problem = if value[*missing].is_null() { "missing" } else { "no text" };
    let hint = if value["x5c"].is_array() { "; a certificate in \"x5c\" is not read" } else { "" };
    Some(format!("its {missing:?} is {problem}{hint}"))
}

/// Tells a key of a kind that is not supported from JSON that is no key.
fn other_type(value: &Value) -> Unusable {
    let has = |names: &[&str]| names.iter().all(|name| value[*name].is_string());
    match value["kty"].as_str() {
        Some("EC") if has(&["crv", "x", "y"]) => {
            Unusable::unsupported("its curve is not supported")
        }
        Some("OKP") if has(&["crv", "x"]) => Unusable::unsupported("its curve is not supported"),
        Some("EC" | "OKP" | "RSA" | "oct") => {
            Unusable::Malformed("a member is missing or of the wrong type".to_owned())
        }
        _ => Unusable::Malformed("its \"kty\" is unknown".to_owned()),
    }
}
