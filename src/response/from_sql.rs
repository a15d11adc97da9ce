//! What SQL says of the response: `response.status` and `response.headers`.
//!
//! <https://docs.postgrest.org/en/v16/references/transactions.html#response-headers>

use super::fault::is_header;
use crate::error::{Error, Result};
use crate::http::Response;
use crate::query::Column;
use crate::transaction::Outcome;
use serde_json::Value;

/// Applies what SQL said.
///
/// # Errors
/// PGRST111 and PGRST112 when it cannot be understood.
pub fn apply(response: &mut Response, outcome: &Outcome) -> Result<()> {
    if let Some(status) = outcome.text(Column::STATUS) {
        response.status = parse_status(status)?;
    }
    if let Some(headers) = outcome.text(Column::HEADERS) {
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
    text.trim().parse().ok().filter(|status| (100..=999).contains(status)).ok_or_else(|| {
        Error::new(500, "PGRST112", "response.status guc must be a valid status code")
    })
}

fn parse_headers(text: &str) -> Result<Vec<(String, String)>> {
    let invalid = || {
        Error::new(
            500,
            "PGRST111",
            "response.headers guc must be a JSON array composed of objects with a single key and a \
             string value",
        )
    };
    let Ok(Value::Array(items)) = serde_json::from_str(text) else { return Err(invalid()) };
    items
        .into_iter()
        .map(|item| match item {
            Value::Object(object) if object.len() == 1 => match object.into_iter().next() {
                Some((name, Value::String(value))) if is_header(&name, &value) => Ok((name, value)),
                _ => Err(invalid()),
            },
            _ => Err(invalid()),
        })
        .collect()
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
        for bad in [r#"[{"X-A": "1\r\nX-B: 2"}]"#, r#"[{"X A": "1"}]"#, r#"[{"X-A\n": "1"}]"#] {
            assert_eq!(parse_headers(bad).unwrap_err().code(), "PGRST111", "{bad}");
        }
    }

    #[test]
    fn a_status_has_three_digits() {
        assert_eq!(parse_status("418").unwrap(), 418);
        for bad in ["", "tea", "-1", "99", "1000"] {
            assert_eq!(parse_status(bad).unwrap_err().code(), "PGRST112", "{bad}");
        }
    }
}
