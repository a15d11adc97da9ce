//! The private connections to tiny_http, each with at most one request at a time.

use super::connection::{Output, Watched};
use super::private::PrivateSocket;
use super::response::{Broken, ResponseHead};
use socket2::Socket;
use std::borrow::Cow;
use std::io;
use std::time::{Duration, Instant};

/// Links beside one a worker, so that a worker that is done finds its next request waiting.
pub(super) const SPARE_LINKS: usize = 2;
/// One worker of so many is kept for connections that were answered before.
const KEPT_WORKERS_DIVISOR: usize = 4;
/// Between two attempts to connect to tiny_http.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(100);
/// How long a new link may take to answer the probe while others wait to be connected.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Whom the response on a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody: the link is free.
    Nobody,
    /// The client connection with that key.
    Client(usize),
    /// A client that has left; the response is thrown away.
    Gone,
    /// The gate itself, which tries a new link.
    Probe,
}

/// A private connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) socket: Socket,
    pub(super) owner: Owner,
    pub(super) watched: Watched,
    /// What of the request the socket has not taken yet.
    unsent: Output,
    to_head: bool,
    response: Progress,
    closing: bool,
    /// Whether the request is of a connection that was not answered before.
    is_new: bool,
    /// When a client's request was last sent.
    pub(super) sent_at: Option<Instant>,
}

#[derive(Debug)]
enum Progress {
    /// The head has not come whole; this is its beginning.
    Head(Vec<u8>),
    /// That many bytes of the body are still to come.
    Body(u64),
}

/// A piece of a response.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    bytes: Cow<'a, [u8]>,
    /// Where the head ends, without its last empty line, when the piece has it.
    head_end: Option<usize>,
    /// Bytes that are still to come.
    pub(super) left: u64,
}

impl Piece<'_> {
    /// The head without its last empty line, when it came with this piece.
    pub(super) fn head(&self) -> Option<&[u8]> {
        self.head_end.map(|end| &self.bytes[..end])
    }

    /// The part of the body.
    pub(super) fn body(&self) -> &[u8] {
        match self.head_end {
            Some(end) => &self.bytes[end + EMPTY_LINE.len()..],
            None => &self.bytes,
        }
    }
}

/// What ends a head.
pub(super) const EMPTY_LINE: &[u8] = b"\r\n";

impl Link {
    /// Sends a request in `parts` for `owner`, whose method is `HEAD` or not.
    pub(super) fn send(
        &mut self,
        parts: [&[u8]; 3],
        owner: Owner,
        to_head: bool,
    ) -> io::Result<()> {
        self.owner = owner;
        self.to_head = to_head;
        self.response = Progress::Head(Vec::new());
        self.unsent.send(&self.socket, &parts, 0)?;
        Ok(())
    }

    /// Sends on what the socket did not take before.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.unsent.flush(&self.socket)?;
        Ok(())
    }

    /// Whether part of the request is not sent yet.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Takes what arrived; `None` while the head of the response is not whole.
    ///
    /// # Errors
    /// It is not the one response that is expected.
    pub(super) fn receive<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Piece<'a>>, Broken> {
        if self.owner == Owner::Nobody {
            return Err(Broken);
        }
        match &mut self.response {
            Progress::Head(partial) if partial.is_empty() => {
                self.receive_head(Cow::Borrowed(bytes))
            }
            Progress::Head(partial) => {
                let mut whole = std::mem::take(partial);
                whole.extend_from_slice(bytes);
                self.receive_head(Cow::Owned(whole))
            }
            Progress::Body(left) => {
                *left = left.checked_sub(bytes.len() as u64).ok_or(Broken)?;
                Ok(Some(Piece { bytes: Cow::Borrowed(bytes), head_end: None, left: *left }))
            }
        }
    }

    fn receive_head<'a>(&mut self, bytes: Cow<'a, [u8]>) -> Result<Option<Piece<'a>>, Broken> {
        let Some(head) = ResponseHead::parse(&bytes, self.to_head)? else {
            self.response = Progress::Head(bytes.into_owned());
            return Ok(None);
        };
        self.closing = head.last;
        let body = bytes.len() - head.fields_end - EMPTY_LINE.len();
        let left = head.body_bytes.checked_sub(body as u64).ok_or(Broken)?;
        self.response = Progress::Body(left);
        Ok(Some(Piece { bytes, head_end: Some(head.fields_end), left }))
    }

    /// Whether the response is whole.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.response, Progress::Body(0))
    }

    /// Whether a part of the response's head was handed on.
    pub(super) fn has_begun(&self) -> bool {
        matches!(self.response, Progress::Body(_))
    }

    /// Whether tiny_http closes it after this response.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }
}

/// All links; some may be down.
#[derive(Debug)]
pub(super) struct Links {
    links: Vec<Option<Link>>,
    idle: Vec<usize>,
    /// Links that hold requests of connections that were not answered before.
    new_in_flight: usize,
    probe: Option<(usize, Instant)>,
    next_attempt: Option<Instant>,
}

impl Links {
    pub(super) fn new(count: usize) -> Links {
        Links {
            links: (0..count).map(|_| None).collect(),
            idle: Vec::with_capacity(count),
            new_in_flight: 0,
            probe: None,
            next_attempt: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether all links are connected and tried.
    pub(super) fn are_up(&self) -> bool {
        self.probe.is_none() && self.links.iter().all(Option::is_some)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Link> {
        self.links.get_mut(index)?.as_mut()
    }

    /// A free link, not free any more, for a connection that was answered before or not.
    pub(super) fn take_idle(&mut self, known: bool) -> Option<usize> {
        if !self.has_idle(known) {
            return None;
        }
        let index = self.idle.pop()?;
        let link = self.links.get_mut(index)?.as_mut()?;
        link.is_new = !known;
        self.new_in_flight += usize::from(!known);
        Some(index)
    }

    /// Whether a link is free for such a connection.
    pub(super) fn has_idle(&self, known: bool) -> bool {
        !self.idle.is_empty() && (known || self.new_in_flight < self.new_max())
    }

    /// How many links those that were not answered before may hold: a burst of them must not
    /// hold all workers.
    fn new_max(&self) -> usize {
        let workers = self.links.len() - SPARE_LINKS;
        match workers / KEPT_WORKERS_DIVISOR {
            0 => self.links.len(),
            kept => workers - kept,
        }
    }

    /// Makes a link free after its response.
    pub(super) fn release(&mut self, index: usize) {
        self.probe.take_if(|(probed, _)| *probed == index);
        if let Some(link) = self.get_mut(index) {
            link.owner = Owner::Nobody;
            let was_new = std::mem::take(&mut link.is_new);
            self.new_in_flight -= usize::from(was_new);
            self.idle.push(index);
        }
    }

    /// Takes a link out because it broke or is closed.
    pub(super) fn remove(&mut self, index: usize) -> Option<Link> {
        self.idle.retain(|idle| *idle != index);
        self.probe.take_if(|(probed, _)| *probed == index);
        let link = self.links.get_mut(index)?.take()?;
        self.new_in_flight -= usize::from(link.is_new);
        Some(link)
    }

    /// Connects one link that is down, unless another is being tried. One after the other:
    /// tiny_http counts its idle threads wrongly when connections come in a burst, and leaves
    /// some without one. Returns the new link, to be sent a probe.
    pub(super) fn connect_next(&mut self, socket: &PrivateSocket, now: Instant) -> Option<usize> {
        if self.probe.is_some() || self.next_attempt.is_some_and(|next| now < next) {
            return None;
        }
        let index = self.links.iter().position(Option::is_none)?;
        match socket.connect() {
            Ok(stream) => {
                self.links[index] = Some(Link {
                    socket: stream.into(),
                    owner: Owner::Probe,
                    watched: Watched::READ,
                    unsent: Output::default(),
                    to_head: false,
                    response: Progress::Head(Vec::new()),
                    closing: false,
                    is_new: false,
                    sent_at: None,
                });
                self.probe = Some((index, now + PROBE_TIMEOUT));
                self.next_attempt = None;
                Some(index)
            }
            Err(error) => {
                log::error!("the gate cannot reach tiny_http: {error}");
                self.next_attempt = Some(now + RECONNECT_INTERVAL);
                None
            }
        }
    }

    /// A link whose probe was not answered in time.
    pub(super) fn overdue_probe(&self, now: Instant) -> Option<usize> {
        self.probe.filter(|(_, deadline)| *deadline <= now).map(|(index, _)| index)
    }

    /// When a link needs attention without an event.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.probe.map(|(_, deadline)| deadline).or(self.next_attempt)
    }
}
