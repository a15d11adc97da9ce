//! The grammar of JSON (RFC 8259), checked without recursion and without allocating.
//!
//! The open arrays and objects are bits in a stack of fixed size, so depth costs no memory and
//! cannot overflow. Lone surrogates are refused, as PostgreSQL would refuse them; `\u0000` is
//! let through, for only some types refuse it, and PostgreSQL says so.

use super::limits::MAX_BODY_DEPTH;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is no JSON, or there is none.
    Invalid,
    /// It is nested more deeply than [`MAX_BODY_DEPTH`] levels.
    TooDeep,
}

/// A cursor over a JSON text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Scanner { text, bytes: text.as_bytes(), at: 0 }
    }

    pub(super) fn at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Takes the next byte, which was peeked at.
    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(Fault::Invalid)
        }
    }

    /// A key with its colon; returned as written between the quotes.
    pub(super) fn key(&mut self) -> Result<&'a str, Fault> {
        let start = self.at + 1;
        self.string()?;
        let key = &self.text[start..self.at - 1];
        self.colon()?;
        Ok(key)
    }

    /// The colon after a key, with white space around it.
    pub(super) fn colon(&mut self) -> Result<(), Fault> {
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(())
    }

    /// Takes a string that is written exactly so between its quotes; whether it is there.
    /// It is far faster than to look for its end.
    pub(super) fn skip_quoted(&mut self, raw: &str) -> bool {
        let rest = &self.bytes[self.at..];
        let end = raw.len() + 1;
        let found = rest.first() == Some(&b'"')
            && rest.get(end) == Some(&b'"')
            && &rest[1..end] == raw.as_bytes();
        if found {
            self.at += end + 1;
        }
        found
    }

    /// Any value below `depth` levels, with all that is in it.
    pub(super) fn value(&mut self, depth: usize) -> Result<(), Fault> {
        match self.peek() {
            Some(b'{' | b'[') => self.nested(depth),
            _ => self.scalar(),
        }
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => Err(Fault::Invalid),
        }
    }

    /// An array or object below `depth` levels.
    fn nested(&mut self, depth: usize) -> Result<(), Fault> {
        let mut open = Open::below(depth);
        loop {
            self.skip_space();
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    self.at += 1;
                    self.skip_space();
                    let object = bracket == b'{';
                    let closing = if object { b'}' } else { b']' };
                    if self.peek() != Some(closing) {
                        open.push(object)?;
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                    self.at += 1;
                }
                _ => self.scalar()?,
            }
            if !self.after_value(&mut open)? {
                return Ok(());
            }
        }
    }

    /// Closes what ends after a value. Whether another value has to follow.
    fn after_value(&mut self, open: &mut Open) -> Result<bool, Fault> {
        while let Some(in_object) = open.last() {
            self.skip_space();
            match (self.peek(), in_object) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.skip_space();
                    self.key()?;
                    return Ok(true);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    open.pop();
                }
                _ => return Err(Fault::Invalid),
            }
        }
        Ok(false)
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Fault::Invalid)
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(Fault::Invalid) } else { Ok(()) }
    }

    /// A string with its quotes.
    fn string(&mut self) -> Result<(), Fault> {
        self.expect(b'"')?;
        loop {
            self.at += plain_prefix(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(Fault::Invalid),
            }
        }
    }

    /// An escape; `\u` surrogates have to come in pairs.
    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => match self.unicode_escape()? {
                0xD800..=0xDBFF => {
                    self.expect(b'\\')?;
                    match self.unicode_escape()? {
                        0xDC00..=0xDFFF => Ok(()),
                        _ => Err(Fault::Invalid),
                    }
                }
                0xDC00..=0xDFFF => Err(Fault::Invalid),
                _ => Ok(()),
            },
            _ => Err(Fault::Invalid),
        }
    }

    /// `u` and four hexadecimal digits.
    fn unicode_escape(&mut self) -> Result<u32, Fault> {
        self.expect(b'u')?;
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Fault::Invalid)?;
        let mut code = 0;
        for digit in digits {
            code = code << 4 | char::from(*digit).to_digit(16).ok_or(Fault::Invalid)?;
        }
        self.at += 4;
        Ok(code)
    }
}

/// The number of bytes before the first quote, backslash or control character.
/// Eight at a time: each test leaves the high bit of the bytes it is true for.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut done = 0;
    for chunk in bytes.chunks_exact(8) {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        let word = u64::from_le_bytes(word);
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let special = quote | backslash | control;
        if special != 0 {
            // A borrow can mark a byte after the first special one, never one before it.
            return done + special.trailing_zeros() as usize / 8;
        }
        done += 8;
    }
    let special = |b: &u8| matches!(b, b'"' | b'\\' | 0..0x20);
    bytes[done..].iter().position(special).map_or(bytes.len(), |at| done + at)
}

/// The arrays and objects that are open, as bits.
struct Open {
    /// A bit a level: whether it is an object.
    objects: [u64; MAX_BODY_DEPTH / 64],
    depth: usize,
    /// The levels that somebody else opened.
    below: usize,
}

impl Open {
    fn below(depth: usize) -> Self {
        Open { objects: [0; MAX_BODY_DEPTH / 64], depth, below: depth }
    }

    fn push(&mut self, object: bool) -> Result<(), Fault> {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        let word = self.objects.get_mut(word).ok_or(Fault::TooDeep)?;
        *word = *word & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    /// Whether the innermost one is an object; `None` when none is open.
    fn last(&self) -> Option<bool> {
        if self.depth == self.below {
            return None;
        }
        let last = self.depth - 1;
        Some(self.objects[last / 64] >> (last % 64) & 1 == 1)
    }
}
