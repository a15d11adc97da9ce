use super::*;
use proptest::prelude::*;

const MAX_BYTES: usize = 4096;

/// Scans bytes in pieces of the given sizes, then the rest.
fn scan(bytes: &[u8], pieces: &[usize]) -> Result<Scan, Fault> {
    let mut scanner = Scanner::default();
    let mut end = 0;
    for size in pieces.iter().copied().chain([bytes.len()]) {
        end = (end + size).min(bytes.len());
        match scanner.scan(&bytes[..end], MAX_BYTES)? {
            Scan::Partial => {}
            found => return Ok(found),
        }
    }
    Ok(Scan::Partial)
}

fn parse_text(head: &str) -> Result<(Head, String), Fault> {
    let mut out = Vec::new();
    let head = parse(head.as_bytes(), &mut out)?;
    Ok((head, String::from_utf8(out).expect("what tiny_http gets is ASCII")))
}

fn framing(fields: &str) -> Result<Framing, Fault> {
    parse_text(&format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n")).map(|(head, _)| head.framing)
}

#[test]
fn the_end_of_a_head_is_found_wherever_the_stream_is_cut() {
    let bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nmore\r\n\r\n";
    for cut in 0..bytes.len() {
        assert_eq!(scan(bytes, &[cut]), Ok(Scan::Whole(27)), "{cut}");
    }
    assert_eq!(scan(&bytes[..26], &[]), Ok(Scan::Partial));
}

#[test]
fn empty_lines_before_a_head_are_counted() {
    let mut scanner = Scanner::default();
    for _ in 0..LEADING_LINES_MAX {
        assert_eq!(scanner.scan(b"\r\nG", MAX_BYTES), Ok(Scan::EmptyLine));
    }
    assert!(scanner.scan(b"\r\nG", MAX_BYTES).is_err());
}

#[test]
fn a_line_without_cr_and_nul_are_refused_before_the_head_is_whole() {
    assert!(matches!(scan(b"GET / HTTP/1.1\n", &[]), Err(Fault::Malformed(_))));
    assert!(matches!(scan(b"\n", &[]), Err(Fault::Malformed(_))));
    assert!(matches!(scan(b"GET /\0", &[]), Err(Fault::Malformed(_))));
}

#[test]
fn a_head_beyond_its_limit_is_refused() {
    let line = vec![b'a'; MAX_BYTES];
    assert_eq!(scan(&line, &[]), Err(Fault::TargetTooLong));
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    head.resize(MAX_BYTES, b'a');
    assert_eq!(scan(&head, &[100, 1000]), Err(Fault::HeadTooLarge));
}

#[test]
fn a_request_is_written_anew_without_the_fields_of_its_connection() {
    let (head, wire) = parse_text(
        "GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, foo\r\nKeep-Alive: 1\r\n\
         TE: trailers\r\nUpgrade: h2c\r\nContent-Length: 0\r\nA:  b \r\ngoldenkey-slot: 1\r\n\r\n",
    )
    .unwrap();
    assert_eq!(wire, "GET /a?b HTTP/1.1\r\nHost: x\r\nA: b\r\n");
    assert_eq!(head.framing, Framing::Length(0));
    assert!(head.keep_alive && !head.is_head && !head.expects_continue);
    assert!(parse_text("HEAD / HTTP/1.1\r\nHost:\r\n\r\n").unwrap().0.is_head);
}

#[test]
fn persistence_depends_on_version_and_options() {
    let keeps = |version: &str, fields: &str| {
        let head = format!("GET / {version}\r\nHost: x\r\n{fields}\r\n");
        parse_text(&head).unwrap().0.keep_alive
    };
    assert!(keeps("HTTP/1.1", ""));
    assert!(keeps("HTTP/1.7", ""));
    assert!(!keeps("HTTP/1.1", "Connection: Close\r\n"));
    assert!(!keeps("HTTP/1.1", "Connection: keep-alive\r\nConnection: foo ,close\r\n"));
    assert!(!keeps("HTTP/1.0", ""));
    assert!(keeps("HTTP/1.0", "Connection: Keep-Alive\r\n"));
}

#[test]
fn values_beyond_ascii_are_set_aside_with_the_index_of_their_field() {
    let mut out = Vec::new();
    let head =
        parse(b"GET / HTTP/1.1\r\nHost: x\r\nTE: a\r\nA: \xe9\r\nB: \xc3\xa9\r\n\r\n", &mut out);
    assert_eq!(head.unwrap().texts, [(1, "\u{e9}".to_owned()), (2, "\u{e9}".to_owned())]);
    assert!(out.ends_with(b"A: \r\nB: \r\n"));
    // The host of an absolute target comes first, and the field it replaces not at all.
    let head = b"GET http://h/ HTTP/1.1\r\nA: \xe9\r\nHost: x\r\nB: \xe9\r\n\r\n";
    assert_eq!(parse(head, &mut Vec::new()).unwrap().texts.iter().map(|t| t.0).sum::<usize>(), 3);
}

#[test]
fn the_framing_of_a_body_is_beyond_doubt() {
    assert_eq!(framing(""), Ok(Framing::Length(0)));
    assert_eq!(framing("Content-Length: 007\r\n"), Ok(Framing::Length(7)));
    assert_eq!(framing("content-length:\t7 \r\n"), Ok(Framing::Length(7)));
    assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
    let longest = "Content-Length: 18446744073709551615\r\n";
    assert_eq!(framing(longest), Ok(Framing::Length(u64::MAX)));
    for doubtful in [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 1,1\r\n",
        "Content-Length: \u{ff11}\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
    ] {
        assert!(matches!(framing(doubtful), Err(Fault::Malformed(_))), "{doubtful}");
    }
    assert_eq!(framing("Transfer-Encoding: xchunked\r\n"), Err(Fault::TransferCoding));
    assert_eq!(framing("Transfer-Encoding: gzip, chunked\r\n"), Err(Fault::TransferCoding));
}

/// Heads made of what requests are made of, in any order.
fn patchwork() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"GET"[..],
        b"POST ",
        b" ",
        b"/",
        b"/a?b=c",
        b"*",
        b"http://h",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"\r\n",
        b"\r",
        b"\n",
        b"\r\n\r\n",
        b"Host: x",
        b"Host",
        b":",
        b": ",
        b"\t",
        b"Content-Length: 5",
        b"Transfer-Encoding: ",
        b"chunked",
        b",",
        b"\0",
        b"\x7f",
        b"\xc3\xa9",
        b"\xff",
        b"Expect: 100-continue",
        b"Connection: close",
        b"Goldenkey-Slot: 1",
        b"A: b",
    ]);
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// A head that is likely to be accepted.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let target = prop::collection::vec(prop_oneof![b'!'..=0x7e, 0x80..=0xffu8], 0..40);
    let value = prop::collection::vec(prop_oneof![b' '..=0x7e, 0x80..=0xffu8], 0..20);
    let fields = prop::collection::vec(("[A-Za-z-]{1,12}", value), 0..6);
    (target, fields).prop_map(|(target, fields)| {
        let mut head = b"GET /".to_vec();
        head.extend_from_slice(&target);
        head.extend_from_slice(b" HTTP/1.1\r\nHost: x\r\n");
        for (name, value) in fields {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(&value);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    })
}

proptest! {
    #[test]
    fn cutting_the_stream_changes_nothing(
        bytes in patchwork(),
        pieces in prop::collection::vec(1..40usize, 0..20),
    ) {
        let (whole, cut) = (scan(&bytes, &[]), scan(&bytes, &pieces));
        // What is refused for NUL at once may be refused for its line end when it comes in
        // pieces, and the other way round.
        prop_assert_eq!(whole.is_ok(), cut.is_ok());
        if let (Ok(whole), Ok(cut)) = (whole, cut) {
            prop_assert_eq!(whole, cut);
        }
    }

    #[test]
    fn what_goes_to_tiny_http_is_one_plain_head(head in prop_oneof![patchwork(), plausible()]) {
        if let Ok(Scan::Whole(length)) = scan(&head, &[]) {
            let mut out = Vec::new();
            if parse(&head[..length], &mut out).is_ok() {
                prop_assert!(out.is_ascii());
                prop_assert!(out.ends_with(b"\r\n") && !out.windows(4).any(|w| w == b"\r\n\r\n"));
                let line = out.split(|b| *b == b'\r').next().unwrap();
                prop_assert_eq!(line.iter().filter(|b| **b == b' ').count(), 2);
                prop_assert!(line.ends_with(b" HTTP/1.1"));
                let text = String::from_utf8(out).unwrap().to_ascii_lowercase();
                for field in FIELDS_NOT_FORWARDED {
                    let field = field.to_ascii_lowercase();
                    prop_assert!(!text.contains(&format!("\r\n{field}:")), "{}", text);
                }
                prop_assert_eq!(text.matches("\r\n").count(), text.matches('\n').count());
                prop_assert_eq!(text.matches("\r\n").count(), text.matches('\r').count());
            }
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = scan(&bytes, &[]);
        let _ = parse(&bytes, &mut Vec::new());
    }
}
