//! Why the gate itself answers a request instead of a worker: one table of statuses and codes.

use crate::http::Response;
use crate::server::message::error_response;
use std::borrow::Cow;

/// A request that no worker gets to see. `docs/gate.md` lists the codes for users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 400: the request breaks the syntax of HTTP; the text says where.
    Malformed(&'static str),
    /// 408: the head did not arrive in time.
    HeadTimeout,
    /// 408: the body arrived too slowly.
    BodyTimeout,
    /// 413: the body exceeds its limit.
    BodyTooLarge,
    /// 414: the request line exceeds the limit of the head.
    TargetTooLong,
    /// 417: an expectation other than `100-continue`.
    Expectation,
    /// 431: the head exceeds its limit.
    HeadTooLarge,
    /// 501: a transfer coding other than `chunked`.
    TransferCoding,
    /// 501: `CONNECT`.
    Tunnel,
    /// 502: tiny_http broke the private connection before the whole response had come.
    NoAnswer,
    /// 503: too many requests wait for a worker.
    QueueFull,
    /// 503: no worker was free in time.
    QueueTimeout,
    /// 503: the buffers of the gate are full.
    BuffersFull,
    /// 503: too many connections, in all or from one address.
    TooManyConnections,
    /// 505: a version other than HTTP/1.0 and HTTP/1.1.
    Version,
}

impl Fault {
    /// Status, code and message.
    fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Fault::Malformed(_) => (400, "GK100", "The request is malformed"),
            Fault::HeadTimeout => (408, "GK101", "The head of the request did not arrive in time"),
            Fault::BodyTimeout => (408, "GK102", "The body of the request arrived too slowly"),
            Fault::BodyTooLarge => (413, "GK103", "The body of the request is too large"),
            Fault::TargetTooLong => (414, "GK104", "The target of the request is too long"),
            Fault::Expectation => (417, "GK105", "The expectation is not known"),
            Fault::HeadTooLarge => (431, "GK106", "The head of the request is too large"),
            Fault::TransferCoding => (501, "GK107", "The transfer coding is not known"),
            Fault::Tunnel => (501, "GK108", "The server is not a proxy"),
            Fault::Version => (505, "GK109", "The version of HTTP is not supported"),
            Fault::QueueFull => (503, "GK200", "Too many requests are waiting"),
            Fault::QueueTimeout => (503, "GK201", "No worker was free in time"),
            Fault::BuffersFull => (503, "GK202", "The server's buffers are full"),
            Fault::TooManyConnections => (503, "GK203", "Too many connections"),
            Fault::NoAnswer => (502, "GK901", "The request was left unanswered"),
        }
    }

    /// What the operator can set.
    fn hint(self) -> Option<&'static str> {
        Some(match self {
            Fault::HeadTimeout => "The setting server-head-timeout is the limit.",
            Fault::BodyTimeout => "The setting server-body-min-bytes-per-second is the limit.",
            Fault::BodyTooLarge => "The setting server-max-body-bytes is the limit.",
            Fault::TargetTooLong => "The setting server-max-head-bytes is the limit.",
            Fault::HeadTooLarge => {
                "The setting server-max-head-bytes is the limit, and 128 fields are."
            }
            Fault::QueueFull => "The setting server-max-waiting is the limit.",
            Fault::QueueTimeout => "The setting server-max-waiting-seconds is the limit.",
            Fault::BuffersFull => "The setting server-max-buffer-bytes is the limit.",
            Fault::TooManyConnections => {
                "The settings server-max-connections and server-max-connections-per-address are \
                 the limits."
            }
            _ => return None,
        })
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.row().0
    }

    /// Whether the connection can serve another request: the whole request was read, and
    /// where the next one begins is beyond doubt.
    pub fn keeps_connection(self) -> bool {
        matches!(self, Fault::QueueFull | Fault::QueueTimeout)
    }

    /// The answer.
    pub fn response(self) -> Response {
        let (status, code, message) = self.row();
        let details = match self {
            Fault::Malformed(details) => Some(details),
            _ => None,
        };
        let mut response = error_response(status, code, message, details, self.hint());
        if status == 503 {
            response.headers.push((Cow::Borrowed("Retry-After"), "1".to_owned()));
        }
        response
    }
}
