//! The two quoting functions. They hold for every string, whatever
//! `standard_conforming_strings` says; NUL, which PostgreSQL's text cannot hold, is refused
//! where requests are parsed.
//!
//! <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>

/// Appends `text` as an SQL string literal.
///
/// A text with a backslash becomes an escape string (`E'...'`), whose meaning does not
/// depend on `standard_conforming_strings`.
///
/// ```
/// let mut sql = String::new();
/// goldenkey::query::quote::literal(&mut sql, "it's");
/// assert_eq!(sql, "'it''s'");
/// ```
pub fn literal(sql: &mut String, text: &str) {
    let escapes = memchr::memchr(b'\\', text.as_bytes()).is_some();
    sql.reserve(text.len() + 4);
    // The space keeps the E apart from whatever word stands before it.
    sql.push_str(if escapes { " E'" } else { "'" });
    push_doubling(sql, text, if escapes { (b'\'', b'\\') } else { (b'\'', b'\'') });
    sql.push('\'');
}

/// Appends `name` as a quoted identifier.
///
/// ```
/// let mut sql = String::new();
/// goldenkey::query::quote::identifier(&mut sql, "odd\"name");
/// assert_eq!(sql, "\"odd\"\"name\"");
/// ```
pub fn identifier(sql: &mut String, name: &str) {
    sql.reserve(name.len() + 2);
    sql.push('"');
    push_doubling(sql, name, (b'"', b'"'));
    sql.push('"');
}

/// Appends `text`, with each of the two ASCII bytes written twice.
fn push_doubling(sql: &mut String, text: &str, (a, b): (u8, u8)) {
    let mut start = 0;
    for at in memchr::memchr2_iter(a, b, text.as_bytes()) {
        sql.push_str(&text[start..=at]);
        start = at;
    }
    sql.push_str(&text[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(f: fn(&mut String, &str), text: &str) -> String {
        let mut sql = String::new();
        f(&mut sql, text);
        sql
    }

    #[test]
    fn a_backslash_makes_an_escape_string() {
        assert_eq!(quoted(literal, r"a\'b"), r" E'a\\''b'");
    }

    /// Reads a literal as PostgreSQL's lexer does under either setting of
    /// `standard_conforming_strings`, and gives the text and what is left behind it.
    fn lex_literal(sql: &str, standard_conforming: bool) -> (String, String) {
        let trimmed = sql.trim_start();
        let (escape, rest) = match trimmed.strip_prefix('E') {
            Some(rest) => (true, rest),
            None => (!standard_conforming, trimmed),
        };
        let mut chars = rest.strip_prefix('\'').expect("an opening quote").chars().peekable();
        let mut text = String::new();
        loop {
            match chars.next().expect("a closing quote") {
                '\'' if chars.peek() == Some(&'\'') => text.extend(chars.next()),
                '\'' => return (text, chars.collect()),
                '\\' if escape => text.extend(chars.next()),
                c => text.push(c),
            }
        }
    }

    proptest! {
        #[test]
        fn a_literal_reads_back_and_ends_where_it_ends(text in "[\\PC'\"\\\\\n]*", on: bool) {
            let sql = quoted(literal, &text) + "; rest";
            prop_assert_eq!(lex_literal(&sql, on), (text, "; rest".to_owned()));
        }

        #[test]
        fn an_identifier_has_only_doubled_quotes_inside(name in "[\\PC'\"\\\\]*") {
            let sql = quoted(identifier, &name);
            let inner = &sql[1..sql.len() - 1];
            prop_assert_eq!(inner.replace("\"\"", "\u{0}").contains('"'), false);
            prop_assert_eq!(inner.replace("\"\"", "\""), name);
        }
    }
}
