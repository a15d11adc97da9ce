//! PostgreSQL's types as JSON Schema, with examples.
//!
//! <https://json-schema.org/draft/2020-12>

use crate::response::openapi::types::{JsonType, element};
use crate::schema::{Column, QualifiedName};
use serde_json::{Value, json};

/// Types of extensions whose values are strings in JSON.
const TEXT_TYPES: [&str; 2] = [".citext", ".ltree"];

/// The schema of a column's values.
pub fn of_column(column: &Column) -> Value {
    let mut schema = of_type(&column.base_type);
    if !column.enum_labels.is_empty() {
        schema = json!({ "type": "string", "enum": column.enum_labels });
    }
    if schema["type"] == "string"
        && let Some(length) = column.max_length
    {
        schema["maxLength"] = length.into();
    }
    if column.nullable
        && let Some(name) = schema.get("type").cloned()
    {
        schema["type"] = json!([name, "null"]);
        if let Some(Value::Array(labels)) = schema.get_mut("enum") {
            labels.push(Value::Null);
        }
    }
    schema
}

/// The schema of the values of a type.
pub fn of_type(data_type: &str) -> Value {
    let format = match data_type {
        "smallint" | "integer" => Some("int32"),
        "bigint" => Some("int64"),
        "real" => Some("float"),
        "double precision" => Some("double"),
        "date" => Some("date"),
        "timestamp with time zone" => Some("date-time"),
        "uuid" => Some("uuid"),
        _ => None,
    };
    match (JsonType::of(data_type), format) {
        (JsonType::Array, _) => json!({ "type": "array", "items": of_type(element(data_type)) }),
        (JsonType::String, None) if is_open(data_type) => json!({}),
        (kind, Some(format)) => json!({ "type": kind.name(), "format": format }),
        (kind, None) => kind.name().map_or(json!({}), |name| json!({ "type": name })),
    }
}

/// Whether nothing is known of a type: it is neither built in nor known by name.
fn is_open(data_type: &str) -> bool {
    data_type.contains('.') && !TEXT_TYPES.iter().any(|known| data_type.ends_with(known))
}

/// The schema of the values of a type that is known by its name in the catalog.
pub fn of_catalog_type(name: &QualifiedName) -> Value {
    if &*name.schema != "pg_catalog" {
        return of_type(&name.to_string());
    }
    match name.name.strip_prefix('_') {
        Some(element) => json!({ "type": "array", "items": of_type(spelled_out(element)) }),
        None => of_type(spelled_out(&name.name)),
    }
}

/// The name by which `format_type` knows a type of the catalog.
fn spelled_out(name: &str) -> &str {
    match name {
        "bool" => "boolean",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "timestamptz" => "timestamp with time zone",
        // What a row of no known columns is.
        "record" => "json",
        other => other,
    }
}

/// A value that a column could hold; `None` when none comes to mind.
pub fn example_of_column(column: &Column) -> Option<Value> {
    if let Some(label) = column.enum_labels.first() {
        return Some(label.as_str().into());
    }
    let example = example(&column.base_type)?;
    let length = column.max_length.and_then(|length| usize::try_from(length).ok());
    match (&example, length) {
        (Value::String(text), Some(length)) => {
            Some(text.chars().take(length).collect::<String>().into())
        }
        _ => Some(example),
    }
}

/// A value of a type; `None` when none comes to mind.
pub fn example(data_type: &str) -> Option<Value> {
    Some(match data_type {
        "boolean" => true.into(),
        "smallint" | "integer" | "bigint" => 1.into(),
        "numeric" | "real" | "double precision" => 1.5.into(),
        "text" | "character" | "character varying" => "text".into(),
        "json" | "jsonb" => json!({}),
        "date" => "2024-01-31".into(),
        "time without time zone" => "12:00:00".into(),
        "timestamp without time zone" => "2024-01-31T12:00:00".into(),
        "timestamp with time zone" => "2024-01-31T12:00:00+00:00".into(),
        "interval" => "01:30:00".into(),
        "uuid" => "01234567-89ab-4cde-8123-456789abcdef".into(),
        "bytea" => "\\x00".into(),
        array if JsonType::of(array) == JsonType::Array => json!([example(element(array))?]),
        _ => return None,
    })
}

/// The value that a default expression is a literal of, if it is one: `'paper'::lib.medium`.
pub fn default_of_column(column: &Column) -> Option<Value> {
    let expression = column.default.as_deref()?;
    let text = literal(expression);
    match JsonType::of(&column.base_type) {
        JsonType::String => text.map(Value::from),
        JsonType::Array => text.filter(|text| text == "{}").map(|_| json!([])),
        _ => serde_json::from_str(text.as_deref().unwrap_or(expression)).ok(),
    }
}

/// The text of a quoted literal with a cast.
fn literal(expression: &str) -> Option<String> {
    let (text, data_type) = expression.strip_prefix('\'')?.rsplit_once("'::")?;
    let is_one = !data_type.contains('\'') && !text.replace("''", "").contains('\'');
    is_one.then(|| text.replace("''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(base_type: &str, default: Option<&str>) -> Column {
        Column {
            name: "c".into(),
            description: None,
            nullable: false,
            nominal_type: base_type.into(),
            base_type: base_type.into(),
            max_length: None,
            default: default.map(str::to_owned),
            generated: false,
            enum_labels: Vec::new(),
            is_json: false,
            is_tsvector: false,
            form: Default::default(),
        }
    }

    #[test]
    fn a_nullable_enum_has_null_among_its_values() {
        let mut medium = column("lib.medium", None);
        medium.enum_labels = vec!["paper".into()];
        medium.nullable = true;
        assert_eq!(
            of_column(&medium),
            json!({ "type": ["string", "null"], "enum": ["paper", null] })
        );
    }

    #[test]
    fn types_have_the_formats_of_json_schema() {
        assert_eq!(of_type("bigint"), json!({ "type": "integer", "format": "int64" }));
        assert_eq!(of_type("text[]"), json!({ "type": "array", "items": { "type": "string" } }));
        assert_eq!(of_type("jsonb"), json!({}));
        assert_eq!(of_type("geo.shape"), json!({}));
        assert_eq!(of_type("extensions.citext"), json!({ "type": "string" }));
        let text = QualifiedName::new("pg_catalog", "_text");
        assert_eq!(of_catalog_type(&text), of_type("text[]"));
    }

    #[test]
    fn only_literals_are_defaults() {
        let default = |data_type, text| default_of_column(&column(data_type, Some(text)));
        assert_eq!(default("text", "'it''s'::text"), Some(json!("it's")));
        assert_eq!(default("integer", "'-1'::integer"), Some(json!(-1)));
        assert_eq!(default("jsonb", "'{\"a\": 1}'::jsonb"), Some(json!({ "a": 1 })));
        assert_eq!(default("text[]", "'{}'::text[]"), Some(json!([])));
        assert_eq!(default("timestamp with time zone", "now()"), None);
        assert_eq!(default("text", "('a'::text || 'b'::text)"), None);
        assert_eq!(default("text", "'a'::text || 'b'::text"), None);
    }

    #[test]
    fn an_example_is_no_longer_than_its_column() {
        let mut code = column("character", None);
        code.max_length = Some(2);
        assert_eq!(example_of_column(&code), Some(json!("te")));
    }
}
