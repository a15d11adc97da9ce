//! One request and its answer: as much of HTTP/1.1 as probes and scrapers need. Each
//! connection serves one request.

use super::super::message::{sent_body, write_head};
use crate::http::Response;

/// The longest head of a request.
pub const HEAD_MAX_BYTES: usize = 8 << 10;

/// Header fields that a head may have.
const FIELDS_MAX: usize = 64;

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whether the method is `HEAD`.
    pub to_head: bool,
    /// The path without its query.
    pub path: String,
}

/// Reads a head; `None` when it is not whole.
///
/// # Errors
/// It is no request.
pub fn parse(head: &[u8]) -> Result<Option<Asked>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    if request.parse(head)?.is_partial() {
        return Ok(None);
    }
    let target = request.path.unwrap_or_default();
    let path = target.split(['?', '#']).next().unwrap_or_default().to_owned();
    Ok(Some(Asked { to_head: request.method == Some("HEAD"), path }))
}

/// The bytes of an answer.
pub fn to_bytes(response: &Response, to_head: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512 + response.body.len());
    write_head(&mut bytes, response, to_head, Some("close"));
    // Writing to a Vec cannot fail.
    let _ = sent_body(response, to_head).write_to(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_what_stands_before_the_query() {
        let parsed = |text: &str| parse(text.as_bytes()).ok().flatten();
        let of = |to_head: bool, path: &str| Some(Asked { to_head, path: path.to_owned() });
        assert_eq!(parsed("GET /live HTTP/1.1\r\n\r\n"), of(false, "/live"));
        assert_eq!(parsed("HEAD /ready?x=1 HTTP/1.0\r\nHost: a\r\n\r\n"), of(true, "/ready"));
        assert_eq!(parsed("GET /live HTTP/1.1\r\n"), None);
        assert!(parse(b"\x16\x03\x01\x02").is_err());
    }
}
