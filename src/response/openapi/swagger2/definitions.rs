//! The definitions: what the rows of relations hold.

use crate::response::openapi::contents::Contents;
use crate::response::openapi::json::{Entries, object, some_array, some_object};
use crate::response::openapi::keys::describe_column;
use crate::response::openapi::types::{JsonType, element};
use crate::schema::{Column, Relation};
use serde::Serialize;
use serde_json::{Value, json};

/// The definitions by the names of their relations.
pub fn definitions<'a>(contents: &'a Contents<'a>) -> impl Serialize + 'a {
    Entries(|| {
        contents.relations.iter().map(|described| {
            let relation = described.relation;
            (&*relation.name.name, definition(relation))
        })
    })
}

fn definition(relation: &Relation) -> Value {
    let columns = &relation.columns;
    let required = columns.iter().filter(|column| !column.nullable);
    let properties = columns.iter().map(|c| (c.name.to_string(), property(relation, c)));
    object([
        ("description", relation.description.as_deref().map(Value::from)),
        ("required", some_array(required.map(|column| Value::from(&*column.name)))),
        ("properties", some_object(properties)),
        ("type", Some("object".into())),
    ])
}

fn property(relation: &Relation, column: &Column) -> Value {
    let data_type = &*column.base_type;
    let labels = column.enum_labels.iter().map(|label| Value::from(label.as_str()));
    object([
        ("description", describe_column(relation, column).map(Value::from)),
        ("default", column.default.as_deref().and_then(|default| parse(data_type, default))),
        ("enum", some_array(labels)),
        ("format", Some(super::format(data_type).into())),
        ("items", items(data_type)),
        ("maxLength", column.max_length.map(Value::from)),
        ("type", JsonType::of(data_type).name().map(Value::from)),
    ])
}

/// The schema of an array's elements; `None` for other types.
pub(super) fn items(data_type: &str) -> Option<Value> {
    let is_array = JsonType::of(data_type) == JsonType::Array;
    is_array.then(|| match JsonType::of(element(data_type)).name() {
        Some(name) => json!({ "type": name }),
        None => json!({}),
    })
}

/// A default expression as a JSON value, where it is one: numbers and truth values as they
/// stand, and texts without the quotes and the cast. Any other expression of a type that is
/// a string in JSON is shown as it is: `now()`.
fn parse(data_type: &str, default: &str) -> Option<Value> {
    if JsonType::of(data_type) != JsonType::String {
        return serde_json::from_str(default).ok();
    }
    let literal = default.strip_suffix(data_type).and_then(|rest| rest.strip_suffix("::"));
    let text = literal.map_or(default, |literal| literal.trim_matches('\''));
    serde_json::from_str(&format!("\"{text}\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_values_where_they_can_be() {
        assert_eq!(parse("text", "'untitled'::text"), Some(json!("untitled")));
        assert_eq!(parse("timestamp with time zone", "now()"), Some(json!("now()")));
        assert_eq!(parse("numeric", "9.99"), Some(json!(9.99)));
        assert_eq!(parse("boolean", "true"), Some(json!(true)));
        assert_eq!(parse("integer", "nextval('a_id_seq'::regclass)"), None);
        assert_eq!(parse("jsonb", "'{}'::jsonb"), None);
        assert_eq!(parse("text", "'a \"quoted\" word'::text"), None);
    }

    #[test]
    fn an_array_has_items_of_its_elements_type() {
        assert_eq!(items("text[]"), Some(json!({ "type": "string" })));
        assert_eq!(items("jsonb[]"), Some(json!({})));
        assert_eq!(items("text"), None);
    }
}
