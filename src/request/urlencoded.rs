//! `application/x-www-form-urlencoded`: query strings and form bodies.
//! <https://url.spec.whatwg.org/#application/x-www-form-urlencoded>, with `;` as a second
//! separator, as PostgREST has it.

use super::limits::not_utf8;
use crate::error::Result;
use std::borrow::Cow;

/// A name and the value behind its `=`, both decoded.
pub(super) type Pair<'a> = (Cow<'a, str>, Option<Cow<'a, str>>);

/// The pairs of a query or form, in order. `place` names it in an error.
pub(super) fn pairs<'a>(encoded: &'a [u8], place: &str) -> Result<Vec<Pair<'a>>> {
    let encoded = encoded.strip_prefix(b"?").unwrap_or(encoded);
    let encoded = encoded.strip_suffix(b"&").or(encoded.strip_suffix(b";")).unwrap_or(encoded);
    if encoded.is_empty() {
        return Ok(Vec::new());
    }
    let pieces = encoded.split(|b| matches!(b, b'&' | b';'));
    pieces
        .map(|piece| {
            let (name, value) = match memchr::memchr(b'=', piece) {
                Some(at) => (&piece[..at], Some(&piece[at + 1..])),
                None => (piece, None),
            };
            let value = value.map(|v| decode(v, Plus::IsSpace, place)).transpose()?;
            Ok((decode(name, Plus::IsSpace, place)?, value))
        })
        .collect()
}

/// What `+` stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    IsSpace,
    IsPlus,
}

/// Resolves percent-encoding. A `%` without two hexadecimal digits stands for itself.
pub(super) fn decode_bytes(encoded: &[u8], plus: Plus) -> Cow<'_, [u8]> {
    let special = |b: &u8| *b == b'%' || (*b == b'+' && plus == Plus::IsSpace);
    let Some(first) = encoded.iter().position(special) else {
        return Cow::Borrowed(encoded);
    };
    let mut decoded = Vec::with_capacity(encoded.len());
    decoded.extend_from_slice(&encoded[..first]);
    let mut rest = &encoded[first..];
    loop {
        rest = match rest {
            [b'%', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                decoded.push(nibble(*high) << 4 | nibble(*low));
                after
            }
            [b'+', after @ ..] if plus == Plus::IsSpace => {
                decoded.push(b' ');
                after
            }
            [byte, after @ ..] => {
                decoded.push(*byte);
                after
            }
            [] => return Cow::Owned(decoded),
        };
    }
}

/// The value of a hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// Resolves percent-encoding into text. Errors when the bytes are no UTF-8.
pub(super) fn decode<'a>(encoded: &'a [u8], plus: Plus, place: &str) -> Result<Cow<'a, str>> {
    match decode_bytes(encoded, plus) {
        Cow::Borrowed(bytes) => {
            std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| not_utf8(place))
        }
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| not_utf8(place)),
    }
}

/// A query in the order of its names, encoded anew, as `Content-Location` shows it: values
/// of the same name are joined with commas. Like PostgREST's it takes each byte of UTF-8 for
/// a character of its own, so what is outside ASCII comes out encoded twice.
pub(super) fn canonical(pairs: &[Pair]) -> String {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by(|a, b| pairs[*a].0.cmp(&pairs[*b].0));
    let mut text = String::with_capacity(pairs.iter().map(pair_length).sum::<usize>() * 5 / 4);
    let mut previous = None;
    for (name, value) in order.into_iter().map(|index| &pairs[index]) {
        if previous == Some(name) {
            text.push(',');
        } else {
            if previous.is_some() {
                text.push('&');
            }
            encode_twice(name, &mut text);
            text.push('=');
        }
        encode_twice(value.as_deref().unwrap_or_default(), &mut text);
        previous = Some(name);
    }
    text
}

fn pair_length((name, value): &Pair) -> usize {
    name.len() + value.as_ref().map_or(0, |v| v.len()) + 2
}

fn encode_twice(text: &str, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let escape = |byte: u8, into: &mut String| {
        into.push('%');
        into.push(char::from(HEX[usize::from(byte >> 4)]));
        into.push(char::from(HEX[usize::from(byte & 15)]));
    };
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                into.push(char::from(byte));
            }
            0..0x80 => escape(byte, into),
            _ => {
                escape(0xC0 | byte >> 6, into);
                escape(0x80 | byte & 0x3F, into);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_of(query: &str) -> String {
        canonical(&pairs(query.as_bytes(), "query string").unwrap())
    }

    #[test]
    fn the_canonical_query_is_sorted_and_encoded_anew() {
        assert_eq!(canonical_of("a=1&c=3&b=2&d"), "a=1&b=2&c=3&d=");
        assert_eq!(canonical_of("id=eq.1&id=eq.2"), "id=eq.1,eq.2");
        assert_eq!(canonical_of("&&select=id&&id=eq.1&"), "=,,&id=eq.1&select=id");
        assert_eq!(canonical_of("n=%C5%82+a%zz*"), "n=%C3%85%C2%82%20a%25zz%2A");
        assert_eq!(canonical_of(""), "");
    }

    #[test]
    fn bytes_that_are_no_utf8_are_refused() {
        let error = pairs(b"a=%ff", "query string").unwrap_err();
        assert_eq!((error.status(), error.message()), (400, "The query string is not valid UTF-8"));
    }

    #[test]
    fn a_percent_sign_without_digits_stands_for_itself() {
        assert_eq!(decode(b"100%", Plus::IsSpace, "x").unwrap(), "100%");
        assert_eq!(decode(b"%2", Plus::IsSpace, "x").unwrap(), "%2");
        assert_eq!(decode(b"a+%2B", Plus::IsPlus, "x").unwrap(), "a++");
    }
}
