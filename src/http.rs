//! An HTTP request and response as plain values.
//!
//! Nothing here knows a socket: the server turns what it read into a [`Request`], and
//! writes a [`Response`] out, so that tests, benches and fuzzers call the application
//! directly.

use crate::cancel::Cancel;
use std::borrow::Cow;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;

/// A request, whole: head and body are in memory.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The method as sent; methods are case-sensitive (RFC 9110, section 9.1).
    pub method: String,
    /// The path of the request target as sent, percent-encoded, without the query.
    pub path: String,
    /// The query of the request target as sent, without the `?`.
    pub query: String,
    /// The header fields in the order of the message.
    pub headers: Headers,
    /// The body, with transfer codings removed.
    pub body: Vec<u8>,
    /// The client's address; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// Tells when the client goes away before it is answered; `None` when nobody watches it.
    pub cancel: Option<Arc<Cancel>>,
}

/// Header fields in the order of the message. Names compare without regard to case.
#[derive(Debug, Clone, Default)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The value of the first field of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The values of all fields of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// All fields, as name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

/// Header fields of a response at most, those that the server adds among them.
pub const RESPONSE_FIELDS_MAX: usize = 256;
/// Bytes of a response's head at most.
pub const RESPONSE_HEAD_MAX_BYTES: usize = 1 << 20;

/// Whether a field of a message can have this name: it is a token (RFC 9110, section 5.6.2).
pub fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether a field can have this value (RFC 9110, section 5.5): it cannot end its line, nor hold
/// anything else that peers refuse. A function in the database may have made it.
pub fn is_field_value(value: &str) -> bool {
    !value.bytes().any(|b| matches!(b, 0..=0x08 | 0x0a..=0x1f | 0x7f))
}

/// A response, whole. `Content-Length`, `Date`, `Server` and `Connection` are not among
/// its headers: the server adds them.
#[derive(Debug, Default)]
pub struct Response {
    /// The status code, 100 to 999.
    pub status: u16,
    /// What follows the status code; `None` for the phrase that is usual with it.
    pub reason: Option<Box<str>>,
    /// The header fields; a name may occur more than once.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body; for `HEAD` what `GET` would have sent is not built.
    pub body: Body,
    /// The database role that the request had, for the log; it is not sent.
    pub role: Option<Box<str>>,
}

impl Response {
    /// The value of the first field of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// A response body, kept in whatever already holds its bytes.
#[derive(Default)]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// Bytes built here.
    Bytes(Vec<u8>),
    /// Bytes that stay in the buffer they arrived in, such as a row of a result.
    Shared(Box<dyn AsRef<[u8]> + Send>),
    /// The same, as two hexadecimal digits a byte.
    Hex(Box<dyn AsRef<[u8]> + Send>),
}

/// Bytes that are decoded at once while a body is written.
const DECODED_BYTES: usize = 16 << 10;

impl Body {
    /// The number of bytes.
    pub fn len(&self) -> usize {
        match self {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.len(),
            Body::Shared(owner) => (**owner).as_ref().len(),
            Body::Hex(owner) => (**owner).as_ref().len() / 2,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        match self {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.capacity(),
            Body::Shared(owner) | Body::Hex(owner) => (**owner).as_ref().len(),
        }
    }

    /// The bytes from `offset` on: all of them, or as many as are decoded at once into
    /// `decoded`.
    pub fn piece<'a>(&'a self, offset: usize, decoded: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Body::Empty => &[],
            Body::Bytes(bytes) => bytes.get(offset..).unwrap_or(&[]),
            Body::Shared(owner) => (**owner).as_ref().get(offset..).unwrap_or(&[]),
            Body::Hex(owner) => {
                let digits = (**owner).as_ref().get(2 * offset..).unwrap_or(&[]);
                let digits = &digits[..digits.len().min(2 * DECODED_BYTES)];
                decoded.clear();
                decoded.extend(digits.chunks_exact(2).map(|pair| byte_of(pair[0], pair[1])));
                decoded
            }
        }
    }

    /// Writes the bytes.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Body::Empty => Ok(()),
            Body::Bytes(bytes) => out.write_all(bytes),
            Body::Shared(owner) => out.write_all((**owner).as_ref()),
            Body::Hex(owner) => {
                let mut decoded = Vec::with_capacity(DECODED_BYTES.min(self.len()));
                for digits in (**owner).as_ref().chunks(2 * DECODED_BYTES) {
                    decoded.clear();
                    decoded.extend(digits.chunks_exact(2).map(|pair| byte_of(pair[0], pair[1])));
                    out.write_all(&decoded)?;
                }
                Ok(())
            }
        }
    }

    /// The bytes, in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        // Writing to a Vec cannot fail.
        let _ = self.write_to(&mut bytes);
        bytes
    }
}

/// The byte that two hexadecimal digits stand for.
fn byte_of(high: u8, low: u8) -> u8 {
    let value = |digit: u8| (digit as char).to_digit(16).unwrap_or(0) as u8;
    value(high) << 4 | value(low)
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.to_vec()))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Body::Bytes(text.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hexadecimal_bodies_become_their_bytes(
            bytes in proptest::collection::vec(any::<u8>(), 0..3 * DECODED_BYTES),
        ) {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let body = Body::Hex(Box::new(digits));
            prop_assert_eq!(body.len(), bytes.len());
            prop_assert_eq!(body.to_vec(), bytes);
        }
    }
}
