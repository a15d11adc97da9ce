//! The compact form of a signed token (RFC 7515, section 7.1), taken apart but not verified.
//!
//! Of the header only `alg`, `kid` and `crit` are read. Members that offer a key (`jwk`,
//! `jku`, `x5u`, `x5c`) are never looked at.

use super::algorithm::Algorithm;
use super::key::Key;
use super::refusal::Refusal;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, DecodeSliceError, Engine};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// The longest token that is looked at.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The longest signature: that of an RSA key of 8192 bits.
pub(super) const MAX_SIGNATURE_BYTES: usize = 1024;

/// A token taken apart; nothing in it can be trusted yet.
pub(super) struct Token<'a> {
    /// Header and payload with the dot between them: what the signature is of.
    pub signed: &'a str,
    pub header: Header,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Token<'a> {
    /// Splits a token and reads its header.
    pub fn parse(token: &'a str) -> Result<Self, Refusal> {
        if token.is_empty() {
            return Err(Refusal::EmptyToken);
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Malformed("it is longer than 16 KiB"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Parts(token.split('.').count()));
        };
        let signed = &token[..header.len() + 1 + payload.len()];
        Ok(Token { signed, header: Header::decode(header)?, payload, signature })
    }

    /// The payload as text, which is good for nothing before the signature has been verified.
    pub fn payload(&self) -> Result<String, Refusal> {
        let bytes = decode(self.payload, "its payload is no base64url")?;
        String::from_utf8(bytes).map_err(|_| Refusal::ClaimsUnreadable)
    }

    /// Whether it is signed with `key`.
    pub fn is_signed_with(&self, key: &Key) -> bool {
        let mut buffer = [0; MAX_SIGNATURE_BYTES];
        self.signature(&mut buffer).is_ok_and(|signature| {
            key.verify(self.header.algorithm, self.signed.as_bytes(), signature)
        })
    }

    /// The header as text, for people.
    pub fn header_text(&self) -> String {
        let part = self.signed.split('.').next().unwrap_or_default();
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The signature, decoded into `buffer`.
    pub fn signature<'b>(
        &self,
        buffer: &'b mut [u8; MAX_SIGNATURE_BYTES],
    ) -> Result<&'b [u8], Refusal> {
        match URL_SAFE_NO_PAD.decode_slice(self.signature, buffer) {
            Ok(length) => Ok(&buffer[..length]),
            // Another spelling of some signature, and spellings are not interchangeable.
            Err(DecodeSliceError::DecodeError(DecodeError::InvalidLastSymbol { .. }))
            | Err(DecodeSliceError::OutputSliceTooSmall) => Err(Refusal::BadSignature),
            Err(_) => Err(Refusal::Malformed("its signature is no base64url")),
        }
    }
}

/// What is used of the JOSE header (RFC 7515, section 4).
#[derive(Debug)]
pub(super) struct Header {
    pub algorithm: Algorithm,
    pub kid: Option<String>,
}

impl Header {
    fn decode(part: &str) -> Result<Self, Refusal> {
        let json = decode(part, "its header is no base64url")?;
        let fields: HeaderFields = serde_json::from_slice(&json)
            .map_err(|_| Refusal::Malformed("its header has no usable alg, kid or crit"))?;
        if fields.crit {
            // RFC 7515, section 4.1.11: extensions that are not understood must be refused.
            return Err(Refusal::Malformed("its header has crit, and no extension is supported"));
        }
        let algorithm = match &*fields.alg {
            "none" => return Err(Refusal::Unsecured),
            name => name.parse().map_err(|_| Refusal::Malformed("its alg is unknown"))?,
        };
        Ok(Header { algorithm, kid: fields.kid.map(Cow::into_owned) })
    }

    /// How to refuse a token that no key suits.
    pub fn no_suitable_key(&self) -> Refusal {
        match self.algorithm {
            // PostgREST has no PSS; without a key for it, the answer stays PostgREST's.
            Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => {
                Refusal::Malformed("no key has its kid and may be used with its alg")
            }
            _ => Refusal::NoSuitableKey,
        }
    }
}

/// The header as JSON; a name that is there twice is an error (RFC 7515, section 4).
#[derive(Deserialize)]
struct HeaderFields<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow, default)]
    kid: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "is_present")]
    crit: bool,
}

fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Decodes one part. Padding, white space, the other alphabet and stray bits at the end are
/// refused, so a token has one spelling only.
fn decode(part: &str, problem: &'static str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed(problem))
}
