//! How the text of a value becomes its type, and back.

use crate::schema::QualifiedName;
use std::time::Duration;

/// A type that a setting can have. An empty text reaches `parse` only for a setting that
/// may be empty, and as the default of one that has none.
pub(super) trait Value: Sized {
    /// The type, for people.
    const KIND: &'static str;

    /// Reads the value of the setting `name`.
    fn parse(name: &str, text: &str) -> Result<Self, Rejected>;

    /// Appends the value as it would stand in a file.
    fn write(&self, out: &mut String);
}

/// Why a text is no value of a type.
#[derive(Debug, PartialEq)]
pub(super) struct Rejected {
    pub reason: String,
    pub allowed: String,
    /// The text is not of the type at all. PostgREST takes such a number or boolean for
    /// "not set".
    pub wrong_type: bool,
}

impl Rejected {
    /// A text that is of the type, but not allowed.
    pub fn invalid(reason: impl Into<String>, allowed: impl Into<String>) -> Self {
        Rejected { reason: reason.into(), allowed: allowed.into(), wrong_type: false }
    }

    fn wrong_type(reason: &str, allowed: impl Into<String>) -> Self {
        Rejected { wrong_type: true, ..Rejected::invalid(reason, allowed) }
    }
}

/// Appends a string in double quotes, escaped so that the file's grammar reads it back.
pub(super) fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' => out.push_str("$$"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends the items of a list as one string, separated by commas.
fn write_list(out: &mut String, items: &[String]) {
    write_text(out, &items.join(","));
}

impl Value for String {
    const KIND: &'static str = "string";

    fn parse(_: &str, text: &str) -> Result<Self, Rejected> {
        Ok(text.to_owned())
    }

    fn write(&self, out: &mut String) {
        write_text(out, self);
    }
}

/// Bytes of a secret, still as they were written. [`super::secret`] makes the key of them.
impl Value for Vec<u8> {
    const KIND: &'static str = "string";

    fn parse(_: &str, text: &str) -> Result<Self, Rejected> {
        Ok(text.as_bytes().to_vec())
    }

    fn write(&self, out: &mut String) {
        write_text(out, &String::from_utf8_lossy(self));
    }
}

impl Value for Vec<String> {
    const KIND: &'static str = "list, separated by commas";

    fn parse(_: &str, text: &str) -> Result<Self, Rejected> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        Ok(text.split(',').map(|item| item.trim().to_owned()).collect())
    }

    fn write(&self, out: &mut String) {
        write_list(out, self);
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;

    fn parse(name: &str, text: &str) -> Result<Self, Rejected> {
        if text.is_empty() { Ok(None) } else { T::parse(name, text).map(Some) }
    }

    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("\"\""),
        }
    }
}

impl Value for bool {
    const KIND: &'static str = "boolean";

    /// `true`, `on`, `yes` and numbers above zero; `false`, `off`, `no` and other numbers.
    fn parse(_: &str, text: &str) -> Result<Self, Rejected> {
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '"');
        match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" => Ok(true),
            "false" | "off" | "no" => Ok(false),
            _ => match integer(text) {
                Some(number) => Ok(number > 0),
                None => Err(Rejected::wrong_type("it is not a boolean.", "true, false")),
            },
        }
    }

    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

/// A whole number, also written as `1e3` or `10.0`.
fn integer(text: &str) -> Option<i64> {
    /// Above it, not every whole number has a floating-point one of its own.
    const EXACT_F64: f64 = 9_007_199_254_740_992.0;
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number.fract() == 0.0 && number.abs() <= EXACT_F64).then_some(number as i64)
    })
}

/// Reads a whole number that `T` can hold.
fn ranged<T: TryFrom<i64>>(text: &str, allowed: &str) -> Result<T, Rejected> {
    let number =
        integer(text).ok_or_else(|| Rejected::wrong_type("it is not a number.", allowed))?;
    T::try_from(number).map_err(|_| Rejected::invalid("it is out of range.", allowed))
}

macro_rules! number {
    ($($type:ty, $allowed:literal;)+) => {$(
        impl Value for $type {
            const KIND: &'static str = "integer";

            fn parse(_: &str, text: &str) -> Result<Self, Rejected> {
                ranged(text, $allowed)
            }

            fn write(&self, out: &mut String) {
                out.push_str(&self.to_string());
            }
        }
    )+};
}
number! {
    u16, "a whole number from 0 to 65535";
    u64, "a whole number from 0";
    usize, "a whole number from 0";
}

impl Value for Duration {
    const KIND: &'static str = "seconds";

    fn parse(_: &str, text: &str) -> Result<Self, Rejected> {
        // Bounded so that a time in the future can always be computed.
        ranged::<u32>(text, "whole seconds from 0").map(|s| Duration::from_secs(s.into()))
    }

    fn write(&self, out: &mut String) {
        out.push_str(&self.as_secs().to_string());
    }
}

impl QualifiedName {
    /// The name in a setting: `schema.name`, or the name alone. Neither is quoted.
    pub(super) fn from_setting(text: &str) -> Self {
        let (schema, name) = text.split_once('.').unwrap_or(("", text));
        QualifiedName::new(schema.trim(), name.trim())
    }
}

impl Value for QualifiedName {
    const KIND: &'static str = "name, with or without its schema";

    fn parse(_: &str, text: &str) -> Result<Self, Rejected> {
        Ok(QualifiedName::from_setting(text))
    }

    fn write(&self, out: &mut String) {
        write_text(out, &self.to_string());
    }
}

/// The permissions of a Unix socket's file, such as `0o660`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(pub u32);

impl Value for SocketMode {
    const KIND: &'static str = "octal number";

    fn parse(name: &str, text: &str) -> Result<Self, Rejected> {
        const ALLOWED: &str = "an octal number from 600 to 777";
        let reject = |why| Rejected::invalid(format!("Invalid {name}: {why}"), ALLOWED);
        // As PostgREST does, the digits count up to the first that is not octal: 599 is 5.
        let digits = text.bytes().take_while(|b| (b'0'..=b'7').contains(b)).count();
        match u32::from_str_radix(&text[..digits], 8) {
            Ok(mode @ 0o600..=0o777) if digits == text.len() => Ok(SocketMode(mode)),
            Err(_) if digits == 0 => Err(reject("not an octal")),
            _ => Err(reject("needs to be between 600 and 777")),
        }
    }

    fn write(&self, out: &mut String) {
        write_text(out, &format!("{:o}", self.0));
    }
}
