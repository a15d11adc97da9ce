//! The gate's verdicts on odd requests beside those of h11, another strict HTTP/1.1 parser.
//!
//! `verdicts.json` is made by `record.py`. Where both take a request, they must agree about
//! its body and about what follows it: the disagreement of two parsers is what smuggling
//! lives on. What h11 refuses the gate refuses too, but for the exceptions named here.

use goldenkey::server::gate::body::BodyReader;
use goldenkey::server::gate::head::{Scan, Scanner, parse};
use serde::Deserialize;

const HEAD_MAX_BYTES: usize = 65536;

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
enum Verdict {
    /// `refused`, or `partial` when more bytes are awaited.
    Word(String),
    /// The body, and what follows the request.
    Taken(String, String),
}

impl Verdict {
    fn word(word: &str) -> Verdict {
        Verdict::Word(word.to_owned())
    }
}

#[test]
fn the_gate_agrees_with_another_strict_parser_or_is_stricter() {
    let cases: Vec<(String, Verdict)> =
        serde_json::from_str(include_str!("verdicts.json")).unwrap();
    assert!(cases.len() > 2000, "{}", cases.len());
    let mut agreed = 0;
    let mut disagreements = Vec::new();
    for (request, h11) in &cases {
        let bytes: Vec<u8> = request.chars().map(|c| c as u8).collect();
        let gate = verdict(&bytes);
        if gate == *h11 {
            agreed += 1;
        } else if gate != Verdict::word("refused") && !is_known(request) {
            disagreements.push(format!("{request:?}: {gate:?}, h11 {h11:?}"));
        }
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    assert!(agreed * 2 > cases.len(), "only {agreed} of {}", cases.len());
}

/// What the gate takes on purpose although h11 does not.
fn is_known(request: &str) -> bool {
    let line = request.split("\r\n").next().unwrap_or_default();
    // RFC 9112, section 2.2, asks servers to skip an empty line before a request.
    let empty_line_first = line.is_empty();
    // Clients send targets in UTF-8; the gate percent-encodes them.
    let target_beyond_ascii =
        line.split(' ').nth(1).is_some_and(|target| target.starts_with('/') && !target.is_ascii());
    empty_line_first || target_beyond_ascii
}

fn verdict(bytes: &[u8]) -> Verdict {
    take(bytes).unwrap_or_else(|()| Verdict::word("refused"))
}

/// What the gate does with a request; an error when it refuses it.
fn take(mut bytes: &[u8]) -> Result<Verdict, ()> {
    let mut scanner = Scanner::default();
    let length = loop {
        match scanner.scan(bytes, HEAD_MAX_BYTES).map_err(|_| ())? {
            Scan::Whole(length) => break length,
            Scan::EmptyLine => bytes = &bytes[2..],
            Scan::Partial => return Ok(Verdict::word("partial")),
        }
    };
    let head = parse(&bytes[..length], &mut Vec::new()).map_err(|_| ())?;
    let following = &bytes[length..];
    let mut body = Vec::new();
    let progress = BodyReader::new(head.framing)
        .read(following, &mut |piece| body.extend_from_slice(piece))
        .map_err(|_| ())?;
    let text = |bytes: &[u8]| bytes.iter().map(|b| char::from(*b)).collect();
    Ok(match progress.done {
        true => Verdict::Taken(text(&body), text(&following[progress.consumed..])),
        false => Verdict::word("partial"),
    })
}
