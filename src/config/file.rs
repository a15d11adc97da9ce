//! The configuration file: lines of `name = value`, where a value is a string in double
//! quotes, a number or a boolean, and `#` begins a comment.
//!
//! In a string, `\` begins an escape as in JSON, `$(NAME)` stands for an environment
//! variable and `$$` for a dollar. rust-ini splits lines and names; what a value means is
//! decided here, since its own quoting is another dialect.

use super::environment::Environment;
use super::error::{ConfigError, Source, Warning};
use super::input;
use ini::{Ini, ParseOption};
use std::path::Path;

/// Reads a file into names and values, in its order.
pub(super) fn read(
    path: &Path,
    environment: &Environment,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let shown = path.display().to_string();
    let failure = |reason: String| ConfigError::new(&*shown, None, Source::File).reason(reason);
    let bytes = input::read(path).map_err(|e| failure(format!("it cannot be read: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|_| failure("it is not UTF-8.".into()))?;
    parse(&text, environment, warnings, &failure)
}

/// Reads the text of a file. `failure` makes the error of the file as a whole.
fn parse(
    text: &str,
    environment: &Environment,
    warnings: &mut Vec<Warning>,
    failure: &dyn Fn(String) -> ConfigError,
) -> Result<Vec<(String, String)>, ConfigError> {
    let options =
        ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
    if let Some(line) = no_assignment(text) {
        // The line itself may be a part of a secret.
        return Err(failure(format!("line {line}: it is not name = value.")));
    }
    let ini = Ini::load_from_str_opt(&plain_lines(text), options)
        .map_err(|e| failure(format!("line {}: it is not name = value.", e.line)))?;
    if let Some(section) = ini.sections().flatten().next() {
        return Err(failure(format!("[{section}] is no setting; there are no sections.")));
    }
    let mut values: Vec<(String, String)> = Vec::new();
    for (name, raw) in ini.general_section().iter() {
        let value = value(raw, environment)
            .map_err(|reason| ConfigError::new(name, None, Source::File).reason(reason))?;
        if values.iter().any(|(earlier, _)| earlier == name) {
            warnings.push(Warning::new(format!("{name} is set twice; the last one counts")));
        }
        values.push((name.to_owned(), value));
    }
    Ok(values)
}

/// The number of the first line that is neither empty, a comment nor a section, and has no `=`.
fn no_assignment(text: &str) -> Option<usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = text.lines().map(str::trim).position(|line| {
        !line.is_empty() && !line.starts_with(['#', ';', '[']) && !line.contains('=')
    });
    line.map(|index| index + 1)
}

/// The lines without what rust-ini would give a meaning of its own: indentation, which
/// hides comments, and a backslash at the end, which joins lines.
fn plain_lines(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        let line = line.trim();
        lines.push_str(line);
        lines.push_str(if line.ends_with('\\') { " \n" } else { "\n" });
    }
    lines
}

/// Reads what stands behind the equals sign.
fn value(raw: &str, environment: &Environment) -> Result<String, String> {
    let raw = raw.trim();
    let (value, rest) = match raw.strip_prefix('"') {
        Some(text) => string(text, environment)?,
        None => bare(raw)?,
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') {
        Ok(value)
    } else {
        Err("there is more behind the value; only a comment with # may follow.".into())
    }
}

/// A number or a boolean, and what follows it.
fn bare(raw: &str) -> Result<(String, &str), String> {
    let end = raw.find(|c: char| c.is_whitespace() || c == '#').unwrap_or(raw.len());
    let (word, rest) = raw.split_at(end);
    let known = matches!(word, "true" | "false" | "on" | "off");
    let number = word.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+')
        && word.parse::<f64>().is_ok();
    match word {
        "" => Err("there is no value; write \"\" for none.".into()),
        _ if known || number => Ok((word.to_owned(), rest)),
        _ => Err("a string stands in double quotes, as in db-schemas = \"api\".".into()),
    }
}

/// The string whose opening quote has been read, and what follows its closing quote.
fn string<'t>(text: &'t str, environment: &Environment) -> Result<(String, &'t str), String> {
    let mut value = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let at = rest.find(['"', '\\', '$']).ok_or("the closing quote is missing.")?;
        value.push_str(&rest[..at]);
        let (special, after) = rest[at..].split_at(1);
        rest = match special {
            "\"" => return Ok((value, after)),
            "\\" => escape(after, &mut value)?,
            _ => interpolate(after, environment, &mut value)?,
        };
    }
}

/// What follows a backslash; gives the text behind it.
fn escape<'t>(text: &'t str, value: &mut String) -> Result<&'t str, String> {
    let mut chars = text.chars();
    let c = match chars.next() {
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some(c @ ('"' | '\\' | '/')) => c,
        Some('u') => return unicode(chars.as_str(), value),
        _ => return Err("a backslash is followed by one of n t r b f u \" \\ /.".into()),
    };
    value.push(c);
    Ok(chars.as_str())
}

/// Four hexadecimal digits, or two such groups for a character beyond U+FFFF.
fn unicode<'t>(text: &'t str, value: &mut String) -> Result<&'t str, String> {
    let unit = |text: &'t str| {
        let (digits, rest) = text.split_at_checked(4)?;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(())?;
        Some((u16::from_str_radix(digits, 16).ok()?, rest))
    };
    let error = "\\u is followed by four hexadecimal digits that make a character.";
    let (first, mut rest) = unit(text).ok_or(error)?;
    let mut units = vec![first];
    if (0xD800..0xDC00).contains(&first) {
        let (second, after) = rest.strip_prefix("\\u").and_then(unit).ok_or(error)?;
        units.push(second);
        rest = after;
    }
    value.push_str(&String::from_utf16(&units).map_err(|_| error)?);
    Ok(rest)
}

/// What follows a dollar; gives the text behind it.
fn interpolate<'t>(
    text: &'t str,
    environment: &Environment,
    value: &mut String,
) -> Result<&'t str, String> {
    if let Some(rest) = text.strip_prefix('$') {
        value.push('$');
        return Ok(rest);
    }
    let (name, rest) = text
        .strip_prefix('(')
        .and_then(|text| text.split_once(')'))
        .ok_or("a $ begins $(VARIABLE); write $$ for a dollar.")?;
    value.push_str(
        environment
            .get(name)
            .ok_or_else(|| format!("the environment variable {name} is not set."))?,
    );
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::super::value::write_text;
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, ConfigError> {
        let environment = Environment::from([("COLOUR", "green")]);
        parse(text, &environment, &mut Vec::new(), &|reason| {
            ConfigError::new("file", None, Source::File).reason(reason)
        })
    }

    fn one(raw: &str) -> Result<String, ConfigError> {
        parsed(&format!("x = {raw}")).map(|mut values| values.remove(0).1)
    }

    #[test]
    fn strings_numbers_booleans_and_comments_are_read() {
        let text = "\u{feff}\n# one\n   # two\n  a =  \"x # y = z\"   # three\\\nb=2#four\r\n\
                    \tc = true\napp.settings.Key_1 = \"1\"\n  \n";
        let expected = [("a", "x # y = z"), ("b", "2"), ("c", "true"), ("app.settings.Key_1", "1")];
        let values = parsed(text).unwrap();
        let values: Vec<_> = values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn escapes_and_variables_are_replaced() {
        assert_eq!(one(r#""tab\t\"q\" \\ \u00fc \ud83d\udcbe""#).unwrap(), "tab\t\"q\" \\ ü 💾");
        assert_eq!(one(r#""<$(COLOUR)> 5 $$ each""#).unwrap(), "<green> 5 $ each");
    }

    #[test]
    fn what_is_no_value_is_refused_with_the_name() {
        for (raw, reason) in [
            ("word", "double quotes"),
            ("", "no value"),
            ("\"open", "closing quote"),
            ("\"a\" b", "more behind"),
            ("\"${SHOP}\"", "$(VARIABLE)"),
            ("\"$(NOTHING)\"", "NOTHING"),
            ("\"\\q\"", "backslash"),
            ("\"\\ud83d\"", "hexadecimal"),
        ] {
            let error = one(raw).unwrap_err().to_string();
            assert!(error.contains(" x ") && error.contains(reason), "{raw}: {error}");
        }
    }

    #[test]
    fn a_line_that_is_no_setting_is_told_by_its_number_and_not_shown() {
        let error = parsed("a = 1\n# b\n\nthe second line of a secret\nc = 2").unwrap_err();
        assert_eq!(
            error.to_string(),
            "Error in config file (file): line 4: it is not name = value."
        );
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in ["[section]\na = 1", "lonely\na = 1", "lonely", "= 1"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_string_reads_back(text in "\\PC*|[\\x00-\\x7f$\\\\\"#]*") {
            let mut raw = String::new();
            write_text(&mut raw, &text);
            prop_assert_eq!(one(&raw).unwrap(), text);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-c=:\\[\\]#;\" \\\\$()\n\r\tu0-9\\PC]*") {
            let _ = parsed(&text);
        }
    }
}
