//! Compares a response with the recorded one; `README.md` in this folder says by what rules.

use crate::support::http::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Headers that carry meaning in this API: when a response was recorded without one of
/// them, a server that sends it is wrong.
const MEANINGFUL_HEADERS: [&str; 20] = [
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "allow",
    "content-location",
    "content-profile",
    "content-range",
    "location",
    "preference-applied",
    "proxy-status",
    "range-unit",
    "retry-after",
    "server-timing",
    "set-cookie",
    "vary",
    "warning",
    "www-authenticate",
];

/// As long as an answer is quoted in a message, in characters.
const QUOTE_LIMIT: usize = 300;

/// The most differences in a body that are listed.
const BODY_DIFFERENCES_LIMIT: usize = 4;

/// What differs, in short lines. Empty when the response is the recorded one.
pub fn differences(expected: &Value, got: &Response) -> Vec<String> {
    let empty = Map::new();
    let expected = expected.as_object().unwrap_or(&empty);
    if expected.is_empty() {
        return vec!["nothing is recorded".to_string()];
    }
    let ignore = ignored_paths(expected);
    let mut found = Vec::new();
    if let Some(status) = expected.get("status")
        && status.as_u64() != Some(u64::from(got.status))
    {
        found.push(format!("status: expected {status}, got {}", got.status));
    }
    if let Some(headers) = expected.get("headers").and_then(Value::as_object) {
        found.extend(header_differences(headers, got, &ignore));
    }
    let content = Content::of(got, expected.contains_key("text"));
    if ignore.contains(&"$") {
        found.extend(ignored_body_difference(expected, got));
    } else {
        found.extend(content_differences(expected, &content, &ignore));
    }
    found
}

fn ignored_paths(expected: &Map<String, Value>) -> Vec<&str> {
    let paths = expected.get("ignore").and_then(Value::as_array);
    paths.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A response's body in the one form that a case records it in.
enum Content {
    Json(Value),
    Text(String),
    Base64(String),
}

impl Content {
    fn of(response: &Response, text_is_wanted: bool) -> Content {
        let is_json = response.header("Content-Type").is_some_and(|kind| kind.contains("json"));
        if is_json
            && !text_is_wanted
            && let Ok(document) = serde_json::from_slice(&response.body)
        {
            return Content::Json(document);
        }
        match String::from_utf8(response.body.clone()) {
            Ok(text) => Content::Text(text),
            Err(_) => Content::Base64(BASE64_STANDARD.encode(&response.body)),
        }
    }
}

/// Of a body that is ignored as a whole (`$`) only its presence counts.
fn ignored_body_difference(expected: &Map<String, Value>, got: &Response) -> Option<String> {
    let wanted = expected.get("text")?.as_str() != Some("");
    let came = !got.body.is_empty();
    let word = |some: bool| if some { "a body" } else { "none" };
    (wanted != came).then(|| format!("text: expected {}, got {}", word(wanted), word(came)))
}

fn content_differences(
    expected: &Map<String, Value>,
    content: &Content,
    ignore: &[&str],
) -> Vec<String> {
    let mut found = Vec::new();
    for kind in ["body", "text", "base64"] {
        let Some(wanted) = expected.get(kind) else { continue };
        match (kind, content) {
            ("body", Content::Json(document)) => {
                let (mut wanted, mut document) = (wanted.clone(), document.clone());
                for path in ignore {
                    let steps: Vec<&str> = path.split('.').collect();
                    blank_out(&mut wanted, &steps);
                    blank_out(&mut document, &steps);
                }
                json_differences("body", &wanted, &document, &mut found);
                if found.len() > BODY_DIFFERENCES_LIMIT {
                    let more = found.len() - BODY_DIFFERENCES_LIMIT;
                    found.truncate(BODY_DIFFERENCES_LIMIT);
                    found.push(format!("body: and {more} differences more"));
                }
            }
            ("text", Content::Text(got)) | ("base64", Content::Base64(got))
                if wanted.as_str() == Some(got) => {}
            (_, Content::Json(got)) => found.push(unequal(kind, wanted, got)),
            (_, Content::Text(got) | Content::Base64(got)) => {
                found.push(unequal(kind, wanted, &Value::from(got.as_str())));
            }
        }
    }
    found
}

/// Replaces the values at a dotted path by one and the same value; `*` is any step.
fn blank_out(document: &mut Value, steps: &[&str]) {
    let Some((step, rest)) = steps.split_first() else {
        *document = Value::from("(ignored)");
        return;
    };
    match document {
        Value::Object(object) => object
            .iter_mut()
            .filter(|(key, _)| *step == "*" || key == step)
            .for_each(|(_, value)| blank_out(value, rest)),
        Value::Array(items) => items
            .iter_mut()
            .enumerate()
            .filter(|(index, _)| *step == "*" || index.to_string() == *step)
            .for_each(|(_, value)| blank_out(value, rest)),
        _ => {}
    }
}

fn json_differences(path: &str, expected: &Value, got: &Value, found: &mut Vec<String>) {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            for (key, value) in expected {
                match got.get(key) {
                    Some(other) => json_differences(&format!("{path}.{key}"), value, other, found),
                    None => found
                        .push(format!("{path}.{key}: expected {}, got no such key", short(value))),
                }
            }
            for (key, value) in got.iter().filter(|(key, _)| !expected.contains_key(*key)) {
                found.push(format!("{path}.{key}: expected no such key, got {}", short(value)));
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                json_differences(&format!("{path}.{index}"), one, other, found);
            }
        }
        (Value::Array(one), Value::Array(other)) => found.push(format!(
            "{path}: expected {} items {}, got {} items {}",
            one.len(),
            short(expected),
            other.len(),
            short(got)
        )),
        _ if same_scalar(expected, got) => {}
        _ => found.push(unequal(path, expected, got)),
    }
}

/// Equality of JSON values that are not both objects or both arrays; 1 equals 1.0.
fn same_scalar(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || (one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()
        }
        _ => one == other,
    }
}

/// The headers of a response by lower-case name; one sent more than once is a list.
fn header_values(response: &Response) -> BTreeMap<String, Value> {
    let mut values: BTreeMap<String, Value> = BTreeMap::new();
    for (name, value) in &response.headers {
        let value = Value::from(value.as_str());
        match values.entry(name.to_ascii_lowercase()) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(value);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => match entry.get_mut() {
                Value::Array(list) => list.push(value),
                earlier => *earlier = Value::from(vec![earlier.take(), value]),
            },
        }
    }
    values
}

fn header_differences(
    expected: &Map<String, Value>,
    got: &Response,
    ignore: &[&str],
) -> Vec<String> {
    let got = header_values(got);
    let mut wanted: BTreeMap<String, &Value> =
        expected.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    for name in MEANINGFUL_HEADERS {
        if got.contains_key(name) {
            wanted.entry(name.to_string()).or_insert(&Value::Null);
        }
    }
    let ignored: BTreeSet<String> = ignore.iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut found = Vec::new();
    for (name, wanted) in wanted {
        let came = got.get(&name);
        let difference = match came {
            None => !wanted.is_null(),
            Some(_) if expected_is_ignored(expected, &ignored, &name) => false,
            Some(came) => !header_matches(wanted, came),
        };
        if difference {
            let came = came.map_or("none".to_string(), short);
            let wanted = if wanted.is_null() { "none".to_string() } else { short(wanted) };
            found.push(format!("header {name}: expected {wanted}, got {came}"));
        }
    }
    found
}

/// Whether the header was recorded, and its value is not compared.
fn expected_is_ignored(
    expected: &Map<String, Value>,
    ignored: &BTreeSet<String>,
    name: &str,
) -> bool {
    ignored.contains(name) && expected.keys().any(|key| key.eq_ignore_ascii_case(name))
}

fn header_matches(wanted: &Value, came: &Value) -> bool {
    match (wanted.get("matches").and_then(Value::as_str), came) {
        (Some(pattern), Value::String(text)) => {
            regex_lite::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|r| r.is_match(text))
        }
        _ => wanted == came,
    }
}

fn unequal(what: &str, expected: &Value, got: &Value) -> String {
    format!("{what}: expected {}, got {}", short(expected), short(got))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(QUOTE_LIMIT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
