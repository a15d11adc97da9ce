//! Error bodies.

use crate::config::ErrorVerbosity;
use crate::error::Error;
use crate::http::{Body, Response, is_field_name, is_field_value};
use serde_json::{Map, Value};

/// The `Content-Type` of error bodies.
pub const JSON: &str = "application/json; charset=utf-8";

/// The answer for an error.
pub fn error_response(error: &Error, verbosity: ErrorVerbosity) -> Response {
    let mut headers = Vec::with_capacity(error.headers().len() + 2);
    let own_type = error.headers().iter().any(|(n, _)| n.eq_ignore_ascii_case("content-type"));
    if !own_type {
        headers.push(("Content-Type".into(), JSON.into()));
    }
    headers.push(("Proxy-Status".into(), format!("PostgREST; error={}", error.code())));
    for (name, value) in error.headers() {
        // A function names headers of its own; one that could break out is left out.
        if is_field_name(name) && is_field_value(value) {
            headers.push((name.clone(), value.clone()));
        }
    }
    Response {
        status: error.status(),
        reason: error.reason_text().map(Into::into),
        headers,
        body: error_body(error, verbosity),
        ..Response::default()
    }
}

/// The body for an error.
pub fn error_body(error: &Error, verbosity: ErrorVerbosity) -> Body {
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::from);
    let mut body = Map::new();
    body.insert("code".into(), error.code().into());
    if verbosity == ErrorVerbosity::Verbose {
        body.insert("details".into(), error.details_value().cloned().unwrap_or(Value::Null));
        body.insert("hint".into(), text(error.hint_text()));
    }
    body.insert("message".into(), error.message().into());
    Value::Object(body).to_string().into()
}
