//! Bytes from clients become requests, one at a time a connection.

use super::Gate;
use super::body::BodyReader;
use super::connection::{Connection, Pending, Phase, Watched};
use super::fault::Fault;
use super::head::{self, Framing, Head, Scan};
use super::tally::Incident;
use crate::cancel::Cancel;
use std::borrow::Cow;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

/// How far a body beyond its limit is read, so that its client sees the answer and keeps its
/// connection; a longer one is answered at once and its connection closed.
const SKIPPED_BODY_MAX_BYTES: u64 = 64 << 20;
/// First allocation for a body, whatever its head promises.
const BODY_FIRST_ALLOCATION_BYTES: u64 = 64 << 10;
/// How long a request goes on after its client has closed its sending side. A client that
/// only does not want to send more gets the answer of a quick request; one that has gone, the
/// usual case, cannot be told apart at first.
pub(super) const GONE_GRACE: Duration = Duration::from_millis(300);

/// Why the bytes at hand do not go on to the next step.
enum Stop {
    /// More bytes are needed, or the request is on its way.
    Wait,
    /// The request is refused.
    Refuse(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Refuse(fault)
    }
}

impl Gate {
    /// Reads what a client sent, as much as fits into one buffer: others want their turn.
    pub(super) fn read_client(&mut self, key: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let Some(connection) = self.connections.get(key) else {
            self.scratch = scratch;
            return;
        };
        match (&*connection.socket).read(&mut scratch) {
            Ok(0) => self.end_of_input(key),
            Ok(length) => self.receive(key, &scratch[..length]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.abort(key),
        }
        self.scratch = scratch;
    }

    /// Goes on with what has arrived before.
    pub(super) fn receive_buffered(&mut self, key: usize) {
        if self.connections.get(key).is_some_and(|c| c.phase == Phase::Idle) {
            self.receive(key, &[]);
        }
        // What is not whole when the client has closed its sending side will never be.
        let never = |c: &Connection| {
            c.half_closed && matches!(c.phase, Phase::Idle | Phase::Head | Phase::Body)
        };
        if self.connections.get(key).is_some_and(never) {
            self.close(key);
        }
    }

    fn receive(&mut self, key: usize, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match connection.phase {
            Phase::Lingering => return self.linger_on(key, bytes.len()),
            Phase::Queued | Phase::InFlight(_) | Phase::Writing => {
                connection.input.extend_from_slice(bytes);
                if connection.input.len() >= self.parts.limits.head_max_bytes {
                    let wanted = Watched { readable: false, ..connection.watched };
                    self.watch_client(key, wanted);
                }
            }
            Phase::Idle | Phase::Head | Phase::Body if connection.input.is_empty() => {
                let consumed = self.consume(key, bytes);
                if let Some(connection) = self.connections.get_mut(key) {
                    connection.input.extend_from_slice(&bytes[consumed..]);
                }
            }
            Phase::Idle | Phase::Head | Phase::Body => {
                let mut input = std::mem::take(&mut connection.input);
                input.extend_from_slice(bytes);
                let consumed = self.consume(key, &input);
                if consumed == input.len() {
                    input = Vec::new();
                } else {
                    input.drain(..consumed);
                }
                if let Some(connection) = self.connections.get_mut(key) {
                    connection.input = input;
                }
            }
        }
        match self.connections.get(key) {
            Some(connection) if connection.input.is_empty() => {}
            Some(connection) if connection.phase == Phase::Idle => self.ready.push_back(key),
            // What follows is taken up when the request before it is answered.
            Some(_) => self.await_landing(key),
            None => {}
        }
        self.account(key);
        self.relieve(key);
    }

    /// Takes at most one request from `input`, which begins where the last one ended; returns
    /// how many bytes are done with.
    fn consume(&mut self, key: usize, input: &[u8]) -> usize {
        let mut position = 0;
        loop {
            let rest = &input[position..];
            let Some(connection) = self.connections.get(key) else { return input.len() };
            let step = match connection.phase {
                Phase::Idle | Phase::Head => self.take_head(key, rest, &mut position),
                Phase::Body => self.take_body(key, rest, &mut position),
                _ => Err(Stop::Wait),
            };
            match step {
                Ok(()) => {}
                Err(Stop::Wait) => return position,
                Err(Stop::Refuse(fault)) => {
                    self.refuse_request(key, fault, rest);
                    return input.len();
                }
            }
        }
    }

    /// Looks for a head at the beginning of `input`.
    fn take_head(&mut self, key: usize, input: &[u8], position: &mut usize) -> Result<(), Stop> {
        let now = self.now;
        let max_bytes = self.parts.limits.head_max_bytes;
        let Some(connection) = self.connections.get_mut(key) else { return Err(Stop::Wait) };
        if input.is_empty() {
            return Err(Stop::Wait);
        }
        if connection.phase == Phase::Idle {
            connection.enter(Phase::Head, now);
            let deadline = now + self.parts.limits.head_timeout;
            connection.deadline = Some(deadline);
            self.next_sweep = self.next_sweep.min(deadline);
        }
        connection.transferred = input.len() as u64;
        match connection.scanner.scan(input, max_bytes)? {
            Scan::EmptyLine => *position += 2,
            Scan::Partial => return Err(Stop::Wait),
            Scan::Whole(length) => {
                self.wire.clear();
                let head = head::parse(&input[..length], &mut self.wire)?;
                connection.keep_alive = head.keep_alive;
                *position += length;
                let body = &input[length..];
                *position += self.begin_request(key, head, body)?;
            }
        }
        Ok(())
    }

    /// Sends a request whose body is at hand on its way; prepares for a body that is not.
    /// Returns how much of `following` was its body.
    fn begin_request(&mut self, key: usize, head: Head, following: &[u8]) -> Result<usize, Stop> {
        let limit = self.parts.body_max_bytes as u64;
        let mut pending = Pending {
            body: BodyReader::new(head.framing),
            wire: Vec::new(),
            content: Vec::new(),
            received: 0,
            too_large: false,
            arrived: self.now,
            submitted: self.now,
            cancel: Arc::new(Cancel::default()),
            head,
        };
        match pending.head.framing {
            Framing::Length(length) if length <= limit && length <= following.len() as u64 => {
                // Lossless: it is not greater than the length of a slice.
                let length = length as usize;
                let wire = std::mem::take(&mut self.wire);
                let body = Cow::Borrowed(&following[..length]);
                self.submit(key, Box::new(pending), Cow::Borrowed(&wire), body);
                self.wire = wire;
                return Ok(length);
            }
            Framing::Length(length) if length > limit => {
                let skipped = length - limit <= SKIPPED_BODY_MAX_BYTES;
                if !skipped || pending.head.expects_continue {
                    return Err(Fault::BodyTooLarge.into());
                }
                pending.too_large = true;
            }
            Framing::Length(length) => {
                pending.content.reserve(length.min(BODY_FIRST_ALLOCATION_BYTES) as usize);
            }
            Framing::Chunked => {}
        }
        pending.wire = self.wire.clone();
        let invite = pending.head.expects_continue && following.is_empty();
        let now = self.now;
        if let Some(connection) = self.connections.get_mut(key) {
            connection.request = Some(Box::new(pending));
            connection.enter(Phase::Body, now);
        }
        self.set_body_deadline(key);
        if invite {
            self.send_client(key, b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        Ok(0)
    }

    /// Takes what `input` has of the body; sends the request on its way when it is whole.
    fn take_body(&mut self, key: usize, input: &[u8], position: &mut usize) -> Result<(), Stop> {
        let limit = self.parts.body_max_bytes as u64;
        let Some(connection) = self.connections.get_mut(key) else { return Err(Stop::Wait) };
        let Some(request) = connection.request.as_deref_mut() else { return Err(Stop::Wait) };
        let Pending { body, content, received, too_large, .. } = request;
        let progress = body.read(input, &mut |piece| {
            *received += piece.len() as u64;
            *too_large |= *received > limit;
            if *too_large {
                *content = Vec::new();
            } else {
                content.extend_from_slice(piece);
            }
        })?;
        *position += progress.consumed;
        connection.transferred += progress.consumed as u64;
        if *received > limit.saturating_add(SKIPPED_BODY_MAX_BYTES) {
            return Err(Fault::BodyTooLarge.into());
        }
        if !progress.done {
            self.set_body_deadline(key);
            return Err(Stop::Wait);
        }
        if *too_large {
            self.count(Incident::Refused);
            // The body was read to its end, so the next request is where it should be.
            self.answer_fault(key, Fault::BodyTooLarge, &[], true);
            return Err(Stop::Wait);
        }
        let Some(mut request) = connection.request.take() else { return Err(Stop::Wait) };
        let wire = std::mem::take(&mut request.wire);
        let content = std::mem::take(&mut request.content);
        self.submit(key, request, Cow::Owned(wire), Cow::Owned(content));
        Err(Stop::Wait)
    }

    fn set_body_deadline(&mut self, key: usize) {
        let limits = &self.parts.limits;
        let deadline = self.connections.get(key).map(|connection| {
            let rate = limits.body_min_bytes_per_second;
            connection.since + limits.time_allowed(connection.transferred, rate)
        });
        self.set_deadline(key, deadline);
    }

    /// Answers a request that is refused before it is whole, and closes its connection; `raw`
    /// is what has arrived of it.
    pub(super) fn refuse_request(&mut self, key: usize, fault: Fault, raw: &[u8]) {
        self.count(Incident::Refused);
        self.answer_fault(key, fault, raw, false);
    }

    /// The client will not send any more.
    fn end_of_input(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.half_closed = true;
        match connection.phase {
            // What has arrived behind the last request is answered first.
            Phase::Idle if !connection.input.is_empty() => {
                let wanted = Watched { readable: false, ..connection.watched };
                self.watch_client(key, wanted);
                self.ready.push_back(key);
            }
            Phase::Idle | Phase::Head | Phase::Body | Phase::Lingering => self.close(key),
            Phase::Queued | Phase::InFlight(_) => {
                let wanted = Watched { readable: false, ..connection.watched };
                self.watch_client(key, wanted);
                self.set_deadline(key, Some(self.now + GONE_GRACE));
                self.await_landing(key);
            }
            Phase::Writing => {
                let wanted = Watched { readable: false, ..connection.watched };
                self.watch_client(key, wanted);
            }
        }
    }
}
