//! The body of a write or a function call.
//!
//! JSON goes to SQL as it came; CSV and forms become JSON. Errors are `PGRST102`.

use super::ast::Query;
use super::json_scan::{self, Shape};
use super::json_syntax::Fault;
use super::limits::{MAX_BODY_DEPTH, MAX_BODY_NAMES, MAX_FORM_FIELDS, too_much};
use super::{MediaType, csv_body, json_text, urlencoded};
use crate::error::{Error, Result};

/// A body, checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// JSON, sent as it is or made from CSV or a form.
    Json(JsonPayload),
    /// The fields of a form for a function, in order: names may occur again.
    Form(Vec<(String, String)>),
    /// The text for a function with one unnamed parameter, from `text/plain` or `text/xml`.
    Text(String),
    /// The bytes for such a function, from `application/octet-stream`.
    Bytes(Vec<u8>),
}

/// A JSON text.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPayload {
    /// The text, as it came. A scalar was replaced by `[]`.
    pub text: String,
    /// Whether it is one object, or an array of objects with the same keys. `None` when
    /// `columns` was given: then the text was not looked at, and PostgreSQL will judge it.
    pub shape: Option<PayloadShape>,
    /// The keys to use, sorted, each once: those of `columns`, or else those of the objects.
    pub keys: Vec<String>,
    /// Whether the objects have more keys than any function has parameters. Then `keys` is
    /// empty, and only a single unnamed parameter can take them.
    pub has_more_keys: bool,
    /// Whether the body was empty, which stands for a call without arguments, and is no JSON for
    /// a parameter that takes the body as it is.
    pub is_empty: bool,
    /// What the elements of [`PayloadShape::Rows`] stand for, in their order.
    pub header: Vec<String>,
}

impl JsonPayload {
    fn new(text: String, shape: Option<PayloadShape>, keys: Vec<String>) -> Self {
        Self { text, shape, keys, has_more_keys: false, is_empty: false, header: Vec::new() }
    }
}

/// What a checked JSON text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadShape {
    Object,
    /// An array of objects, or an empty one.
    Objects,
    /// An array of arrays of texts and nulls, whose names are said once, in the header.
    Rows,
}

/// Whom a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiver {
    /// A table or view; `columns` counts for `POST` and `PATCH`, not for `PUT`.
    Relation {
        takes_columns: bool,
    },
    Routine,
}

impl Payload {
    /// The names that the body gives values for, sorted, each once.
    pub fn keys(&self) -> Vec<&str> {
        match self {
            Payload::Json(json) => json.keys.iter().map(String::as_str).collect(),
            Payload::Form(fields) => {
                let mut keys: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
                keys.sort_unstable();
                keys.dedup();
                keys
            }
            Payload::Text(_) | Payload::Bytes(_) => Vec::new(),
        }
    }

    /// Reads a body, which it takes over.
    pub(super) fn parse(
        body: Vec<u8>,
        content_type: &MediaType,
        query: &Query,
        receiver: Receiver,
    ) -> Result<Payload> {
        let is_routine = receiver == Receiver::Routine;
        match content_type {
            MediaType::ApplicationJson => json(body, query, receiver).map(Payload::Json),
            MediaType::TextCsv => {
                let (text, header) = csv_body::to_json(body)?;
                let mut keys = header.clone();
                keys.sort_unstable();
                keys.dedup();
                let json = JsonPayload::new(text, Some(PayloadShape::Rows), keys);
                Ok(Payload::Json(JsonPayload { header, ..json }))
            }
            MediaType::UrlEncoded if is_routine => Ok(Payload::Form(form_fields(&body)?)),
            MediaType::UrlEncoded => Ok(Payload::Json(form_object(&form_fields(&body)?))),
            MediaType::TextPlain | MediaType::TextXml if is_routine => {
                text(body).map(Payload::Text)
            }
            MediaType::OctetStream if is_routine => Ok(Payload::Bytes(body)),
            other => Err(invalid(format!("Content-Type not acceptable: {other}"))),
        }
    }
}

/// A body that cannot be used.
pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(400, "PGRST102", message)
}

fn json(body: Vec<u8>, query: &Query, receiver: Receiver) -> Result<JsonPayload> {
    let columns = match receiver {
        Receiver::Relation { takes_columns: false } => None,
        _ => query.columns.as_ref(),
    };
    if let Some(columns) = columns {
        let mut keys = columns.clone();
        keys.sort_unstable();
        keys.dedup();
        return Ok(JsonPayload::new(text(body)?, None, keys));
    }
    if body.is_empty() && receiver == Receiver::Routine {
        let shape = Some(PayloadShape::Object);
        let json = JsonPayload::new("{}".to_owned(), shape, Vec::new());
        return Ok(JsonPayload { is_empty: true, ..json });
    }
    let text = String::from_utf8(body).map_err(|_| invalid("Empty or invalid json"))?;
    let scan = json_scan::scan(&text).map_err(|fault| match fault {
        Fault::Invalid => invalid("Empty or invalid json"),
        Fault::TooDeep => too_much("levels of JSON in the body", MAX_BODY_DEPTH),
    })?;
    let has_more_keys = scan.keys.is_none();
    if has_more_keys && receiver != Receiver::Routine {
        return Err(too_much("names in the body", MAX_BODY_NAMES));
    }
    let keys = scan.keys.unwrap_or_default();
    let (text, shape) = match scan.shape {
        Shape::Object => (text, PayloadShape::Object),
        Shape::Objects => (text, PayloadShape::Objects),
        Shape::Scalar => ("[]".to_owned(), PayloadShape::Objects),
        Shape::Mixed => return Err(invalid("All object keys must match")),
    };
    Ok(JsonPayload { has_more_keys, ..JsonPayload::new(text, Some(shape), keys) })
}

/// The body as text; the error is the one that PostgreSQL would raise.
fn text(body: Vec<u8>) -> Result<String> {
    let bad_byte = |byte: u8| {
        let message = format!("invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}");
        Error::new(400, "22021", message)
    };
    let text = String::from_utf8(body).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        bad_byte(error.as_bytes().get(at).copied().unwrap_or_default())
    })?;
    if memchr::memchr(0, text.as_bytes()).is_some() { Err(bad_byte(0)) } else { Ok(text) }
}

fn form_fields(body: &[u8]) -> Result<Vec<(String, String)>> {
    if memchr::memchr2_iter(b'&', b';', body).count() >= MAX_FORM_FIELDS {
        return Err(too_much("fields in the form", MAX_FORM_FIELDS));
    }
    let fields = urlencoded::pairs(body, "request body")?.into_iter();
    Ok(fields
        .map(|(name, value)| (name.into_owned(), value.unwrap_or_default().into_owned()))
        .collect())
}

/// The object of a form: of several values of a name the last one counts.
fn form_object(fields: &[(String, String)]) -> JsonPayload {
    let mut members: Vec<(&str, &str)> = Vec::with_capacity(fields.len());
    let mut sorted: Vec<&(String, String)> = fields.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, value) in sorted {
        match members.last_mut() {
            Some(last) if last.0 == name => last.1 = value,
            _ => members.push((name, value)),
        }
    }
    let length: usize = members.iter().map(|(name, value)| name.len() + value.len() + 6).sum();
    let mut text = String::with_capacity(length + 2);
    text.push('{');
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        json_text::push_string(&mut text, name);
        text.push(':');
        json_text::push_string(&mut text, value);
    }
    text.push('}');
    let keys = members.into_iter().map(|(name, _)| name.to_owned()).collect();
    JsonPayload::new(text, Some(PayloadShape::Object), keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Receiver = Receiver::Relation { takes_columns: true };

    fn parse(body: &str, content_type: &str, receiver: Receiver) -> Result<Payload> {
        let content_type = MediaType::parse(content_type);
        Payload::parse(body.as_bytes().to_vec(), &content_type, &Query::default(), receiver)
    }

    fn message(body: &str, content_type: &str, receiver: Receiver) -> String {
        parse(body, content_type, receiver).unwrap_err().message().to_owned()
    }

    #[test]
    fn json_is_kept_as_it_came() {
        let Payload::Json(json) = parse(" {\"b\" : 1.50}\n", "application/json", TABLE).unwrap()
        else {
            panic!("a JSON body is JSON")
        };
        assert_eq!(json.text, " {\"b\" : 1.50}\n");
        assert_eq!((json.shape, json.keys), (Some(PayloadShape::Object), vec!["b".to_owned()]));
    }

    #[test]
    fn an_empty_body_is_an_error_for_tables_and_no_arguments_for_functions() {
        assert_eq!(message("", "application/json", TABLE), "Empty or invalid json");
        let payload = parse("", "application/json", Receiver::Routine).unwrap();
        assert!(matches!(payload, Payload::Json(json) if json.text == "{}"));
    }

    #[test]
    fn a_scalar_is_an_empty_array() {
        let payload = parse("42", "application/json", TABLE).unwrap();
        assert!(
            matches!(payload, Payload::Json(json) if json.text == "[]" && json.keys.is_empty())
        );
    }

    #[test]
    fn objects_with_other_keys_are_refused() {
        let body = r#"[{"a":1},{"b":2}]"#;
        assert_eq!(message(body, "application/json", TABLE), "All object keys must match");
    }

    #[test]
    fn columns_name_the_keys_of_a_body_that_is_not_looked_at() {
        let query =
            Query { columns: Some(vec!["b".into(), "a".into(), "b".into()]), ..Query::default() };
        let parse = |receiver| {
            Payload::parse(b"{\"a\":".to_vec(), &MediaType::ApplicationJson, &query, receiver)
        };
        let Payload::Json(json) = parse(TABLE).unwrap() else { panic!("a JSON body is JSON") };
        assert_eq!((json.shape, json.keys), (None, vec!["a".to_owned(), "b".to_owned()]));
        parse(Receiver::Relation { takes_columns: false }).unwrap_err();
    }

    #[test]
    fn a_form_is_an_object_for_a_table_and_a_list_for_a_function() {
        let form = "application/x-www-form-urlencoded";
        let body = "name=First&code=e%22&name=Second&city";
        let Payload::Json(json) = parse(body, form, TABLE).unwrap() else {
            panic!("a form for a table is JSON")
        };
        assert_eq!(json.text, r#"{"city":"","code":"e\"","name":"Second"}"#);
        assert_eq!(json.keys, ["city", "code", "name"]);
        let payload = parse(body, form, Receiver::Routine).unwrap();
        assert_eq!(payload.keys(), ["city", "code", "name"]);
        assert!(matches!(payload, Payload::Form(fields) if fields.len() == 4));
    }

    #[test]
    fn other_types_are_for_functions_or_nobody() {
        assert_eq!(message("x", "text/plain", TABLE), "Content-Type not acceptable: text/plain");
        assert_eq!(
            message("x", "image/png", Receiver::Routine),
            "Content-Type not acceptable: image/png"
        );
        let payload = parse("x", "text/plain; charset=utf-8", Receiver::Routine).unwrap();
        assert_eq!(payload, Payload::Text("x".to_owned()));
        assert_eq!(
            message("a\0b", "text/plain", Receiver::Routine),
            "invalid byte sequence for encoding \"UTF8\": 0x00"
        );
    }
}
