//! Writing JSON text, without a tree: strings, and the objects that SQL sees of the request's
//! headers and cookies.

use crate::http::Headers;
use std::collections::HashMap;

/// Appends a string in quotes, escaped as RFC 8259 demands.
pub(super) fn push_string(into: &mut String, text: &str) {
    into.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c| matches!(c, '"' | '\\' | '\0'..='\x1f')) {
        into.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => into.push_str("\\\""),
            b'\\' => into.push_str("\\\\"),
            b'\n' => into.push_str("\\n"),
            b'\r' => into.push_str("\\r"),
            b'\t' => into.push_str("\\t"),
            control => into.push_str(&format!("\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    into.push_str(rest);
    into.push('"');
}

/// The value of the setting `request.headers`: an object of all header fields but `Cookie`.
/// Names are in lower case; of several fields of a name the last one counts.
pub fn headers_json(headers: &Headers) -> String {
    let fields = &headers.0;
    let length: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 6).sum();
    let mut json = String::with_capacity(length + 2);
    json.push('{');
    for (index, (name, value)) in fields.iter().enumerate() {
        let comes_again =
            || fields[index + 1..].iter().any(|(later, _)| later.eq_ignore_ascii_case(name));
        if name.eq_ignore_ascii_case("cookie") || comes_again() {
            continue;
        }
        let start = member(&mut json, name);
        json[start..].make_ascii_lowercase();
        push_string(&mut json, value);
    }
    json.push('}');
    json
}

/// The value of the setting `request.cookies`: an object of all cookies. Quotes around a
/// value are dropped; of several cookies of a name the last one counts.
pub fn cookies_json(headers: &Headers) -> String {
    let cookies: Vec<(&str, &str)> = headers.all("cookie").flat_map(cookies).collect();
    let length: usize = cookies.iter().map(|(name, value)| name.len() + value.len() + 6).sum();
    let mut json = String::with_capacity(length + 2);
    json.push('{');
    let last: HashMap<&str, usize> =
        cookies.iter().enumerate().map(|(index, (name, _))| (*name, index)).collect();
    for (index, (name, value)) in cookies.iter().enumerate() {
        if last.get(name) == Some(&index) {
            member(&mut json, name);
            push_string(&mut json, value);
        }
    }
    json.push('}');
    json
}

/// Appends a member's name and colon; returns where the name starts.
fn member(json: &mut String, name: &str) -> usize {
    if json.len() > 1 {
        json.push(',');
    }
    let start = json.len();
    push_string(json, name);
    json.push(':');
    start
}

/// The cookies of a header, as name and value.
fn cookies(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header.split(';').filter(|cookie| !cookie.is_empty()).map(|cookie| {
        let (name, value) = cookie.split_once('=').unwrap_or((cookie, ""));
        let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        (name.trim_start_matches(' '), unquoted.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        Headers(fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn headers_are_an_object_with_names_in_lower_case() {
        let headers = headers(&[
            ("X-Loaf", "one"),
            ("Cookie", "a=1"),
            ("x-loaf", "Brød \"two\""),
            ("Prefer", "tx=rollback"),
        ]);
        assert_eq!(headers_json(&headers), r#"{"x-loaf":"Brød \"two\"","prefer":"tx=rollback"}"#);
    }

    #[test]
    fn cookies_are_an_object_without_their_quotes() {
        let some = headers(&[("Cookie", "crumb=1; oven=\"hot\"; empty=; crumb=2")]);
        assert_eq!(cookies_json(&some), r#"{"oven":"hot","empty":"","crumb":"2"}"#);
        assert_eq!(cookies_json(&headers(&[])), "{}");
    }

    #[test]
    fn strings_are_escaped_for_any_text() {
        let text = "a\"b\\c\n\r\t\0\u{1f}ø🥐";
        let mut json = String::new();
        push_string(&mut json, text);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
