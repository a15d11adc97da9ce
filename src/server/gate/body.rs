//! The body of a request: counting it, or taking its chunks apart (RFC 9112, section 7.1).
//!
//! Knows no socket. Bytes arrive in pieces; what belongs to the body goes to the caller's
//! buffer, and what follows it stays.

use super::fault::Fault;
use super::head::{Framing, is_token};

/// Bytes of chunk extensions and trailer fields of one body, which nobody reads.
const OVERHEAD_MAX_BYTES: usize = 16 << 10;
/// Digits of a chunk's size: more could only overflow.
const SIZE_DIGITS_MAX: u8 = 15;

/// Reads one body.
#[derive(Debug, Clone)]
pub enum BodyReader {
    /// That many bytes are still to come.
    Counted(u64),
    /// Chunks are still to come.
    Chunked(Chunks),
}

/// What a piece of input brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that belong to the body and its framing.
    pub consumed: usize,
    /// Whether the body is whole.
    pub done: bool,
}

impl BodyReader {
    /// A reader for a body of that framing.
    pub fn new(framing: Framing) -> BodyReader {
        match framing {
            Framing::Length(length) => BodyReader::Counted(length),
            Framing::Chunked => BodyReader::Chunked(Chunks::default()),
        }
    }

    /// Takes from `input` what belongs to the body, and gives its content to `content`.
    ///
    /// # Errors
    /// The chunks are malformed.
    pub fn read(
        &mut self,
        input: &[u8],
        content: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, Fault> {
        match self {
            BodyReader::Counted(left) => {
                let consumed = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                content(&input[..consumed]);
                *left -= consumed as u64;
                Ok(Progress { consumed, done: *left == 0 })
            }
            BodyReader::Chunked(chunks) => chunks.read(input, content),
        }
    }
}

/// Takes chunks apart.
#[derive(Debug, Clone, Default)]
pub struct Chunks {
    state: State,
    /// Digits of the current chunk's size so far.
    digits: u8,
    /// Size of the current chunk, or what is left of it.
    size: u64,
    overhead: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// In the digits of a size.
    #[default]
    Size,
    /// In an extension, which lasts to the end of the line.
    Extension,
    /// At the LF that ends the line of a size.
    SizeEnd,
    /// In the data.
    Data,
    /// At the CR, then at the LF behind the data.
    DataCr,
    DataLf,
    /// At the first byte of a trailer field, and in its name.
    TrailerStart,
    TrailerName,
    /// In the value of a trailer field, and at its LF.
    Trailer,
    TrailerLf,
    /// At the LF of the empty line that ends everything.
    LastLf,
    Done,
}

const MALFORMED: Fault = Fault::Malformed("A chunk of the body is malformed.");

impl Chunks {
    fn read(&mut self, input: &[u8], content: &mut dyn FnMut(&[u8])) -> Result<Progress, Fault> {
        let mut position = 0;
        while position < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let left = usize::try_from(self.size).unwrap_or(usize::MAX);
                let end = position.saturating_add(left).min(input.len());
                content(&input[position..end]);
                self.size -= (end - position) as u64;
                position = end;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
            } else {
                self.state = self.step(input[position])?;
                position += 1;
            }
        }
        Ok(Progress { consumed: position, done: self.state == State::Done })
    }

    /// Takes one byte of the framing.
    fn step(&mut self, byte: u8) -> Result<State, Fault> {
        match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte),
            (State::Size, b';') if self.digits > 0 => self.skip(State::Extension),
            (State::Size, b'\r') if self.digits > 0 => Ok(State::SizeEnd),
            (State::Extension, b'\r') => Ok(State::SizeEnd),
            (State::Extension, b'\t' | b' '..=0x7e | 0x80..) => self.skip(State::Extension),
            (State::SizeEnd, b'\n') => {
                self.digits = 0;
                Ok(if self.size == 0 { State::TrailerStart } else { State::Data })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::TrailerStart | State::TrailerName, byte) if is_token(&byte) => {
                self.skip(State::TrailerName)
            }
            (State::TrailerName, b':') => self.skip(State::Trailer),
            (State::Trailer, b'\r') => Ok(State::TrailerLf),
            (State::Trailer, b'\t' | b' '..=0x7e | 0x80..) => self.skip(State::Trailer),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::LastLf, b'\n') => Ok(State::Done),
            _ => Err(MALFORMED),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<State, Fault> {
        self.digits += 1;
        if self.digits > SIZE_DIGITS_MAX {
            return Err(MALFORMED);
        }
        let value = char::from(byte).to_digit(16).ok_or(MALFORMED)?;
        self.size = self.size * 16 + u64::from(value);
        Ok(State::Size)
    }

    /// Counts a byte that is thrown away.
    fn skip(&mut self, state: State) -> Result<State, Fault> {
        self.overhead += 1;
        if self.overhead > OVERHEAD_MAX_BYTES {
            return Err(Fault::Malformed("The chunk extensions or trailers are too long."));
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads `input` in pieces of the given sizes, then the rest.
    fn read(input: &[u8], pieces: &[usize]) -> Result<(Vec<u8>, usize, bool), Fault> {
        let mut reader = BodyReader::new(Framing::Chunked);
        let (mut content, mut position) = (Vec::new(), 0);
        for size in pieces.iter().copied().chain([input.len()]) {
            let end = (position + size).min(input.len());
            let progress =
                reader.read(&input[position..end], &mut |p| content.extend_from_slice(p))?;
            position += progress.consumed;
            if progress.done {
                return Ok((content, position, true));
            }
        }
        Ok((content, position, false))
    }

    fn read_whole(input: &str) -> Result<(Vec<u8>, usize, bool), Fault> {
        read(input.as_bytes(), &[])
    }

    #[test]
    fn chunks_are_joined_and_what_follows_is_left() {
        let input = "4\r\nWiki\r\nA;x=\"y\"\r\npedia in c\r\n00\r\nT: v\r\n\r\nGET /";
        let (content, consumed, done) = read_whole(input).unwrap();
        assert_eq!(content, b"Wikipedia in c");
        assert!(done);
        assert_eq!(&input[consumed..], "GET /");
    }

    #[test]
    fn a_counted_body_ends_after_its_bytes() {
        let mut reader = BodyReader::new(Framing::Length(4));
        let mut content = Vec::new();
        let progress = reader.read(b"fourGET", &mut |p| content.extend_from_slice(p)).unwrap();
        assert_eq!(progress, Progress { consumed: 4, done: true });
        assert_eq!(content, b"four");
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for input in [
            "\r\n",
            " 1\r\na\r\n",
            "1 \r\na\r\n",
            "+1\r\na",
            "-1\r\na",
            "0x1\r\na",
            "g\r\n",
            ";\r\n",
            "1\na",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\na\rb",
            "1;\0\r\na",
            "1;\n\r\na",
            "0\r\n folded\r\n",
            "0\r\nA: \0\r\n",
            "0\r\nA\r\n",
            "0\r\n: b\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\n\n",
            "10000000000000000\r\n",
        ] {
            assert!(read_whole(input).is_err(), "{input:?}");
        }
    }

    #[test]
    fn what_nobody_reads_is_bounded() {
        let extension = format!("1;{}\r\n", "e".repeat(OVERHEAD_MAX_BYTES));
        assert!(read_whole(&extension).is_err());
        let trailers = format!("0\r\n{}", "A: b\r\n".repeat(OVERHEAD_MAX_BYTES / 3));
        assert!(read_whole(&trailers).is_err());
    }

    proptest! {
        #[test]
        fn chunks_survive_any_division_of_the_stream(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            pieces in prop::collection::vec(1..30usize, 0..60),
        ) {
            let mut input = Vec::new();
            for part in &parts {
                input.extend_from_slice(format!("{:x};e\r\n", part.len()).as_bytes());
                input.extend_from_slice(part);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\nA: b\r\n\r\n");
            let end = input.len();
            input.extend_from_slice(b"rest");
            let (content, consumed, done) = read(&input, &pieces).unwrap();
            prop_assert_eq!(content, parts.concat());
            prop_assert_eq!((consumed, done), (end, true));
        }

        #[test]
        fn no_input_makes_it_panic_or_consume_too_much(
            input in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok((content, consumed, _)) = read(&input, &[]) {
                prop_assert!(consumed <= input.len() && content.len() <= input.len());
            }
        }
    }
}
