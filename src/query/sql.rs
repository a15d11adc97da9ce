//! A statement under construction: its text with placeholders, and the values apart.
//!
//! The text is the statement's shape: requests that differ only in values share it, and so
//! share a prepared statement.

use super::quote;
use crate::schema::QualifiedName;
use std::borrow::Cow;
use std::fmt::Write;

/// A value larger than this does not stand in the statement: it goes ahead of it in pieces of
/// this size, each the value of a setting, so that no message has a second and third copy of a
/// large body.
const PIECE_BYTES: usize = 256 << 10;

/// The settings that hold the pieces; their number follows.
const PIECE_SETTING: &str = "pgrst.piece_";

/// SQL text with numbered placeholders for values.
#[derive(Debug, Default)]
pub struct Sql<'a> {
    text: String,
    values: Vec<Value<'a>>,
}

#[derive(Debug)]
struct Value<'a> {
    /// Where its placeholder stands in the text.
    start: usize,
    end: usize,
    /// `None` for NULL.
    value: Option<Cow<'a, str>>,
}

impl<'a> Sql<'a> {
    /// An empty statement.
    pub fn new() -> Self {
        Self { text: String::with_capacity(1024), values: Vec::with_capacity(8) }
    }

    /// Appends SQL text of the server's own.
    pub fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends a quoted identifier.
    pub fn identifier(&mut self, name: &str) -> &mut Self {
        quote::identifier(&mut self.text, name);
        self
    }

    /// Appends `"qualifier"."name"`.
    pub fn column(&mut self, qualifier: &str, name: &str) -> &mut Self {
        self.identifier(qualifier).push(".").identifier(name)
    }

    /// Appends a schema-qualified name; an empty schema is left to the search path.
    pub fn qualified(&mut self, name: &QualifiedName) -> &mut Self {
        if !name.schema.is_empty() {
            self.identifier(&name.schema).push(".");
        }
        self.identifier(&name.name)
    }

    /// Appends a string literal that is part of the shape.
    pub fn literal(&mut self, text: &str) -> &mut Self {
        quote::literal(&mut self.text, text);
        self
    }

    /// Appends a placeholder for a value.
    pub fn value(&mut self, value: impl Into<Cow<'a, str>>) -> &mut Self {
        self.nullable(Some(value.into()))
    }

    /// Appends a placeholder for a value or NULL.
    pub fn nullable(&mut self, value: Option<Cow<'a, str>>) -> &mut Self {
        let start = self.text.len();
        // Writing to a String cannot fail.
        let _ = write!(self.text, "${}", self.values.len() + 1);
        self.values.push(Value { start, end: self.text.len(), value });
        self
    }

    /// Appends `separator` unless this is the first of a list.
    pub fn separate(&mut self, first: &mut bool, separator: &str) -> &mut Self {
        if !std::mem::take(first) {
            self.push(separator);
        }
        self
    }

    /// The text with placeholders.
    pub fn shape(&self) -> &str {
        &self.text
    }

    /// How many values there are.
    pub fn value_count(&self) -> usize {
        self.values.len()
    }

    /// Whether some value goes ahead of the statement, in pieces.
    pub fn has_pieces(&self) -> bool {
        self.values.iter().any(Value::is_large)
    }

    /// The queries that set the pieces of large values, to be run before the statement in its
    /// transaction. Each is appended to `out`, which is then given to `send`.
    ///
    /// # Errors
    /// The first one of `send`.
    pub fn send_pieces<E>(
        &self,
        out: &mut String,
        mut send: impl FnMut(&mut String) -> Result<(), E>,
    ) -> Result<(), E> {
        let large = self.values.iter().filter(|value| value.is_large());
        for (number, piece) in large.flat_map(|value| pieces(value.text())).enumerate() {
            out.push_str("SELECT set_config('");
            push_piece_name(out, number);
            out.push_str("',");
            quote::literal(out, piece);
            out.push_str(",true)");
            send(out)?;
        }
        Ok(())
    }

    /// Appends the statement to `out` with the values in their places: as literals, or as
    /// what puts the pieces of [`send_pieces`](Self::send_pieces) together.
    pub fn write_inline(&self, out: &mut String) {
        let in_place = self.values.iter().filter(|value| !value.is_large());
        out.reserve(self.text.len() + in_place.map(|v| v.text().len() + 8).sum::<usize>());
        let mut from = 0;
        let mut numbers = 0..;
        for value in &self.values {
            out.push_str(&self.text[from..value.start]);
            if value.is_large() {
                push_joined(out, numbers.by_ref().take(pieces(value.text()).count()));
            } else {
                value.push_literal(out);
            }
            from = value.end;
        }
        out.push_str(&self.text[from..]);
    }

    /// Appends the values as the arguments of `EXECUTE`: `('a','b')`, nothing for none. Not
    /// for a statement that [has pieces](Self::has_pieces).
    pub fn write_arguments(&self, out: &mut String) {
        if self.values.is_empty() {
            return;
        }
        out.reserve(self.values.iter().map(|v| v.text().len() + 8).sum());
        let mut separator = '(';
        for value in &self.values {
            out.push(separator);
            value.push_literal(out);
            separator = ',';
        }
        out.push(')');
    }
}

impl Value<'_> {
    /// The text; nothing for NULL.
    fn text(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }

    fn push_literal(&self, out: &mut String) {
        match &self.value {
            Some(text) => quote::literal(out, text),
            None => out.push_str("NULL"),
        }
    }

    fn is_large(&self) -> bool {
        self.text().len() > PIECE_BYTES
    }
}

/// A text in pieces of at most [`PIECE_BYTES`].
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut end = PIECE_BYTES.min(rest.len());
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

fn push_piece_name(out: &mut String, number: usize) {
    out.push_str(PIECE_SETTING);
    out.push_str(&number.to_string());
}

fn push_joined(out: &mut String, numbers: impl Iterator<Item = usize>) {
    out.push_str("array_to_string(ARRAY[");
    for (index, number) in numbers.enumerate() {
        out.push_str(if index > 0 { ",current_setting('" } else { "current_setting('" });
        push_piece_name(out, number);
        out.push_str("')");
    }
    out.push_str("],'')");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sql<'static> {
        let mut sql = Sql::new();
        sql.push("SELECT ")
            .column("a\"b", "c")
            .push(" = ")
            .value("it's")
            .push(" AND x = ")
            .value("\\");
        sql
    }

    #[test]
    fn values_stand_apart_from_the_shape() {
        assert_eq!(sample().shape(), r#"SELECT "a""b"."c" = $1 AND x = $2"#);
    }

    #[test]
    fn values_are_quoted_in_their_places() {
        let mut text = String::new();
        sample().write_inline(&mut text);
        assert_eq!(text, r#"SELECT "a""b"."c" = 'it''s' AND x =  E'\\'"#);
    }

    #[test]
    fn arguments_are_a_list_of_literals() {
        let mut text = String::new();
        sample().write_arguments(&mut text);
        assert_eq!(text, r"('it''s', E'\\')");
        text.clear();
        Sql::new().write_arguments(&mut text);
        assert_eq!(text, "");
    }

    #[test]
    fn a_large_value_goes_ahead_in_pieces() {
        // A character of two bytes stands across the end of the first piece.
        let large =
            format!("{}\u{e9}{}", "a".repeat(PIECE_BYTES - 1), "b'".repeat(PIECE_BYTES / 4));
        let mut sql = Sql::new();
        sql.push("SELECT ").value("small").push(", ").value(large.as_str()).push("::json");
        assert!(sql.has_pieces());
        let (mut out, mut sent) = ("BEGIN;".to_owned(), Vec::new());
        let done: Result<(), ()> = sql.send_pieces(&mut out, |message| {
            sent.push(std::mem::take(message));
            Ok(())
        });
        assert!(done.is_ok() && out.is_empty());
        let [first, second] = &sent[..] else { panic!("{} messages", sent.len()) };
        assert!(first.starts_with("BEGIN;SELECT set_config('pgrst.piece_0','aaa"));
        assert!(first.ends_with("aaa',true)"));
        assert!(second.starts_with("SELECT set_config('pgrst.piece_1','\u{e9}b''b''"));
        sql.write_inline(&mut out);
        assert_eq!(
            out,
            "SELECT 'small', array_to_string(ARRAY[current_setting('pgrst.piece_0'),\
             current_setting('pgrst.piece_1')],'')::json"
        );
        assert!(!sample().has_pieces());
    }
}
