//! Connection strings of keywords and values: `host=localhost dbname='my db'`.

use super::error::ConnectionError;

/// Reads pairs of a keyword and a value. A value with spaces stands in single quotes; a
/// backslash takes the next character as it is.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, ConnectionError> {
    let mut parameters = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(after) = after.trim_start().strip_prefix('=') else {
            return Err(ConnectionError::new(
                "missing \"=\" behind a keyword in the connection string; write \
                 postgres://USER:PASSWORD@HOST/DATABASE, or host=HOST dbname=DATABASE",
            ));
        };
        let (value, after) = value(after.trim_start())?;
        parameters.push((name.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(parameters)
}

/// The value at the start of the text, and what follows it.
fn value(text: &str) -> Result<(String, &str), ConnectionError> {
    let mut value = String::new();
    let quoted = text.starts_with('\'');
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c if c.is_whitespace() && !quoted => return Ok((value, &text[at..])),
            c => value.push(c),
        }
    }
    if quoted {
        return Err(ConnectionError::new("unterminated quoted string in the connection string"));
    }
    Ok((value, ""))
}
