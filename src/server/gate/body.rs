//! The body of a request: counting it, or taking its chunks apart (RFC 9112, section 7.1).
//!
//! Knows no socket. Bytes arrive in pieces; what belongs to the body goes to the caller's
//! buffer, and what follows it stays.

use super::fault::Fault;
use super::head::Framing;

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
    /// At the first byte of a trailer line.
    TrailerStart,
    /// In a trailer line, and at its LF.
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
            // A line that begins with a space would be folded, which is obsolete.
            (State::TrailerStart, b'!'..=0x7e) => self.skip(State::Trailer),
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
