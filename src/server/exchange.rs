//! One request taken from tiny_http and answered: the only place that knows tiny_http's types,
//! beside the pool that waits for them. What the gate sent is answered in `reply`; here are
//! the requests of clients that tiny_http itself listens to.

use super::flights::Flights;
use super::gate::Fault;
use super::limits::Limits;
use super::message::{INLINE_BODY_MAX_BYTES, error_response, sent_body, write_head};
use super::{Exchange, Handler};
use crate::cancel::Cancel;
use crate::http::{Headers, Request, Response};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// First allocation for a body, whatever length its request promises.
const BODY_FIRST_ALLOCATION_BYTES: usize = 64 << 10;
/// What is read and thrown away of a body that is too large. tiny_http reads the rest when it
/// drops the request, into an allocation of the length that was promised.
const DISCARD_MAX_BYTES: u64 = 64 << 20;

/// The status logged when the client left before the answer.
pub(super) const CLIENT_GONE: u16 = 499;

/// Whether a connection serves further requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// As the request's version and `Connection` field say.
    AsRequested,
    /// The client is asked to open a new connection.
    Close,
}

/// What a worker needs to serve a request.
pub(super) struct Service {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) body_max_bytes: usize,
    pub(super) limits: Limits,
    /// Where the gate's requests are; `None` without the gate.
    pub(super) flights: Option<Arc<Flights>>,
}

/// Why a request was not given to the handler.
enum Refusal {
    /// The client has left in the middle of its request.
    Gone,
    /// The framing contradicts itself.
    Malformed(&'static str),
    /// The body exceeds the limit; this many bytes are promised still, `u64::MAX` when unknown.
    TooLarge { promised: u64 },
}

impl Service {
    /// Answers one request. Never panics, whatever the handler does.
    pub(super) fn serve(&self, request: tiny_http::Request, persistence: Persistence) {
        let served = catch_unwind(AssertUnwindSafe(|| match &self.flights {
            Some(flights) => self.reply(flights, request),
            None => self.answer(request, persistence),
        }));
        if served.is_err() {
            log::error!("a panic left a request unanswered");
        }
    }

    fn answer(&self, mut incoming: tiny_http::Request, persistence: Persistence) {
        let arrived = Instant::now();
        let read = self.read_body(&mut incoming);
        let log = LogFields::of(&incoming, arrived);
        let response = match read {
            Ok(body) => self.handle(request_of(&incoming, body), &log),
            Err(Refusal::Gone) => return,
            Err(Refusal::Malformed(details)) => Fault::Malformed(details).response(),
            Err(Refusal::TooLarge { promised }) => {
                let response = Fault::BodyTooLarge.response();
                if promised == u64::MAX || promised > DISCARD_MAX_BYTES {
                    self.finished(&log, &response);
                    return give_up(incoming, &response, promised, persistence);
                }
                response
            }
        };
        self.finished(&log, &response);
        send(incoming, &response, persistence);
    }

    /// The handler's response, or a 500 when it panics.
    pub(super) fn handle(&self, request: Request, log: &LogFields<'_>) -> Response {
        catch_unwind(AssertUnwindSafe(|| self.handler.handle(request))).unwrap_or_else(|_| {
            log::error!("{} {}: the request panicked", log.method, log.target);
            error_response(500, "GK500", "The server failed to answer the request", None, None)
        })
    }

    /// Tells the handler of an answered request.
    pub(super) fn finished(&self, log: &LogFields<'_>, response: &Response) {
        let gone = log.cancel.is_some_and(Cancel::is_cancelled);
        self.handler.finished(&Exchange {
            method: log.method,
            target: log.target,
            version: log.version,
            status: if gone { CLIENT_GONE } else { response.status },
            body_bytes: sent_body(response, log.method == "HEAD").len() as u64,
            duration: log.arrived.elapsed(),
            peer: log.peer,
            user_agent: log.user_agent,
            role: response.role.as_deref(),
            waited: log.waited,
        });
    }

    fn read_body(&self, incoming: &mut tiny_http::Request) -> Result<Vec<u8>, Refusal> {
        let limit = self.body_max_bytes as u64;
        let lengths = count_fields(incoming, "Content-Length");
        let chunked = count_fields(incoming, "Transfer-Encoding") > 0;
        let length = match incoming.body_length() {
            _ if lengths > 1 || (lengths > 0 && chunked) => {
                return Err(Refusal::Malformed("The length of the body is stated twice."));
            }
            None if lengths > 0 => {
                return Err(Refusal::Malformed("Content-Length is not a number."));
            }
            None if !chunked => return Ok(Vec::new()),
            Some(length) if length as u64 > limit => {
                return Err(Refusal::TooLarge { promised: length as u64 });
            }
            length => length,
        };
        let capacity = length.unwrap_or(0).min(BODY_FIRST_ALLOCATION_BYTES);
        let mut body = Vec::with_capacity(capacity);
        // One byte more than the limit shows that a chunked body exceeds it.
        let wanted = length.map_or(limit.saturating_add(1), |length| length as u64);
        let read = incoming.as_reader().take(wanted).read_to_end(&mut body);
        match length {
            _ if read.is_err() => Err(Refusal::Gone),
            Some(length) if body.len() < length => Err(Refusal::Gone),
            None if body.len() as u64 > limit => Err(Refusal::TooLarge { promised: u64::MAX }),
            _ => Ok(body),
        }
    }
}

/// What the access log tells of a request.
pub(super) struct LogFields<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) version: u8,
    pub(super) peer: Option<IpAddr>,
    pub(super) user_agent: Option<&'a str>,
    pub(super) arrived: Instant,
    pub(super) waited: Duration,
    pub(super) cancel: Option<&'a Cancel>,
}

impl<'a> LogFields<'a> {
    fn of(incoming: &'a tiny_http::Request, arrived: Instant) -> LogFields<'a> {
        let user_agent = incoming.headers().iter().find(|h| h.field.equiv("User-Agent"));
        LogFields {
            method: incoming.method().as_str(),
            target: incoming.url(),
            version: incoming.http_version().1,
            peer: incoming.remote_addr().map(|address| address.ip()),
            user_agent: user_agent.map(|h| h.value.as_str()),
            arrived,
            waited: Duration::ZERO,
            cancel: None,
        }
    }
}

/// The request as plain values.
fn request_of(incoming: &tiny_http::Request, body: Vec<u8>) -> Request {
    let (path, query) = incoming.url().split_once('?').unwrap_or((incoming.url(), ""));
    let fields = incoming.headers().iter();
    let headers =
        fields.map(|h| (h.field.as_str().as_str().to_owned(), h.value.as_str().to_owned()));
    Request {
        method: incoming.method().as_str().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: Headers(headers.collect()),
        body,
        peer: incoming.remote_addr().map(|address| address.ip()),
        cancel: None,
    }
}

fn send(incoming: tiny_http::Request, response: &Response, persistence: Persistence) {
    let to_head = incoming.method().as_str() == "HEAD";
    let connection = connection_field(&incoming, persistence);
    let sent = write_response(&mut *incoming.into_writer(), response, to_head, connection);
    if let Err(error) = sent {
        log::debug!("a response was not sent: {error}");
    }
}

fn count_fields(incoming: &tiny_http::Request, name: &'static str) -> usize {
    incoming.headers().iter().filter(|h| h.field.equiv(name)).count()
}

/// The value of the response's `Connection` field; `None` when persistence is the default.
fn connection_field(
    incoming: &tiny_http::Request,
    persistence: Persistence,
) -> Option<&'static str> {
    let field = incoming.headers().iter().find(|h| h.field.equiv("Connection"));
    let has = |option: &str| {
        let options = field.map_or("", |h| h.value.as_str());
        options.split(',').any(|o| o.trim().eq_ignore_ascii_case(option))
    };
    let is_1_0 = *incoming.http_version() <= (1, 0);
    if persistence == Persistence::Close || has("close") || (is_1_0 && !has("keep-alive")) {
        Some("close")
    } else {
        is_1_0.then_some("keep-alive")
    }
}

/// Writes a response in as few writes as its size allows.
fn write_response(
    out: &mut dyn Write,
    response: &Response,
    to_head: bool,
    connection: Option<&str>,
) -> io::Result<()> {
    let body = sent_body(response, to_head);
    let inline = body.len() <= INLINE_BODY_MAX_BYTES;
    let mut head = Vec::with_capacity(512 + if inline { body.len() } else { 0 });
    write_head(&mut head, response, to_head, connection);
    if inline {
        body.write_to(&mut head)?;
    }
    out.write_all(&head)?;
    if !inline {
        body.write_to(out)?;
    }
    out.flush()
}

/// Answers a request whose body is too large to be dropped with it, unless its end comes soon.
fn give_up(
    mut incoming: tiny_http::Request,
    response: &Response,
    promised: u64,
    persistence: Persistence,
) {
    if promised == u64::MAX {
        let mut rest = incoming.as_reader().take(DISCARD_MAX_BYTES);
        if matches!(io::copy(&mut rest, &mut io::sink()), Ok(n) if n < DISCARD_MAX_BYTES) {
            return send(incoming, response, persistence);
        }
    }
    abandon(incoming, response);
}

/// Answers a request whose body cannot be skipped, and gives up its connection.
///
/// Dropping the request would allocate all that its `Content-Length` promises, which aborts
/// the process when it is absurd. So the connection is leaked, with its thread: the price of
/// serving without the gate a proxy that does not limit sizes.
fn abandon(incoming: tiny_http::Request, response: &Response) {
    log::warn!("a connection was given up: its request promises too large a body");
    // Upgrading is tiny_http's only way to get at the reader; the interim response that it
    // sends is one that every client has to skip.
    let mut stream = incoming.upgrade("close", tiny_http::Response::empty(100));
    let _ = write_response(&mut stream, response, false, Some("close"));
    std::mem::forget(stream);
}
