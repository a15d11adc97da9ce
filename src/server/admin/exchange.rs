//! One request and its answer: as much of HTTP/1.1 as probes and scrapers need. Each
//! connection serves one request.

use super::super::message::{sent_body, write_head};
use crate::http::Response;
use socket2::Socket;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// The longest head of a request.
const HEAD_MAX_BYTES: usize = 8 << 10;

/// Header fields that a head may have.
const FIELDS_MAX: usize = 64;

/// Reads the head: whether the method is `HEAD`, and the path without its query. `None` when
/// it is no request.
///
/// # Errors
/// The client leaves, or the time is up.
pub fn read_path(socket: &Socket, deadline: Instant) -> io::Result<Option<(bool, String)>> {
    let mut head = Vec::with_capacity(1024);
    let mut buffer = [0; 1024];
    loop {
        socket.set_read_timeout(Some(left(deadline)?))?;
        let length = (&*socket).read(&mut buffer)?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&buffer[..length]);
        match parse(&head) {
            Ok(None) if head.len() < HEAD_MAX_BYTES => {}
            Ok(Some(request)) => return Ok(Some(request)),
            _ => return Ok(None),
        }
    }
}

fn parse(head: &[u8]) -> Result<Option<(bool, String)>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    if request.parse(head)?.is_partial() {
        return Ok(None);
    }
    let target = request.path.unwrap_or_default();
    let path = target.split(['?', '#']).next().unwrap_or_default();
    Ok(Some((request.method == Some("HEAD"), path.to_owned())))
}

/// Writes the answer.
///
/// # Errors
/// The client leaves, or the time is up.
pub fn send(
    socket: &Socket,
    response: &Response,
    to_head: bool,
    deadline: Instant,
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(512 + response.body.len());
    write_head(&mut bytes, response, to_head, Some("close"));
    sent_body(response, to_head).write_to(&mut bytes)?;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        socket.set_write_timeout(Some(left(deadline)?))?;
        match (&*socket).write(rest)? {
            0 => return Err(ErrorKind::WriteZero.into()),
            length => rest = &rest[length..],
        }
    }
    Ok(())
}

/// The time until the deadline; an error when there is none.
fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_what_stands_before_the_query() {
        let parsed = |text: &str| parse(text.as_bytes()).ok().flatten();
        let of = |head: bool, path: &str| Some((head, path.to_owned()));
        assert_eq!(parsed("GET /live HTTP/1.1\r\n\r\n"), of(false, "/live"));
        assert_eq!(parsed("HEAD /ready?x=1 HTTP/1.0\r\nHost: a\r\n\r\n"), of(true, "/ready"));
        assert_eq!(parsed("GET /live HTTP/1.1\r\n"), None);
        assert!(parse(b"\x16\x03\x01\x02").is_err());
    }

    #[test]
    fn a_client_that_sends_no_whole_head_is_given_up() {
        let (client, server) = Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None)
            .expect("a pair of sockets");
        (&client).write_all(b"GET /live HTTP/1.1\r\n").unwrap();
        let error = read_path(&server, Instant::now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(client);
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(read_path(&server, deadline).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_head_beyond_the_limit_is_no_request() {
        let (client, server) = Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None)
            .expect("a pair of sockets");
        let head = format!("GET /live HTTP/1.1\r\nX: {}", "x".repeat(HEAD_MAX_BYTES));
        (&client).write_all(head.as_bytes()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(read_path(&server, deadline).unwrap(), None);
    }
}
