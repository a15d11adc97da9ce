//! What SQL says of the response: `response.status` and `response.headers`.
//!
//! <https://docs.postgrest.org/en/v16/references/transactions.html#response-headers>

use crate::error::Result;
use crate::http::{Response, is_field_name, is_field_value};
use crate::query::response_settings::{MAX_FIELDS, invalid_headers, invalid_status};
use crate::transaction::Outcome;
use serde_json::Value;

/// Applies what SQL said. The statement has refused what is not valid, while that could still
/// undo it: see [`response_settings`](crate::query::response_settings).
///
/// # Errors
/// PGRST111 and PGRST112 when it cannot be understood.
pub fn apply(response: &mut Response, outcome: &Outcome) -> Result<()> {
    if let Some(status) = outcome.response_status() {
        response.status = parse_status(status)?;
    }
    if let Some(headers) = outcome.response_headers() {
        let headers = parse_headers(headers)?;
        // What SQL says replaces what the server would have said, whole.
        response
            .headers
            .retain(|(name, _)| !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)));
        response.headers.extend(headers.into_iter().map(|(n, v)| (n.into(), v)));
    }
    Ok(())
}

fn parse_status(text: &str) -> Result<u16> {
    let status = text.trim().parse().ok().filter(|status| (200..=999).contains(status));
    status.ok_or_else(invalid_status)
}

fn parse_headers(text: &str) -> Result<Vec<(String, String)>> {
    let Ok(Value::Array(items)) = serde_json::from_str(text) else {
        return Err(invalid_headers());
    };
    if items.len() > MAX_FIELDS {
        return Err(invalid_headers());
    }
    items.into_iter().map(|item| field(item).ok_or_else(invalid_headers)).collect()
}

/// The only member of an object, when it can be a field.
fn field(item: Value) -> Option<(String, String)> {
    let Value::Object(object) = item else { return None };
    let mut members = object.into_iter();
    match (members.next(), members.next()) {
        (Some((name, Value::String(value))), None)
            if is_field_name(&name) && is_field_value(&value) =>
        {
            Some((name, value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_single_pairs_of_texts() {
        assert_eq!(
            parse_headers(r#"[{"X-A": "1"}, {"X-A": "2"}]"#).unwrap(),
            [("X-A".into(), "1".into()), ("X-A".into(), "2".into())]
        );
        for bad in ["", "{}", "[1]", r#"[{}]"#, r#"[{"a":1}]"#, r#"[{"a":"1","b":"2"}]"#] {
            assert_eq!(parse_headers(bad).unwrap_err().code(), "PGRST111", "{bad}");
        }
    }

    #[test]
    fn a_header_cannot_break_out_of_its_line() {
        for bad in [
            r#"[{"X-A": "1\r\nX-B: 2"}]"#,
            r#"[{"X A": "1"}]"#,
            r#"[{"X-A\n": "1"}]"#,
            r#"[{"X-A": "\u007f"}]"#,
        ] {
            assert_eq!(parse_headers(bad).unwrap_err().code(), "PGRST111", "{bad}");
        }
    }

    #[test]
    fn a_status_has_three_digits() {
        assert_eq!(parse_status("418").unwrap(), 418);
        for bad in ["", "tea", "-1", "99", "100", "199", "1000"] {
            assert_eq!(parse_status(bad).unwrap_err().code(), "PGRST112", "{bad}");
        }
    }
}
