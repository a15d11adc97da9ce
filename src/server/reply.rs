//! A worker answers a request of the gate: the request is made of what the gate lent, and the
//! response goes straight to the client's socket.
//!
//! What the socket does not take at once goes to the gate's buffers, with the writing side.
//! Only when those are full the worker waits for its client, until others make room.

use super::exchange::{LogFields, Service};
use super::flights::{Flights, Held, Order, Outcome};
use super::message::{INLINE_BODY_MAX_BYTES, sent_body, write_head};
use super::output::{Output, wait_writable};
use crate::http::{Body, Headers, Request, Response};
use memchr::memchr;
use socket2::Socket;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// How long a client that takes nothing keeps a worker waiting before others make room.
const STALL: Duration = Duration::from_millis(50);
/// Between two looks at whether there is room.
const ROOM_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The largest buffer for a response that is kept for the next one.
const KEPT_BUFFER_BYTES: usize = 64 << 10;
/// Fields of a request, more or less.
const USUAL_FIELDS: usize = 16;

thread_local! {
    /// The buffer of the last response.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Service {
    /// Answers the request of the gate that `incoming` names.
    pub(super) fn reply(&self, flights: &Flights, incoming: tiny_http::Request) {
        let taken = flights.take(incoming.url());
        // The private connection carries requests only: without its writer the request is
        // dropped without an answer.
        drop(incoming.into_writer());
        let Some((mut held, mut order)) = taken else { return };
        let wire = std::mem::take(&mut order.wire);
        let head = WireHead::of(&wire);
        let request = head.request(&mut order);
        let log = LogFields {
            method: head.method,
            target: head.target,
            version: order.version,
            peer: order.peer,
            user_agent: head.field("User-Agent"),
            arrived: order.arrived,
            waited: order.waited,
            cancel: Some(&order.cancel),
        };
        let response = self.handle(request, &log);
        self.finished(&log, &response);
        let to_head = log.method == "HEAD";
        let keep_alive = order.keep_alive && !flights.is_closing();
        let connection = match (keep_alive, order.version) {
            (false, _) => Some("close"),
            (true, 0) => Some("keep-alive"),
            (true, _) => None,
        };
        let output = output_of(response, to_head, connection);
        let outcome = match &order.socket {
            Some(socket) => self.deliver(&mut held, socket, output),
            None => self.hand_over(&mut held, None, output),
        };
        held.land(outcome, keep_alive, wire);
    }

    /// Sends a response; what its client does not take at once goes to the gate's buffers.
    fn deliver(&self, held: &mut Held<'_>, socket: &Socket, mut output: Output) -> Outcome {
        if held.is_abandoned() {
            return Outcome::Gone;
        }
        held.begin();
        match output.send_all(socket) {
            Err(_) => Outcome::Gone,
            Ok(_) if output.is_empty() => {
                keep_buffer(output.into_buffer());
                Outcome::Sent
            }
            Ok(_) => self.hand_over(held, Some(socket), output),
        }
    }

    /// Gives the rest of a response to the gate. While there is no room for it, the client is
    /// sent as much as it takes.
    fn hand_over(
        &self,
        held: &mut Held<'_>,
        socket: Option<&Socket>,
        mut output: Output,
    ) -> Outcome {
        let begun = Instant::now();
        let (mut progress, mut transferred) = (begun, 0);
        loop {
            if held.is_abandoned() {
                return Outcome::Gone;
            }
            if held.reserve(output.memory()) {
                return Outcome::Rest(output);
            }
            let now = Instant::now();
            let rate = self.limits.response_min_bytes_per_second;
            if now > begun + self.limits.time_allowed(transferred, rate) {
                return Outcome::TooSlow;
            }
            if now > progress + STALL {
                held.ask_for_room(output.memory());
                progress = now;
            }
            let Some(socket) = socket else {
                std::thread::sleep(ROOM_POLL_INTERVAL);
                continue;
            };
            wait_writable(socket, ROOM_POLL_INTERVAL);
            match output.send_all(socket) {
                Err(_) => return Outcome::Gone,
                Ok(_) if output.is_empty() => return Outcome::Sent,
                Ok(0) => {}
                Ok(sent) => {
                    transferred += sent as u64;
                    progress = Instant::now();
                }
            }
        }
    }
}

/// The bytes of a response: head and body in one piece when the body is short.
fn output_of(mut response: Response, to_head: bool, connection: Option<&str>) -> Output {
    let mut head = BUFFER.take();
    head.clear();
    write_head(&mut head, &response, to_head, connection);
    let body = sent_body(&response, to_head);
    if body.len() <= INLINE_BODY_MAX_BYTES {
        // Writing to a Vec cannot fail.
        let _ = body.write_to(&mut head);
        Output::new(head, Body::Empty)
    } else {
        Output::new(head, std::mem::take(&mut response.body))
    }
}

fn keep_buffer(buffer: Vec<u8>) {
    if buffer.capacity() <= KEPT_BUFFER_BYTES {
        BUFFER.set(buffer);
    }
}

/// A head as the gate normalised it: the request line, and lines of `name: value`.
struct WireHead<'a> {
    method: &'a str,
    target: &'a str,
    fields: &'a str,
}

impl<'a> WireHead<'a> {
    fn of(wire: &'a [u8]) -> WireHead<'a> {
        // The gate writes ASCII only.
        let text = std::str::from_utf8(wire).unwrap_or_default();
        let (line, fields) = text.split_once("\r\n").unwrap_or((text, ""));
        let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
        let target = rest.split_once(' ').map_or(rest, |(target, _version)| target);
        WireHead { method, target, fields }
    }

    fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.fields;
        std::iter::from_fn(move || {
            let end = memchr(b'\r', rest.as_bytes())?;
            let line = &rest[..end];
            rest = rest.get(end + 2..).unwrap_or("");
            line.split_once(": ")
        })
    }

    fn field(&self, wanted: &str) -> Option<&'a str> {
        let mut fields = self.fields();
        fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    }

    /// The request as plain values, with what `order` has of it.
    fn request(&self, order: &mut Order) -> Request {
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        let fields = self.fields().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut headers = Vec::with_capacity(USUAL_FIELDS);
        headers.extend(fields);
        for (index, text) in order.texts.drain(..) {
            if let Some((_, value)) = headers.get_mut(index) {
                *value = text;
            }
        }
        if !order.body.is_empty() {
            headers.push(("Content-Length".to_owned(), order.body.len().to_string()));
        }
        Request {
            method: self.method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Headers(headers),
            body: std::mem::take(&mut order.body),
            peer: order.peer,
            cancel: Some(order.cancel.clone()),
        }
    }
}
