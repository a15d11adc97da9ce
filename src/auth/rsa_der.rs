//! RSA private keys between their JWK members and DER: the nine integers of PKCS#1
//! (RFC 8017, appendix A.1.2), bare or in PKCS#8.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeyPair;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// The members of an RSA JWK in the order of PKCS#1 (RFC 7518, section 6.3).
pub(super) const MEMBERS: [&str; 8] = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];

/// The PKCS#1 form of a key whose integers, big-endian, come in the order of [`MEMBERS`].
pub(super) fn encode(integers: &[Vec<u8>; 8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(2048);
    // Version 0: two primes.
    element(INTEGER, &[0], &mut body);
    for integer in integers {
        let digits = &integer[integer.iter().take_while(|b| **b == 0).count()..];
        // Integers are signed, so a first bit that is set needs a zero before it.
        let sign: &[u8] = if digits.first().is_none_or(|b| b & 0x80 != 0) { &[0] } else { &[] };
        element(INTEGER, &[sign, digits].concat(), &mut body);
    }
    let mut out = Vec::with_capacity(body.len() + 8);
    element(SEQUENCE, &body, &mut out);
    out
}

/// The integers of a key pair in the order of [`MEMBERS`], without leading zeros.
pub(super) fn components(pair: &KeyPair) -> Option<[Vec<u8>; 8]> {
    let pkcs8 = pair.as_der().ok()?;
    let (info, _) = read(SEQUENCE, pkcs8.as_ref())?;
    let (_version, rest) = read(INTEGER, info)?;
    let (_algorithm, rest) = read(SEQUENCE, rest)?;
    let (key, _) = read(OCTET_STRING, rest)?;
    let (body, _) = read(SEQUENCE, key)?;
    let (_version, mut rest) = read(INTEGER, body)?;
    let mut integers: [Vec<u8>; 8] = Default::default();
    for integer in &mut integers {
        let (digits, after) = read(INTEGER, rest)?;
        *integer = digits[digits.iter().take_while(|b| **b == 0).count()..].to_vec();
        rest = after;
    }
    Some(integers)
}

fn element(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    match content.len() {
        short @ ..0x80 => out.push(short as u8),
        long => {
            let bytes = long.to_be_bytes();
            let digits = &bytes[bytes.iter().take_while(|b| **b == 0).count()..];
            out.push(0x80 | digits.len() as u8);
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(content);
}

/// The content of the first element, which must have that tag, and what comes after it.
fn read(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = if length < 0x80 {
        (length as usize, rest)
    } else {
        let (digits, rest) = rest.split_at_checked((length & 0x7f) as usize)?;
        (digits.iter().try_fold(0usize, |n, b| n.checked_mul(256)?.checked_add(*b as usize))?, rest)
    };
    (first == tag).then(|| rest.split_at_checked(length)).flatten()
}
