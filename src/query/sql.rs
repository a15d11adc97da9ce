//! A statement under construction: its text with placeholders, and the values apart.
//!
//! The text is the statement's shape: requests that differ only in values share it, and so
//! share a prepared statement.

use super::quote;
use crate::schema::QualifiedName;
use std::borrow::Cow;
use std::fmt::Write;

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
    value: Cow<'a, str>,
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
        let start = self.text.len();
        // Writing to a String cannot fail.
        let _ = write!(self.text, "${}", self.values.len() + 1);
        self.values.push(Value { start, end: self.text.len(), value: value.into() });
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

    /// Appends the statement to `out` with the values in their places as literals.
    pub fn write_inline(&self, out: &mut String) {
        let values: usize = self.values.iter().map(|v| v.value.len() + 8).sum();
        out.reserve(self.text.len() + values);
        let mut from = 0;
        for value in &self.values {
            out.push_str(&self.text[from..value.start]);
            quote::literal(out, &value.value);
            from = value.end;
        }
        out.push_str(&self.text[from..]);
    }

    /// Appends the values as the arguments of `EXECUTE`: `('a','b')`, nothing for none.
    pub fn write_arguments(&self, out: &mut String) {
        if self.values.is_empty() {
            return;
        }
        out.reserve(self.values.iter().map(|v| v.value.len() + 8).sum());
        let mut separator = '(';
        for value in &self.values {
            out.push(separator);
            quote::literal(out, &value.value);
            separator = ',';
        }
        out.push(')');
    }
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
}
