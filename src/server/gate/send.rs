//! Responses, and the gate's own errors, go to clients at the pace of each.

use super::Gate;
use super::connection::{Phase, Watched};
use super::fault::Fault;
use super::helper::Report;
use super::receive::GONE_GRACE;
use super::tally::Incident;
use crate::server::exchange::CLIENT_GONE;
use crate::server::flights::Ticket;
use crate::server::message::{sent_body, write_head};
use crate::server::output::Output;
use std::time::{Duration, Instant};

/// How long what a client still sends is read after its last response.
const LINGER: Duration = Duration::from_secs(2);
/// The same while the server shuts down.
pub(super) const LINGER_AT_SHUTDOWN: Duration = Duration::from_millis(200);
/// How much of it.
const LINGER_MAX_BYTES: u64 = 64 << 20;

/// How a client begins that takes HTTP/2 for granted (RFC 9113, section 3.4).
const HTTP_2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";
/// What it is answered: no settings, and GOAWAY because HTTP/1.1 is required (RFC 9113,
/// sections 6.5, 6.8 and 7).
const HTTP_1_1_REQUIRED: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0d";

/// The bytes of an error response, and how many of them are its body.
pub(super) fn fault_bytes(fault: Fault, to_head: bool, keep_alive: bool) -> (Vec<u8>, u64) {
    let response = fault.response();
    let mut bytes = Vec::with_capacity(512);
    let connection = if keep_alive { "keep-alive" } else { "close" };
    write_head(&mut bytes, &response, to_head, Some(connection));
    let body = sent_body(&response, to_head);
    // Writing to a Vec cannot fail.
    let _ = body.write_to(&mut bytes);
    (bytes, body.len() as u64)
}

impl Gate {
    /// Sends bytes of the gate's own to a client, and keeps what it does not take yet.
    pub(super) fn send_client(&mut self, key: usize, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.output.push(bytes);
        self.flush_client(key);
    }

    /// Sends on what waits for a client; its response may be whole with it.
    pub(super) fn flush_client(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match connection.output.send(&connection.socket) {
            Ok(sent) => self.sent(key, sent),
            Err(_) => return self.abort(key),
        }
        if let Some(connection) = self.connections.get(key)
            && connection.phase == Phase::Writing
            && connection.output.is_empty()
        {
            self.finish(key, self.now);
        }
    }

    /// Notes that a client took that many bytes.
    fn sent(&mut self, key: usize, bytes: usize) {
        let limits = &self.parts.limits;
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.transferred += bytes as u64;
        let waits = !connection.output.is_empty();
        if !waits {
            connection.output = Output::default();
        } else {
            let rate = limits.response_min_bytes_per_second;
            let allowed = limits.time_allowed(connection.transferred, rate);
            let deadline = connection.since + allowed;
            self.set_deadline(key, Some(deadline));
        }
        if let Some(connection) = self.connections.get(key) {
            self.watch_client(key, Watched { writable: waits, ..connection.watched });
        }
        self.account(key);
    }

    /// A response was written whole at that time: the connection goes on, or ends.
    pub(super) fn finish(&mut self, key: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.request = None;
        connection.used = true;
        let goes_on = connection.keep_alive && self.closing_at.is_none();
        if connection.half_closed {
            if !goes_on || connection.input.is_empty() {
                return self.close(key);
            }
            // What had arrived before the end is answered too.
            connection.enter(Phase::Idle, now);
            self.ready.push_back(key);
            self.set_deadline(key, Some(self.now + GONE_GRACE));
            return self.account(key);
        }
        connection.enter(if goes_on { Phase::Idle } else { Phase::Lingering }, now);
        if goes_on {
            if !connection.input.is_empty() {
                self.ready.push_back(key);
            }
            self.set_deadline(key, Some(now + self.parts.limits.idle_timeout));
        } else {
            connection.input = Vec::new();
            if connection.socket.shutdown(std::net::Shutdown::Write).is_err() {
                return self.close(key);
            }
            let linger = if self.closing_at.is_some() { LINGER_AT_SHUTDOWN } else { LINGER };
            self.set_deadline(key, Some(now + linger));
        }
        self.watch_client(key, Watched::READ);
        self.account(key);
    }

    /// Throws away what a client sends after its last response.
    pub(super) fn linger_on(&mut self, key: usize, bytes: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.transferred += bytes as u64;
        if connection.transferred > LINGER_MAX_BYTES {
            self.close(key);
        }
    }

    /// Answers the current request with an error of the gate. `keep` is whether the connection
    /// may go on; `raw` is what has arrived of the request when it is not known otherwise.
    pub(super) fn answer_fault(&mut self, key: usize, fault: Fault, raw: &[u8], keep: bool) {
        let now = self.now;
        let shutting_down = self.closing_at.is_some();
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.keep_alive &= keep && !shutting_down;
        let request = connection.request.as_ref();
        let to_head = request.map_or(raw.starts_with(b"HEAD "), |r| r.head.is_head);
        let (bytes, body_bytes) = if raw.starts_with(HTTP_2_PREFACE) {
            self.tell_http_2();
            (HTTP_1_1_REQUIRED.to_vec(), 0)
        } else {
            fault_bytes(fault, to_head, connection.keep_alive)
        };
        self.report(key, fault.status(), body_bytes, raw);
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.request = None;
        connection.enter(Phase::Writing, now);
        self.send_client(key, &bytes);
    }

    /// Says once that a client speaks another version of HTTP: usually it is a proxy that can be
    /// told.
    fn tell_http_2(&mut self) {
        if !std::mem::replace(&mut self.told_http_2, true) {
            log::warn!("a client speaks HTTP/2 without asking; this server speaks HTTP/1.1");
        }
    }

    /// A client has gone without taking its answer: its work is stopped.
    pub(super) fn abort(&mut self, key: usize) {
        let phase = self.connections.get(key).map(|connection| connection.phase);
        if matches!(phase, Some(Phase::Queued | Phase::InFlight(_))) {
            self.count(Incident::Gone);
        }
        let Some(connection) = self.connections.get(key) else { return };
        if let Phase::InFlight(ticket) = connection.phase
            && !self.withdraw(key, ticket)
        {
            // The worker reports it. Its client gets nothing more, also from the worker.
            self.parts.flights.abandon(ticket);
            if let Some(connection) = self.connections.get(key) {
                // Fails when the client has ended the connection.
                let _ = connection.socket.shutdown(std::net::Shutdown::Both);
                if let Some(request) = &connection.request {
                    self.helper.cancel(request.cancel.clone());
                }
            }
        } else if matches!(phase, Some(Phase::Queued | Phase::InFlight(_))) {
            self.report(key, CLIENT_GONE, 0, &[]);
        }
        self.close(key);
    }

    /// Takes a request back from the workers when none has begun it; then the gate answers or
    /// reports it.
    pub(super) fn withdraw(&mut self, key: usize, ticket: Ticket) -> bool {
        let Some(order) = self.parts.flights.withdraw(ticket) else { return false };
        self.departures.disown(ticket.place);
        if let Some(connection) = self.connections.get_mut(key) {
            connection.phase = Phase::Writing;
            if let Some(request) = connection.request.as_deref_mut() {
                request.wire = order.wire;
            }
        }
        true
    }

    /// Tells the handler of a request, unless a worker has seen it and does so.
    fn report(&mut self, key: usize, status: u16, body_bytes: u64, raw: &[u8]) {
        let Some(connection) = self.connections.get(key) else { return };
        let (head, arrived) = match connection.request.as_deref() {
            Some(request) => (&request.wire[..], request.arrived),
            None => (raw, connection.since),
        };
        if matches!(connection.phase, Phase::InFlight(_)) {
            return;
        }
        let described = Described::of(head);
        self.helper.report(Report {
            method: described.method,
            target: described.target,
            version: connection.request.as_ref().map_or(1, |request| request.head.version),
            status,
            body_bytes,
            duration: self.now.saturating_duration_since(arrived),
            peer: connection.peer,
            user_agent: described.user_agent,
        });
    }
}

/// What can be told of a head that may be malformed.
#[derive(Debug, PartialEq, Eq)]
struct Described {
    method: String,
    target: String,
    user_agent: Option<String>,
}

impl Described {
    fn of(head: &[u8]) -> Described {
        let text = |bytes: &[u8]| {
            let printable = bytes.iter().map(|b| if b.is_ascii_graphic() { *b } else { b'?' });
            printable.map(char::from).collect::<String>()
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let mut parts = lines.next().unwrap_or(&[]).split(|byte| *byte == b' ');
        let (method, target) = (parts.next().unwrap_or(&[]), parts.next());
        let user_agent = lines.find_map(|line| {
            let (name, value) = line.split_at_checked(USER_AGENT.len())?;
            name.eq_ignore_ascii_case(USER_AGENT).then(|| {
                String::from_utf8_lossy(value).trim().replace(|c: char| c.is_control(), "?")
            })
        });
        Described {
            // Without a second part it is no request line, and may be anything.
            method: target.map(|_| text(method)).unwrap_or_default(),
            target: target.map(text).unwrap_or_default(),
            user_agent,
        }
    }
}

const USER_AGENT: &[u8] = b"User-Agent:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_described_as_far_as_it_goes() {
        let described = Described::of(b"GET /a HTTP/1.1\r\nuser-agent: curl/8 \r\n\r\n");
        assert_eq!((described.method.as_str(), described.target.as_str()), ("GET", "/a"));
        assert_eq!(described.user_agent.as_deref(), Some("curl/8"));
        let described = Described::of(b"\x16\x03\x01\0\xff");
        assert_eq!((described.method.as_str(), described.target.as_str()), ("", ""));
        assert_eq!(Described::of(b"GET /\x1b[31m HTTP/1.1\r\n").target, "/?[31m");
    }
}
