//! One request taken from tiny_http and its response given back: the only place that knows
//! tiny_http's types, beside the pool that waits for them.

use super::gate::Fault;
use super::gate::head::SLOT_FIELD;
use super::message::{INLINE_BODY_MAX_BYTES, error_response, sent_body, write_head};
use super::slots::{Slot, Slots};
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
    /// Where the gate tells more about a request; `None` without the gate.
    pub(super) slots: Option<Arc<Slots>>,
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
        let served = catch_unwind(AssertUnwindSafe(|| self.answer(request, persistence)));
        if served.is_err() {
            log::error!("a panic left a request unanswered");
        }
    }

    fn answer(&self, mut incoming: tiny_http::Request, persistence: Persistence) {
        let slot = match &self.slots {
            None => None,
            Some(slots) => match take_slot(slots, &incoming) {
                Some(slot) => Some(slot),
                None => return answer_probe(incoming, persistence),
            },
        };
        let log = LogFields::of(&incoming, slot.as_ref());
        if let Some(status) = slot.as_ref().and_then(|slot| slot.withdrawn) {
            self.report(&log, status, 0, None);
            return answer_probe(incoming, persistence);
        }
        let response = match self.read(&mut incoming, slot) {
            Ok(request) => self.handle(request, &log),
            Err(Refusal::Gone) => return,
            Err(Refusal::Malformed(details)) => Fault::Malformed(details).response(),
            Err(Refusal::TooLarge { promised }) => {
                let response = Fault::BodyTooLarge.response();
                if !discard(&mut incoming, promised) {
                    self.finished(&log, &response);
                    return abandon(incoming, &response);
                }
                response
            }
        };
        self.finished(&log, &response);
        let to_head = log.method == "HEAD";
        let connection = connection_field(&incoming, persistence);
        let sent = write_response(&mut *incoming.into_writer(), &response, to_head, connection);
        if let Err(error) = sent {
            log::debug!("a response was not sent: {error}");
        }
    }

    /// The handler's response, or a 500 when it panics.
    fn handle(&self, request: Request, log: &LogFields) -> Response {
        catch_unwind(AssertUnwindSafe(|| self.handler.handle(request))).unwrap_or_else(|_| {
            log::error!("{} {}: the request panicked", log.method, log.target);
            error_response(500, "GK500", "The server failed to answer the request", None)
        })
    }

    fn finished(&self, log: &LogFields, response: &Response) {
        let gone = log.cancel.as_ref().is_some_and(|cancel| cancel.is_cancelled());
        let status = if gone { CLIENT_GONE } else { response.status };
        let bytes = sent_body(response, log.method == "HEAD").len() as u64;
        self.report(log, status, bytes, response.role.as_deref());
    }

    fn report(&self, log: &LogFields, status: u16, body_bytes: u64, role: Option<&str>) {
        self.handler.finished(&Exchange {
            method: &log.method,
            target: &log.target,
            version: log.version,
            status,
            body_bytes,
            duration: log.arrived.elapsed(),
            peer: log.peer,
            user_agent: log.user_agent.as_deref(),
            role,
            waited: log.waited,
        });
    }

    /// The request as plain values, with its whole body.
    fn read(
        &self,
        incoming: &mut tiny_http::Request,
        slot: Option<Slot>,
    ) -> Result<Request, Refusal> {
        let body = self.read_body(incoming)?;
        let (path, query) = incoming.url().split_once('?').unwrap_or((incoming.url(), ""));
        let fields = incoming.headers().iter().filter(|h| !h.field.equiv(SLOT_FIELD));
        let mut headers: Vec<(String, String)> = fields
            .map(|h| (h.field.as_str().as_str().to_owned(), h.value.as_str().to_owned()))
            .collect();
        let mut peer = incoming.remote_addr().map(|address| address.ip());
        let mut cancel = None;
        if let Some(slot) = slot {
            peer = slot.peer;
            cancel = Some(slot.cancel);
            for (index, text) in slot.texts {
                if let Some((_, value)) = headers.get_mut(index) {
                    *value = text;
                }
            }
        }
        Ok(Request {
            method: incoming.method().as_str().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Headers(headers),
            body,
            peer,
            cancel,
        })
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

/// What the access log tells of a request, kept while the handler has the request itself.
struct LogFields {
    method: String,
    target: String,
    version: u8,
    peer: Option<IpAddr>,
    user_agent: Option<String>,
    arrived: Instant,
    waited: Duration,
    cancel: Option<Arc<Cancel>>,
}

impl LogFields {
    fn of(incoming: &tiny_http::Request, slot: Option<&Slot>) -> LogFields {
        let user_agent = incoming.headers().iter().find(|h| h.field.equiv("User-Agent"));
        let own_peer = || incoming.remote_addr().map(|address| address.ip());
        LogFields {
            method: incoming.method().as_str().to_owned(),
            target: incoming.url().to_owned(),
            version: slot.map_or(incoming.http_version().1, |slot| slot.version),
            peer: slot.map_or_else(own_peer, |slot| slot.peer),
            user_agent: user_agent.map(|h| h.value.as_str().to_owned()),
            arrived: slot.map_or_else(Instant::now, |slot| slot.arrived),
            waited: slot.map_or(Duration::ZERO, |slot| slot.waited),
            cancel: slot.map(|slot| slot.cancel.clone()),
        }
    }
}

/// What the gate told of a request; `None` when it is a probe.
fn take_slot(slots: &Slots, incoming: &tiny_http::Request) -> Option<Slot> {
    // The gate writes it behind what comes from the client.
    let name = incoming.headers().iter().rev().find(|h| h.field.equiv(SLOT_FIELD))?;
    slots.take(name.value.as_str())
}

/// An answer that the gate throws away: it shows that the private connection works.
fn answer_probe(incoming: tiny_http::Request, persistence: Persistence) {
    let response = Response { status: 204, ..Response::default() };
    let connection = connection_field(&incoming, persistence);
    // A failure shows at the gate.
    let _ = write_response(&mut *incoming.into_writer(), &response, false, connection);
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

/// Reads what is left of a body that is not wanted. False when more than
/// [`DISCARD_MAX_BYTES`] is promised or comes, so that the request must not be dropped.
fn discard(incoming: &mut tiny_http::Request, promised: u64) -> bool {
    if promised != u64::MAX {
        return promised <= DISCARD_MAX_BYTES;
    }
    let read = io::copy(&mut incoming.as_reader().take(DISCARD_MAX_BYTES), &mut io::sink());
    matches!(read, Ok(length) if length < DISCARD_MAX_BYTES)
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
