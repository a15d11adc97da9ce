//! A cursor over one parameter of the query string that remembers where parsing went wrong.
//!
//! Clients see the column of a syntax error, so it has to be PostgREST's, and PostgREST's is
//! that of a backtracking parser: of the alternatives tried since the last character was
//! taken for good, the one that came furthest decides. [`Parser`] keeps exactly that
//! position: taking input forgets earlier failures, [`attempt`](Parser::attempt) keeps the
//! position of the failure it undoes.
//!
//! A function fails *softly* when it leaves the cursor where it was, and so lets the caller
//! try something else; once it has moved the cursor, its failure is final.

use super::expected::Expected;
use crate::error::Error;

/// Why a parsing function gave up.
#[derive(Debug)]
pub(super) enum Stop {
    /// The text is not of the grammar; the parser knows where and what was expected.
    Mismatch,
    /// The text goes beyond a limit: so many of what are allowed.
    Limit(&'static str, usize),
}

pub(super) type Parsed<T> = Result<T, Stop>;

/// The failure that came furthest since input was last taken.
#[derive(Debug, Clone, Copy)]
struct Failure {
    at: usize,
    expected: Expected,
}

impl Failure {
    fn merge(&mut self, other: Failure) {
        if other.at > self.at {
            *self = other;
        } else if other.at == self.at {
            self.expected |= other.expected;
        }
    }
}

/// A cursor over the text of one parameter.
pub(super) struct Parser<'a> {
    text: &'a str,
    at: usize,
    failure: Failure,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Parser { text, at: 0, failure: Failure { at: 0, expected: Expected::NOTHING } }
    }

    /// The byte offset of the cursor.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// The text between an earlier offset and the cursor.
    pub(super) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    /// The text that is left.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next byte; `None` at the end.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The byte after the next one.
    pub(super) fn peek_second(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at + 1).copied()
    }

    /// Takes `bytes` bytes of input, which end at a character boundary.
    pub(super) fn advance(&mut self, bytes: usize) {
        if bytes > 0 {
            self.at += bytes;
            self.forget_failures();
        }
    }

    /// Takes characters as long as `belongs` holds, and returns them.
    pub(super) fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.advance(length);
        &rest[..length]
    }

    /// Drops what is known of failed alternatives; done when input is taken.
    pub(super) fn forget_failures(&mut self) {
        self.failure = Failure { at: self.at, expected: Expected::NOTHING };
    }

    /// Fails at the cursor.
    pub(super) fn fail<T>(&mut self, expected: Expected) -> Parsed<T> {
        self.fail_ahead(0, expected)
    }

    /// Fails so many bytes after the cursor.
    pub(super) fn fail_ahead<T>(&mut self, bytes: usize, expected: Expected) -> Parsed<T> {
        self.note_failure(bytes, expected);
        Err(Stop::Mismatch)
    }

    /// Remembers a failure so many bytes after the cursor, of an alternative that is given up.
    pub(super) fn note_failure(&mut self, bytes: usize, expected: Expected) {
        self.failure.merge(Failure { at: self.at + bytes, expected });
    }

    /// Takes one ASCII character.
    pub(super) fn byte(&mut self, byte: u8, expected: Expected) -> Parsed<()> {
        if self.peek() == Some(byte) {
            self.advance(1);
            Ok(())
        } else {
            self.fail(expected)
        }
    }

    /// Takes a word. Input that only starts like it makes the failure final; what failed
    /// before is forgotten then, as if that start had been taken.
    pub(super) fn word(&mut self, word: &str, expected: Expected) -> Parsed<()> {
        if self.rest().starts_with(word) {
            self.advance(word.len());
            return Ok(());
        }
        if self.peek() == word.bytes().next() {
            self.failure = Failure { at: self.at, expected };
            self.at += 1;
            return Err(Stop::Mismatch);
        }
        self.fail(expected)
    }

    /// Takes a word, or fails softly.
    pub(super) fn soft_word(&mut self, word: &str, expected: Expected) -> Parsed<()> {
        if self.rest().starts_with(word) {
            self.advance(word.len());
            Ok(())
        } else {
            self.fail(expected)
        }
    }

    /// Runs `parse`; when it fails, the cursor goes back, and another alternative is possible.
    pub(super) fn attempt<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let (at, failure) = (self.at, self.failure);
        let result = parse(self);
        if matches!(result, Err(Stop::Mismatch)) {
            self.at = at;
            self.failure.merge(failure);
        }
        result
    }

    /// Runs `parse`; a soft failure is `None`.
    pub(super) fn optional<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<Option<T>> {
        let at = self.at;
        match parse(self) {
            Ok(value) => Ok(Some(value)),
            Err(Stop::Mismatch) if self.at == at => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    /// Runs `first`, and when it fails softly, `second`.
    pub(super) fn either<T>(
        &mut self,
        first: impl FnOnce(&mut Self) -> Parsed<T>,
        second: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<T> {
        match self.optional(first)? {
            Some(value) => Ok(value),
            None => second(self),
        }
    }

    /// One `item`, and more of them after each `separator`. At most `max` of `what`.
    pub(super) fn separated<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
        mut separator: impl FnMut(&mut Self) -> Parsed<()>,
        (what, max): (&'static str, usize),
    ) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        items.push(item(self)?);
        while self.optional(&mut separator)?.is_some() {
            if items.len() == max {
                return Err(Stop::Limit(what, max));
            }
            items.push(item(self)?);
            self.forget_failures();
        }
        Ok(items)
    }

    /// Turns a failure into the client's error: `failed to parse WHAT (TEXT)`, and where.
    /// `shown` is the text that the message repeats.
    pub(super) fn error(&self, stop: Stop, what: &str, shown: &str) -> Error {
        if let Stop::Limit(what, max) = stop {
            return super::limits::too_much(what, max);
        }
        let (line, column) = position(&self.text[..self.failure.at]);
        let found = self.text[self.failure.at..].chars().next();
        Error::new(
            400,
            "PGRST100",
            format!("\"failed to parse {what} ({shown})\" (line {line}, column {column})"),
        )
        .details(self.failure.expected.describe(found))
    }
}

/// Line and column of the character after `text`, both from 1. As in PostgREST's messages a
/// tab goes on to the next column that is a multiple of 8 and one.
fn position(text: &str) -> (usize, usize) {
    text.chars().fold((1, 1), |(line, column), c| match c {
        '\n' => (line + 1, 1),
        '\t' => (line, column + 8 - (column - 1) % 8),
        _ => (line, column + 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_tabs_jump() {
        assert_eq!(position(""), (1, 1));
        assert_eq!(position("żółw"), (1, 5));
        assert_eq!(position("a\t"), (1, 9));
        assert_eq!(position("two\nlin"), (2, 4));
    }

    #[test]
    fn an_undone_failure_that_came_further_decides_the_column() {
        let mut parser = Parser::new("abcX");
        let failed: Parsed<()> = parser.attempt(|p| {
            p.word("abc", Expected::NOTHING)?;
            p.byte(b'd', Expected::NOTHING)
        });
        assert!(failed.is_err());
        assert_eq!(parser.offset(), 0);
        let stop = parser.fail::<()>(Expected::NOTHING).unwrap_err();
        let error = parser.error(stop, "filter", "abcX");
        assert_eq!(error.message(), "\"failed to parse filter (abcX)\" (line 1, column 4)");
    }

    #[test]
    fn taking_input_forgets_what_failed_before() {
        let mut parser = Parser::new("abcX");
        let _: Parsed<()> = parser.attempt(|p| {
            p.word("abc", Expected::NOTHING)?;
            p.byte(b'd', Expected::NOTHING)
        });
        parser.advance(1);
        let stop = parser.byte(b'x', Expected::NOTHING).unwrap_err();
        let error = parser.error(stop, "filter", "abcX");
        assert_eq!(error.message(), "\"failed to parse filter (abcX)\" (line 1, column 2)");
    }
}
