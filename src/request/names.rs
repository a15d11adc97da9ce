//! The parts that every parameter's grammar shares: names, JSON paths, white space, lists.

use super::ast::{Field, JsonOperand, JsonStep};
use super::expected::Expected;
use super::limits::{MAX_COLUMNS, MAX_JSON_STEPS};
use super::parser::{Parsed, Parser, Stop};

/// A name as it stands in the text. It becomes a `String` only once it is known to be kept,
/// for parsing tries several alternatives that start with a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Name<'a> {
    /// Words of letters, digits, `_`, `$` and inner spaces, joined by dashes.
    Plain(&'a str),
    /// The text between double quotes, in which a backslash takes the next character as it is.
    Quoted(&'a str),
}

impl Name<'_> {
    /// The name itself: spaces at the ends of a word are dropped, escapes resolved.
    pub(super) fn text(self) -> String {
        match self {
            Name::Plain(raw) if !raw.contains('-') => raw.trim().to_owned(),
            Name::Plain(raw) => {
                let mut text = String::with_capacity(raw.len());
                for (index, word) in raw.split('-').enumerate() {
                    if index > 0 {
                        text.push('-');
                    }
                    text.push_str(word.trim());
                }
                text
            }
            Name::Quoted(raw) => unescape(raw),
        }
    }

    /// Whether the name is this word of letters.
    pub(super) fn is(self, word: &str) -> bool {
        match self {
            Name::Plain(raw) => raw.trim() == word,
            Name::Quoted(raw) => raw == word,
        }
    }
}

/// The text with every backslash taken out and the character after it kept.
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut characters = raw.chars();
    while let Some(c) = characters.next() {
        text.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    text
}

/// The characters of a plain word.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '_' | '$' | ' ')
        || (!c.is_ascii() && c.is_alphabetic())
}

/// The characters of a JSON key that needs no quotes.
fn is_key_word(c: char) -> bool {
    !matches!(c, '(' | '-' | ':' | '.' | ',' | '>' | ')')
}

impl<'a> Parser<'a> {
    /// Spaces and tabs.
    pub(super) fn spaces(&mut self) {
        self.take_while(|c| matches!(c, ' ' | '\t'));
    }

    /// `item` with white space around it. White space without an item is a final failure.
    pub(super) fn spaced<T>(&mut self, item: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.spaces();
        let value = item(self)?;
        self.spaces();
        Ok(value)
    }

    /// A comma with white space around it.
    pub(super) fn comma(&mut self) -> Parsed<()> {
        self.spaced(|p| p.byte(b',', Expected::COMMA))
    }

    /// A name: quoted, or words joined by dashes.
    pub(super) fn name(&mut self) -> Parsed<Name<'a>> {
        if self.peek() == Some(b'"') {
            return self.quoted().map(Name::Quoted);
        }
        self.dashed(is_word, Expected::NAME).map(Name::Plain)
    }

    /// The text of a name.
    pub(super) fn name_text(&mut self) -> Parsed<String> {
        self.name().map(Name::text)
    }

    /// Words of some characters, joined by dashes that do not begin an arrow.
    fn dashed(&mut self, belongs: fn(char) -> bool, expected: Expected) -> Parsed<&'a str> {
        let start = self.offset();
        self.word_of(belongs, expected)?;
        loop {
            match (self.peek(), self.peek_second()) {
                (Some(b'-'), Some(b'>')) => self.note_failure(2, Expected::NOTHING),
                (Some(b'-'), _) => {
                    self.advance(1);
                    self.word_of(belongs, expected)?;
                    continue;
                }
                _ => {}
            }
            return Ok(self.since(start));
        }
    }

    /// One or more of some characters.
    fn word_of(&mut self, belongs: fn(char) -> bool, expected: Expected) -> Parsed<()> {
        if self.take_while(belongs).is_empty() { self.fail(expected) } else { Ok(()) }
    }

    /// Text in double quotes; what is returned stands between them, escapes and all.
    pub(super) fn quoted(&mut self) -> Parsed<&'a str> {
        self.byte(b'"', Expected::NAME)?;
        let start = self.offset();
        loop {
            self.take_while(|c| !matches!(c, '"' | '\\'));
            match self.peek() {
                Some(b'"') => {
                    let raw = self.since(start);
                    self.advance(1);
                    return Ok(raw);
                }
                Some(_) => {
                    self.advance(1);
                    match self.rest().chars().next() {
                        Some(c) => self.advance(c.len_utf8()),
                        None => return self.fail(Expected::QUOTE),
                    }
                }
                None => return self.fail(Expected::QUOTE),
            }
        }
    }

    /// A value in double quotes, when a comma, a closing parenthesis or the end comes after it.
    pub(super) fn quoted_value(&mut self) -> Parsed<String> {
        self.attempt(|p| {
            let raw = p.quoted()?;
            match p.rest().chars().next() {
                None | Some(',' | ')') => Ok(unescape(raw)),
                Some(c) => p.fail_ahead(c.len_utf8(), Expected::COMMA | Expected::CLOSE),
            }
        })
    }

    /// The name of a type: a word, and not of spaces only.
    pub(super) fn type_name(&mut self) -> Parsed<String> {
        let name = self.take_while(is_word).trim();
        if name.is_empty() { self.fail(Expected::TYPE) } else { Ok(name.to_owned()) }
    }

    /// A column and a path into it, with white space around.
    pub(super) fn field(&mut self) -> Parsed<Field> {
        self.spaced(|p| Ok(Field { column: p.name_text()?, path: p.json_path()? }))
    }

    /// `->` and `->>` steps; none is a path, too.
    pub(super) fn json_path(&mut self) -> Parsed<Vec<JsonStep>> {
        let mut path = Vec::new();
        loop {
            let as_text = self.rest().starts_with("->>");
            if !as_text && !self.rest().starts_with("->") {
                self.note_failure(0, Expected::ARROW);
                return Ok(path);
            }
            if path.len() == MAX_JSON_STEPS {
                return Err(Stop::Limit("steps in a JSON path", MAX_JSON_STEPS));
            }
            self.advance(if as_text { 3 } else { 2 });
            let operand = self.either(|p| p.attempt(Self::index), |p| p.attempt(Self::key))?;
            path.push(JsonStep { as_text, operand });
            self.forget_failures();
        }
    }

    /// The index of an array element. More than digits make it a key.
    fn index(&mut self) -> Parsed<JsonOperand> {
        let start = self.offset();
        if self.peek() == Some(b'-') {
            self.advance(1);
        }
        if self.take_while(|c| c.is_ascii_digit()).is_empty() {
            return self.fail(Expected::DIGIT);
        }
        let rest = self.rest();
        let ends = matches!(self.peek(), None | Some(b'.' | b',' | b')'))
            || rest.starts_with("->")
            || rest.starts_with("::");
        if !ends {
            return self.fail(Expected::DIGIT | Expected::ARROW | Expected::CAST | Expected::END);
        }
        Ok(JsonOperand::Index(self.since(start).to_owned()))
    }

    /// The key of an object's member.
    fn key(&mut self) -> Parsed<JsonOperand> {
        let name = if self.peek() == Some(b'"') {
            Name::Quoted(self.quoted()?)
        } else {
            Name::Plain(self.dashed(is_key_word, Expected::JSON_OPERAND)?)
        };
        Ok(JsonOperand::Key(name.text()))
    }

    /// A list of names: `columns` and `on_conflict`.
    pub(super) fn names(&mut self) -> Parsed<Vec<String>> {
        self.separated(Self::name_text, Self::comma, ("columns", MAX_COLUMNS))
    }
}
