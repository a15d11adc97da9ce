//! Bytes on their way to a client: the head of a response and its body, which stays in
//! whatever holds it.

use crate::http::Body;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;
use std::io::{self, IoSlice};
use std::time::Duration;

/// What of a response a client has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Output {
    head: Vec<u8>,
    body: Body,
    /// Bytes of both that were sent.
    sent: usize,
}

impl Output {
    /// A response that begins with `head`.
    pub(super) fn new(head: Vec<u8>, body: Body) -> Output {
        Output { head, body, sent: 0 }
    }

    /// Whether all is sent.
    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.head.len() + self.body.len()
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        self.head.capacity() + self.body.memory()
    }

    /// Adds bytes behind what waits, which has no body.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        debug_assert!(self.body.is_empty());
        self.head.extend_from_slice(bytes);
    }

    /// Puts what is left of `before`, which has no body, in front; nothing of this is sent then.
    pub(super) fn put_behind(&mut self, before: Output) {
        if !before.is_empty() {
            debug_assert!(before.body.is_empty() && self.sent == 0);
            let mut head = before.head;
            head.drain(..before.sent);
            head.append(&mut self.head);
            self.head = head;
        }
    }

    /// Sends as much as the socket takes, in one call; returns how many bytes it took.
    ///
    /// # Errors
    /// The client has gone.
    pub(super) fn send(&mut self, socket: &Socket) -> io::Result<usize> {
        if self.is_empty() {
            return Ok(0);
        }
        let mut decoded = Vec::new();
        let head = self.head.get(self.sent..).unwrap_or(&[]);
        let body = self.body.piece(self.sent.saturating_sub(self.head.len()), &mut decoded);
        let sent = match (head, body) {
            (head, []) => socket.send(head),
            ([], body) => socket.send(body),
            (head, body) => socket.send_vectored(&[IoSlice::new(head), IoSlice::new(body)]),
        };
        let sent = match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            sent => sent?,
        };
        self.sent += sent;
        Ok(sent)
    }

    /// Sends until the socket takes no more; returns how many bytes it took.
    ///
    /// # Errors
    /// The client has gone.
    pub(super) fn send_all(&mut self, socket: &Socket) -> io::Result<usize> {
        let before = self.sent;
        while self.send(socket)? > 0 {}
        Ok(self.sent - before)
    }

    /// The buffer of the head, to be used again.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.head
    }
}

/// Waits until a socket takes more, or that long.
pub(super) fn wait_writable(socket: &Socket, timeout: Duration) {
    let timeout = Timespec::try_from(timeout).unwrap_or_default();
    // A failure shows when more is sent.
    let _ = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&timeout));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Socket, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours.into(), theirs)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_response_arrives_whole_however_little_the_socket_takes(
            head in "[a-z]{0,300}",
            body in proptest::collection::vec(any::<u8>(), 0..700_000),
            hex in any::<bool>(),
        ) {
            let text: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
            let bytes = if hex { Body::Hex(Box::new(text)) } else { Body::Bytes(body.clone()) };
            let (ours, mut theirs) = pair();
            let mut output = Output::new(head.clone().into_bytes(), bytes);
            let reader = std::thread::spawn(move || {
                let mut all = Vec::new();
                theirs.read_to_end(&mut all).unwrap();
                all
            });
            while !output.is_empty() {
                if output.send_all(&ours).unwrap() == 0 {
                    wait_writable(&ours, Duration::from_secs(1));
                }
            }
            drop(ours);
            prop_assert_eq!(reader.join().unwrap(), [head.as_bytes(), &body].concat());
        }
    }

    #[test]
    fn an_interim_response_goes_before_what_was_made_without_the_socket() {
        let (ours, mut theirs) = pair();
        let mut interim = Output::new(b"interim ".to_vec(), Body::Empty);
        interim.sent = 2;
        let mut output = Output::new(b"head ".to_vec(), Body::Bytes(b"body".to_vec()));
        output.put_behind(interim);
        output.put_behind(Output::default());
        output.send_all(&ours).unwrap();
        drop(ours);
        let mut all = String::new();
        theirs.read_to_string(&mut all).unwrap();
        assert_eq!(all, "terim head body");
    }

    #[test]
    fn a_client_that_has_gone_is_an_error_and_not_a_wait() {
        let (ours, theirs) = pair();
        drop(theirs);
        let mut output = Output::new(b"head".to_vec(), Body::Empty);
        assert!(output.send_all(&ours).is_err());
        assert!(!output.is_empty());
    }
}
