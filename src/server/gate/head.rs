//! The head of a request: finding its end, checking it strictly, and writing it anew the way
//! tiny_http can be trusted with (RFC 9112).
//!
//! Knows no socket. What is doubtful is refused: two readers that could disagree about where
//! a request ends are how a second one is smuggled in.

use super::fault::Fault;
use memchr::{memchr, memchr_iter, memrchr};
use std::io::Write;

/// Field lines of a head at most.
const FIELDS_MAX: usize = 128;
/// Empty lines before a request line that are skipped (RFC 9112, section 2.2, asks for one).
const LEADING_LINES_MAX: u8 = 4;
/// The longest method; the longest registered one has 17 bytes.
const METHOD_MAX_BYTES: usize = 32;

/// The field that names, on a private connection only, the slot with what tiny_http cannot
/// carry. The gate removes it from what clients send.
pub(in crate::server) const SLOT_FIELD: &str = "Goldenkey-Slot";

/// How a TLS client begins: a record of a handshake, of version 3.x (RFC 8446, section 5.1).
const TLS_HANDSHAKE: &[u8] = b"\x16\x03";

/// Fields that concern one connection and end here (RFC 9110, section 7.6.1), and those that
/// the gate writes itself.
const FIELDS_NOT_FORWARDED: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    SLOT_FIELD,
];

/// What the bytes of a connection hold so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// No whole head yet.
    Partial,
    /// An empty line before the head, to be skipped: two bytes.
    EmptyLine,
    /// A head of that many bytes, the empty line at its end included.
    Whole(usize),
}

/// Finds the end of a head in bytes that arrive in pieces; each byte is looked at once.
#[derive(Debug, Default, Clone)]
pub struct Scanner {
    scanned: usize,
    empty_lines: u8,
}

impl Scanner {
    /// Looks at what `bytes`, all that has arrived of the head so far, has got since the last
    /// call.
    ///
    /// # Errors
    /// A line that ends with LF alone, NUL, or a head beyond `max_bytes`.
    pub fn scan(&mut self, bytes: &[u8], max_bytes: usize) -> Result<Scan, Fault> {
        if bytes.starts_with(TLS_HANDSHAKE) {
            return Err(Fault::Malformed("This looks like TLS, but this port speaks plain HTTP."));
        }
        let from = self.scanned;
        let window = &bytes[from..bytes.len().min(max_bytes)];
        for position in memchr_iter(b'\n', window).map(|i| from + i) {
            let line = &bytes[..position];
            if line.last() != Some(&b'\r') {
                return Err(Fault::Malformed("A line does not end with CR LF."));
            }
            if position == 1 {
                self.empty_lines += 1;
                self.scanned = 0;
                if self.empty_lines > LEADING_LINES_MAX {
                    return Err(Fault::Malformed("Empty lines precede the request."));
                }
                return Ok(Scan::EmptyLine);
            }
            if line.ends_with(b"\r\n\r") {
                let length = position + 1;
                refuse_nul(&bytes[from..length])?;
                *self = Scanner::default();
                return Ok(Scan::Whole(length));
            }
        }
        refuse_nul(window)?;
        if bytes.len() >= max_bytes {
            let in_request_line = memchr(b'\n', &bytes[..max_bytes]).is_none();
            return Err(if in_request_line { Fault::TargetTooLong } else { Fault::HeadTooLarge });
        }
        self.scanned = bytes.len();
        Ok(Scan::Partial)
    }
}

fn refuse_nul(bytes: &[u8]) -> Result<(), Fault> {
    match memchr(0, bytes) {
        Some(_) => Err(Fault::Malformed("The head contains NUL.")),
        None => Ok(()),
    }
}

/// How the end of a request's body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// That many bytes; 0 without a body.
    Length(u64),
    /// Chunks, the last of length zero.
    Chunked,
}

/// What the gate needs to know of a request; the rest goes to tiny_http as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The minor version of HTTP/1: 0 or 1.
    pub version: u8,
    /// Whether the method is `HEAD`, whose response has no body.
    pub is_head: bool,
    /// Whether the client wants to keep the connection.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// How the body is framed.
    pub framing: Framing,
    /// Values with bytes beyond ASCII, which tiny_http would not take, each with the index of
    /// its field among those forwarded; on the wire they are empty.
    pub texts: Vec<(usize, String)>,
}

/// What the fields of a head say about the message.
#[derive(Default)]
struct Semantics<'a> {
    host: Option<&'a [u8]>,
    hosts: usize,
    length: Option<u64>,
    coding: Option<Fault>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    expects_else: bool,
}

/// Parses a whole head, and appends to `out` what goes to tiny_http: request line and
/// fields, without `Content-Length` and the empty line, which follow when the body is known.
///
/// # Errors
/// The head is malformed, ambiguous, or asks for what the server does not do.
pub fn parse(head: &[u8], out: &mut Vec<u8>) -> Result<Head, Fault> {
    let line_end = memchr(b'\r', head).ok_or(Fault::Malformed("The request line has no end."))?;
    let line = RequestLine::parse(&head[..line_end])?;
    let fields = head[line_end..]
        .strip_prefix(b"\r\n")
        .ok_or(Fault::Malformed("A line ends with CR alone."))?;
    let mut storage = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let fields = match httparse::parse_headers(fields, &mut storage) {
        Ok(httparse::Status::Complete((length, parsed))) if length == fields.len() => parsed,
        Ok(_) => return Err(Fault::Malformed("A line ends with CR alone.")),
        Err(error) => return Err(field_fault(error)),
    };

    let semantics = Semantics::of(fields)?;
    let framing = semantics.framing(line.version)?;
    if line.version == 1 && semantics.hosts == 0 {
        return Err(Fault::Malformed("The field Host is missing."));
    }
    if line.version == 1 && semantics.expects_else {
        return Err(Fault::Expectation);
    }
    if line.method == b"CONNECT" {
        return Err(Fault::Tunnel);
    }
    let target = Target::parse(line.target, line.method)?;

    target.write_line(line.method, out);
    let texts = write_fields(fields, target.authority, out);
    Ok(Head {
        version: line.version,
        is_head: line.method == b"HEAD",
        keep_alive: !semantics.close && (line.version == 1 || semantics.keep_alive),
        expects_continue: line.version == 1 && semantics.expects_continue,
        framing,
        texts,
    })
}

fn field_fault(error: httparse::Error) -> Fault {
    match error {
        httparse::Error::TooManyHeaders => Fault::HeadTooLarge,
        httparse::Error::HeaderName => {
            Fault::Malformed("A field name is malformed, or a line is folded.")
        }
        httparse::Error::HeaderValue => Fault::Malformed("A field value is malformed."),
        _ => Fault::Malformed("A line of the head is malformed."),
    }
}

/// The first line of a request.
#[derive(Debug)]
struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    version: u8,
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, Fault> {
        let first = memchr(b' ', line);
        let last = memrchr(b' ', line);
        let (Some(first), Some(last)) = (first, last) else {
            return Err(Fault::Malformed("The request line has no three parts."));
        };
        if first == last {
            return Err(Fault::Malformed("The request line has no three parts."));
        }
        let (method, target, version) = (&line[..first], &line[first + 1..last], &line[last + 1..]);
        if method.is_empty() || method.len() > METHOD_MAX_BYTES || !method.iter().all(is_token) {
            return Err(Fault::Malformed("The method is malformed."));
        }
        let version = match version {
            b"HTTP/1.0" => 0,
            // A higher minor version is read as the highest known (RFC 9110, section 2.5).
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => 1,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(Fault::Version);
            }
            _ => return Err(Fault::Malformed("The version is malformed.")),
        };
        if target.iter().any(|byte| matches!(byte, 0..=b' ' | 0x7f)) {
            return Err(Fault::Malformed("The request target contains a space or control byte."));
        }
        Ok(RequestLine { method, target, version })
    }
}

/// Whether a byte may stand in a token (RFC 9110, section 5.6.2).
pub(super) fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// A request target, of whichever form (RFC 9112, section 3.2).
struct Target<'a> {
    /// Path and query; may lack the leading slash when the form was absolute.
    path: &'a [u8],
    /// The authority of the absolute form, which replaces `Host`.
    authority: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    fn parse(target: &'a [u8], method: &[u8]) -> Result<Self, Fault> {
        match target {
            [b'/', ..] => Ok(Target { path: target, authority: None }),
            b"*" if method == b"OPTIONS" => Ok(Target { path: target, authority: None }),
            _ => Target::parse_absolute(target)
                .ok_or(Fault::Malformed("The request target is neither a path nor an address.")),
        }
    }

    fn parse_absolute(target: &'a [u8]) -> Option<Self> {
        let rest = ["http://", "https://"].iter().find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
        })?;
        let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        (!authority.is_empty() && is_host(authority))
            .then_some(Target { path, authority: Some(authority) })
    }

    /// Writes the request line, in origin form and ASCII.
    fn write_line(&self, method: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(method);
        out.push(b' ');
        if !matches!(self.path, [b'/' | b'*', ..]) {
            out.push(b'/');
        }
        if self.path.is_ascii() {
            out.extend_from_slice(self.path);
        } else {
            for byte in self.path {
                // Writing to a Vec cannot fail, here and below.
                let _ = match byte {
                    0x80.. => write!(out, "%{byte:02X}"),
                    _ => out.write_all(&[*byte]),
                };
            }
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
    }
}

/// Whether a value can be the host and port of `Host`; empty is allowed (RFC 9110, section
/// 7.2). User information is not.
fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte))
}

impl<'a> Semantics<'a> {
    fn of(fields: &[httparse::Header<'a>]) -> Result<Self, Fault> {
        let mut semantics = Semantics::default();
        for field in fields {
            semantics.add(field.name, trim(field.value))?;
        }
        Ok(semantics)
    }

    fn add(&mut self, name: &str, value: &'a [u8]) -> Result<(), Fault> {
        if name.eq_ignore_ascii_case("Host") {
            self.hosts += 1;
            if self.hosts > 1 || !is_host(value) {
                return Err(Fault::Malformed("The field Host is repeated or malformed."));
            }
            self.host = Some(value);
        } else if name.eq_ignore_ascii_case("Content-Length") {
            if self.length.is_some() {
                return Err(Fault::Malformed("The field Content-Length is repeated."));
            }
            self.length = Some(parse_length(value)?);
        } else if name.eq_ignore_ascii_case("Transfer-Encoding") {
            self.add_codings(value);
        } else if name.eq_ignore_ascii_case("Connection") {
            self.close |= has_option(value, "close");
            self.keep_alive |= has_option(value, "keep-alive");
        } else if name.eq_ignore_ascii_case("Expect") {
            let known = value.eq_ignore_ascii_case(b"100-continue");
            self.expects_continue |= known;
            self.expects_else |= !known;
        }
        Ok(())
    }

    /// Notes the transfer codings of one field; only a single `chunked` is known here.
    fn add_codings(&mut self, value: &[u8]) {
        for coding in value.split(|byte| *byte == b',').map(trim) {
            if self.chunked {
                self.coding = Some(Fault::Malformed("The coding chunked is not the last one."));
            } else if coding.eq_ignore_ascii_case(b"chunked") {
                self.chunked = true;
            } else {
                self.coding.get_or_insert(Fault::TransferCoding);
            }
        }
    }

    /// How the body is framed (RFC 9112, section 6.3).
    fn framing(&self, version: u8) -> Result<Framing, Fault> {
        let coded = self.chunked || self.coding.is_some();
        match self.length {
            Some(_) if coded => {
                Err(Fault::Malformed("Content-Length and Transfer-Encoding exclude each other."))
            }
            _ if coded && version == 0 => {
                Err(Fault::Malformed("HTTP/1.0 has no Transfer-Encoding."))
            }
            _ if self.coding.is_some() => Err(self.coding.unwrap_or(Fault::TransferCoding)),
            None if self.chunked => Ok(Framing::Chunked),
            length => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

fn parse_length(value: &[u8]) -> Result<u64, Fault> {
    // The parser of the standard library takes a sign.
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits);
    text.and_then(|t| t.parse().ok()).ok_or(Fault::Malformed("Content-Length is not a number."))
}

fn has_option(value: &[u8], option: &str) -> bool {
    value.split(|byte| *byte == b',').any(|o| trim(o).eq_ignore_ascii_case(option.as_bytes()))
}

fn trim(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = value.iter().position(is_text).unwrap_or(value.len());
    let end = value.iter().rposition(is_text).map_or(start, |last| last + 1);
    &value[start..end]
}

/// Writes the fields that are forwarded; returns the values left out because they are not
/// ASCII.
fn write_fields(
    fields: &[httparse::Header<'_>],
    authority: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Vec<(usize, String)> {
    let mut texts = Vec::new();
    let mut index = 0;
    if let Some(authority) = authority {
        write_field("Host", authority, out);
        index += 1;
    }
    for field in fields {
        let replaced = authority.is_some() && field.name.eq_ignore_ascii_case("Host");
        if replaced || FIELDS_NOT_FORWARDED.iter().any(|n| n.eq_ignore_ascii_case(field.name)) {
            continue;
        }
        let value = trim(field.value);
        if value.is_ascii() {
            write_field(field.name, value, out);
        } else {
            write_field(field.name, b"", out);
            texts.push((index, decode(value)));
        }
        index += 1;
    }
    texts
}

fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The text of a value with bytes beyond ASCII: UTF-8 when it is, else Latin-1 (RFC 9110,
/// section 5.5).
fn decode(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
    }
}

#[cfg(test)]
mod tests;
