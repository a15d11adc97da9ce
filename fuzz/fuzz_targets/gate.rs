//! The bytes of a connection: what the gate takes from them is the same however they are cut,
//! and what it passes on is a plain head that httparse reads the same way.

#![no_main]

use goldenkey::server::gate::body::BodyReader;
use goldenkey::server::gate::head::{Head, Scan, Scanner, parse};
use libfuzzer_sys::fuzz_target;

const HEAD_MAX_BYTES: usize = 2048;

/// A request as the gate takes it from a stream: what goes to tiny_http, the head, the body,
/// and how many bytes of the stream it took.
type Taken = (Vec<u8>, Head, Vec<u8>, usize);

fuzz_target!(|data: (u8, &[u8])| {
    let (step, stream) = data;
    let whole = take(stream, stream.len().max(1));
    let cut = take(stream, usize::from(step).max(1));
    assert_eq!(whole, cut);
    if let Some((wire, head, _, taken)) = whole {
        assert!(taken <= stream.len());
        check(&wire, &head);
    }
});

/// Takes one request from a stream that arrives in steps of that many bytes.
fn take(stream: &[u8], step: usize) -> Option<Taken> {
    let mut scanner = Scanner::default();
    let (mut start, mut end) = (0, 0);
    let length = loop {
        match scanner.scan(&stream[start..end], HEAD_MAX_BYTES).ok()? {
            Scan::Whole(length) => break length,
            Scan::EmptyLine => start += 2,
            Scan::Partial if end == stream.len() => return None,
            Scan::Partial => end = (end + step).min(stream.len()),
        }
    };
    let mut wire = Vec::new();
    let head = parse(&stream[start..start + length], &mut wire).ok()?;
    let mut reader = BodyReader::new(head.framing);
    let (mut position, mut body) = (start + length, Vec::new());
    loop {
        end = (position + step).min(stream.len());
        let progress =
            reader.read(&stream[position..end], &mut |piece| body.extend_from_slice(piece)).ok()?;
        position += progress.consumed;
        if progress.done {
            return Some((wire, head, body, position));
        }
        if end == stream.len() {
            return None;
        }
    }
}

/// What tiny_http gets is one head of printable ASCII that another parser reads whole.
fn check(wire: &[u8], head: &Head) {
    assert!(wire.is_ascii());
    let mut wire = wire.to_vec();
    wire.extend_from_slice(b"\r\n");
    let mut fields = [httparse::EMPTY_HEADER; 130];
    let mut request = httparse::Request::new(&mut fields);
    let length = request.parse(&wire).expect("a valid head").unwrap();
    assert_eq!(length, wire.len());
    assert_eq!(request.method == Some("HEAD"), head.is_head);
    for field in request.headers.iter() {
        let name = field.name.to_ascii_lowercase();
        let framing = ["content-length", "transfer-encoding", "connection", "goldenkey-slot"];
        assert!(!framing.contains(&name.as_str()));
    }
    assert!(head.texts.iter().all(|(index, _)| *index < request.headers.len()));
}
