//! The bytes of a response: status line, header fields and body framing (RFC 9112).

use super::SERVER_NAME;
use crate::http::{
    Body, RESPONSE_FIELDS_MAX, RESPONSE_HEAD_MAX_BYTES, Response, is_field_name, is_field_value,
};
use serde_json::json;
use std::borrow::Cow;
use std::cell::RefCell;
use std::io::Write;
use std::time::{Duration, SystemTime};

/// Header fields that the server itself decides.
const OWN_FIELDS: [&str; 6] =
    ["connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"];

/// Bodies up to this size are put behind their head, to go out in one write.
pub(super) const INLINE_BODY_MAX_BYTES: usize = 16 << 10;

/// What stands in a head beside the fields of the response: the status line, and up to five
/// fields of the server's own.
const OWN_HEAD_MAX_BYTES: usize = 1 << 10;
/// A reason phrase longer than this is not sent.
const REASON_MAX_BYTES: usize = 512;

/// Writes the head of a response. Fields that would break it, or that go beyond what the gate
/// carries, are left out. `to_head` is whether it answers a `HEAD` request;
/// `connection` is the value of its `Connection` field, when it has one.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    response: &Response,
    to_head: bool,
    connection: Option<&str>,
) {
    let own_reason = response.reason.as_deref().filter(|r| is_reason_phrase(r));
    let reason = own_reason
        .unwrap_or_else(|| tiny_http::StatusCode(response.status).default_reason_phrase());
    // An interim status would leave the client waiting for the final one.
    let status = Some(response.status).filter(|s| (200..=999).contains(s)).unwrap_or(500);
    // Writing to a Vec cannot fail, here and below.
    let _ = write!(out, "HTTP/1.1 {status} {reason}\r\nServer: {SERVER_NAME}\r\nDate: ");
    write_date(out);
    out.extend_from_slice(b"\r\n");
    let (mut fields_left, mut bytes_left) =
        (RESPONSE_FIELDS_MAX - OWN_FIELDS.len(), RESPONSE_HEAD_MAX_BYTES - OWN_HEAD_MAX_BYTES);
    for (name, value) in &response.headers {
        let bytes = name.len() + value.len() + 4;
        let fits = fields_left > 0 && bytes <= bytes_left;
        if fits && is_field_name(name) && !is_own_field(name) && is_field_value(value) {
            let _ = write!(out, "{name}: {value}\r\n");
            fields_left -= 1;
            bytes_left -= bytes;
        }
    }
    if let Some(value) = connection {
        let _ = write!(out, "Connection: {value}\r\n");
    }
    // What GET would have sent is not built for HEAD, so its length is not known.
    if may_have_body(response.status) && !(to_head && response.body.is_empty()) {
        let _ = write!(out, "Content-Length: {}\r\n", response.body.len());
    }
    out.extend_from_slice(b"\r\n");
}

/// The body that follows the head on the wire.
pub(super) fn sent_body(response: &Response, to_head: bool) -> &Body {
    if to_head || !may_have_body(response.status) { &Body::Empty } else { &response.body }
}

/// Whether a response of that status has a body (RFC 9110, section 6.4.1).
fn may_have_body(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 304)
}

/// An error of the server itself, in the form of the API's errors.
pub(super) fn error_response(
    status: u16,
    code: &str,
    message: &str,
    details: Option<&str>,
    hint: Option<&str>,
) -> Response {
    let body = json!({"code": code, "details": details, "hint": hint, "message": message});
    Response {
        status,
        headers: vec![(
            Cow::Borrowed("Content-Type"),
            "application/json; charset=utf-8".to_owned(),
        )],
        body: Body::from(body.to_string()),
        ..Response::default()
    }
}

fn is_own_field(name: &str) -> bool {
    OWN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether a reason phrase fits on the status line (RFC 9112, section 4).
fn is_reason_phrase(reason: &str) -> bool {
    reason.len() <= REASON_MAX_BYTES && !reason.chars().any(|c| c.is_control() && c != '\t')
}

/// Writes the current date; it is formatted once a second and thread.
fn write_date(out: &mut Vec<u8>) {
    thread_local! {
        static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO).as_secs();
    DATE.with_borrow_mut(|(second, text)| {
        if *second != now || text.is_empty() {
            *second = now;
            *text = httpdate::fmt_http_date(SystemTime::now());
        }
        out.extend_from_slice(text.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(response: &Response, to_head: bool) -> String {
        let mut out = Vec::new();
        write_head(&mut out, response, to_head, None);
        String::from_utf8(out).unwrap()
    }

    fn response(status: u16, body: &str) -> Response {
        Response { status, body: body.to_owned().into(), ..Response::default() }
    }

    #[test]
    fn a_response_names_server_date_and_length() {
        let head = head(&response(200, "four"), false);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nServer: goldenkey/"), "{head}");
        assert!(head.contains("\r\nDate: ") && head.contains(" GMT\r\n"), "{head}");
        assert!(head.ends_with("\r\nContent-Length: 4\r\n\r\n"), "{head}");
    }

    #[test]
    fn a_reason_phrase_replaces_the_usual_one_unless_it_would_break_the_head() {
        let with = |reason: &str| {
            head(&Response { reason: Some(reason.into()), ..response(404, "") }, false)
        };
        assert!(with("Lost for words").starts_with("HTTP/1.1 404 Lost for words\r\nServer: "));
        for broken in ["a\r\nX-Split: b", "a\nb", "\0"] {
            assert!(with(broken).starts_with("HTTP/1.1 404 Not Found\r\nServer: "));
        }
    }

    #[test]
    fn statuses_without_a_body_have_no_length() {
        for status in [204, 304] {
            let response = response(status, "stray");
            assert!(!head(&response, false).contains("Content-Length"));
            assert!(sent_body(&response, false).is_empty());
        }
    }

    #[test]
    fn an_empty_body_has_the_length_zero_except_for_head() {
        assert!(head(&response(201, ""), false).contains("Content-Length: 0\r\n"));
        assert!(!head(&response(200, ""), true).contains("Content-Length"));
        assert!(head(&response(404, "lost"), true).contains("Content-Length: 4\r\n"));
        assert!(sent_body(&response(404, "lost"), true).is_empty());
    }

    #[test]
    fn fields_that_would_break_the_head_are_left_out() {
        let mut response = response(200, "");
        for (name, value) in [
            ("X-Split", "a\r\nSet-Cookie: b"),
            ("X-Delete", "a\x7f"),
            ("X-Bell", "a\x07"),
            ("X Space", "a"),
            ("Transfer-Encoding", "chunked"),
            ("X-Good", "ä"),
        ] {
            response.headers.push((Cow::Borrowed(name), value.to_owned()));
        }
        let head = head(&response, false);
        assert!(head.contains("X-Good: ä\r\n"), "{head}");
        for left_out in ["Split", "Cookie", "Delete", "Bell", "Space", "Transfer-Encoding"] {
            assert!(!head.contains(left_out), "{head}");
        }
    }

    #[test]
    fn a_head_is_never_more_than_the_gate_carries() {
        let mut response = response(200, "");
        response.headers.push((Cow::Borrowed("X-Vast"), "v".repeat(RESPONSE_HEAD_MAX_BYTES)));
        for number in 0..2 * RESPONSE_FIELDS_MAX {
            response.headers.push((format!("X-{number}").into(), "v".repeat(2 << 10)));
        }
        let head = head(&response, false);
        assert!(head.len() < RESPONSE_HEAD_MAX_BYTES && !head.contains("X-Vast"));
        assert!(head.lines().count() <= RESPONSE_FIELDS_MAX && head.contains("X-200: "));
    }

    #[test]
    fn an_interim_status_is_no_answer() {
        assert!(head(&response(100, ""), false).starts_with("HTTP/1.1 500 "));
    }
}
