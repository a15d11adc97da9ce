//! A response as it comes back from tiny_http: where it ends, and its head made ready for the
//! client.
//!
//! Only this process writes to a private connection, so what is not expected here is a fault
//! of the connection, not something to make the best of.

use crate::http::{RESPONSE_FIELDS_MAX, RESPONSE_HEAD_MAX_BYTES};
use memchr::memmem;

/// The head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResponseHead {
    /// Bytes up to the empty line that ends the head, without that line.
    pub(super) fields_end: usize,
    /// Bytes of the body that follow the empty line.
    pub(super) body_bytes: u64,
    /// Whether tiny_http closes the private connection after it.
    pub(super) last: bool,
}

/// What came back cannot be a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl ResponseHead {
    /// Reads a head at the beginning of `bytes`; `None` when it is not whole yet. `to_head` is
    /// whether the request was `HEAD`.
    pub(super) fn parse(bytes: &[u8], to_head: bool) -> Result<Option<ResponseHead>, Broken> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            return if bytes.len() < RESPONSE_HEAD_MAX_BYTES { Ok(None) } else { Err(Broken) };
        };
        let mut storage = [httparse::EMPTY_HEADER; RESPONSE_FIELDS_MAX];
        let mut response = httparse::Response::new(&mut storage);
        response.parse(&bytes[..end + 4]).map_err(|_| Broken)?;
        let status = response.code.ok_or(Broken)?;
        let (mut length, mut last) = (None, false);
        for field in response.headers.iter() {
            if field.name.eq_ignore_ascii_case("Content-Length") {
                let text = std::str::from_utf8(field.value).map_err(|_| Broken)?;
                length = Some(text.parse().map_err(|_| Broken)?);
            } else if field.name.eq_ignore_ascii_case("Transfer-Encoding") {
                return Err(Broken);
            } else if field.name.eq_ignore_ascii_case("Connection") {
                last = true;
            }
        }
        let body_bytes = match (to_head || matches!(status, 204 | 304), length) {
            (true, _) => 0,
            (false, Some(length)) => length,
            (false, None) => return Err(Broken),
        };
        Ok(Some(ResponseHead { fields_end: end + 2, body_bytes, last }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_response_is_found() {
        let bytes = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 4\r\n\r\nfour";
        let head = ResponseHead::parse(bytes, false).unwrap().unwrap();
        assert_eq!(head.fields_end, bytes.len() - 6);
        assert_eq!(head.body_bytes, 4);
        assert!(!head.last);
        assert_eq!(ResponseHead::parse(bytes, true).unwrap().unwrap().body_bytes, 0);
        assert_eq!(ResponseHead::parse(&bytes[..40], false), Ok(None));
    }

    #[test]
    fn a_response_without_a_body_needs_no_length() {
        let empty = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        let head = ResponseHead::parse(empty, false).unwrap().unwrap();
        assert_eq!((head.body_bytes, head.last), (0, true));
    }

    #[test]
    fn what_workers_never_send_breaks_the_connection() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"nonsense\r\n\r\n",
        ] {
            assert_eq!(ResponseHead::parse(bytes, false), Err(Broken), "{bytes:?}");
        }
    }
}
