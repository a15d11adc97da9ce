//! How PostgreSQL's values look in JSON: the one place that knows.
//!
//! `json_agg` writes a value as its type's output function gives it, quoted and escaped unless
//! it is a number, a boolean or JSON; only dates, arrays, rows and types with a cast to json of
//! their own are written otherwise (`json_categorize_type` in PostgreSQL's `json.c`). The output
//! function's text is also what a row shows, under the same settings, so JSON made here from the
//! text of a row is what PostgreSQL would have made. What is written otherwise PostgreSQL writes.

mod rows;

pub use rows::{Layout, RowWriter};

/// How the values of a type are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// `true` or `false`.
    Boolean,
    /// A number as it comes, and a string when it is none: `NaN`, `Infinity`.
    Number,
    /// A string.
    Text,
    /// A `json`, as it comes.
    Json,
    /// A `jsonb`, as it comes.
    Jsonb,
    /// PostgreSQL writes it, with `to_json`.
    #[default]
    Other,
}

impl Form {
    /// The form that a letter of the catalog query stands for.
    pub fn from_letter(letter: &str) -> Self {
        match letter {
            "b" => Form::Boolean,
            "n" => Form::Number,
            "t" => Form::Text,
            "j" => Form::Json,
            "J" => Form::Jsonb,
            _ => Form::Other,
        }
    }

    /// Whether what is written is JSON whatever the text is. Where it is not, the text must be
    /// known to be JSON.
    pub fn holds_for_any_text(self) -> bool {
        matches!(self, Form::Boolean | Form::Number | Form::Text)
    }
}

/// Appends a value to `out`.
fn push_value(out: &mut Vec<u8>, form: Form, text: &str) {
    match form {
        Form::Boolean => match text {
            "t" => out.extend_from_slice(b"true"),
            "f" => out.extend_from_slice(b"false"),
            // The type is another since the schema was loaded.
            _ => push_string(out, text),
        },
        Form::Number if is_number(text.as_bytes()) => out.extend_from_slice(text.as_bytes()),
        Form::Number | Form::Text => push_string(out, text),
        Form::Json | Form::Jsonb | Form::Other => out.extend_from_slice(text.as_bytes()),
    }
}

/// Whether a text is a JSON number, as PostgreSQL's `IsValidJsonNumber` has it.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || whole > 1 && rest[0] == b'0' {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let unsigned = match exponent {
            [b'+' | b'-', unsigned @ ..] => unsigned,
            unsigned => unsigned,
        };
        return !unsigned.is_empty() && digits(unsigned) == unsigned.len();
    }
    rest.is_empty()
}

/// Appends a string with its quotes, escaped as `escape_json` does.
fn push_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                continue;
            }
        };
        out.extend([b'\\', short]);
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(form: Form, text: &str) -> String {
        let mut out = Vec::new();
        push_value(&mut out, form, text);
        String::from_utf8(out).expect("what was text is text")
    }

    #[test]
    fn what_is_no_number_is_quoted() {
        for number in ["0", "-1", "0.50", "1e+20", "-2.5E-3", "12345678901234567890"] {
            assert_eq!(written(Form::Number, number), number);
        }
        for text in ["", "-", "NaN", "Infinity", "-Infinity", "01", "1.", ".5", "1e", "1e+", "1x"] {
            assert_eq!(written(Form::Number, text), format!("\"{text}\""));
        }
    }

    #[test]
    fn control_bytes_are_escaped_as_postgresql_does() {
        assert_eq!(
            written(Form::Text, "a\"\\/\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}é😀"),
            "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f}é😀\""
        );
    }

    #[test]
    fn a_boolean_that_is_none_is_a_string() {
        assert_eq!(["t", "f", "x"].map(|t| written(Form::Boolean, t)), ["true", "false", "\"x\""]);
    }

    proptest! {
        #[test]
        fn whatever_the_text_the_value_is_json(text in "\\PC*|[\\x01-\\x7f]*|-?[0-9.eE+]*") {
            for form in [Form::Boolean, Form::Number, Form::Text] {
                let value: serde_json::Value =
                    serde_json::from_str(&written(form, &text)).expect("JSON");
                if form == Form::Text {
                    prop_assert_eq!(value.as_str(), Some(&*text));
                }
            }
        }
    }
}
