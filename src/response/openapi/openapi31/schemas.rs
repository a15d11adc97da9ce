//! The schemas: for each relation its row and what can be written into it, and errors.

use super::names::{self, Kind};
use super::values::{default_of_column, example_of_column, of_column};
use crate::response::openapi::contents::{Contents, DescribedRelation};
use crate::response::openapi::json::{Entries, object, some_array, some_object};
use crate::response::openapi::keys::describe_column;
use crate::schema::{Column, Relation};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The schema of errors.
pub const ERROR: &str = "api.error";

/// The schemas by name.
pub fn schemas<'a>(contents: &'a Contents<'a>) -> impl Serialize + 'a {
    Entries(|| {
        let of_relations = contents.relations.iter().flat_map(of_relation);
        std::iter::once((ERROR.to_owned(), error())).chain(of_relations)
    })
}

fn of_relation(described: &DescribedRelation) -> impl Iterator<Item = (String, Value)> {
    let relation = described.relation;
    let written = described.is_writable().then(|| (names::written(relation), write(relation)));
    std::iter::once((names::row(relation), row(relation))).chain(written)
}

/// A row as it is read.
fn row(relation: &Relation) -> Value {
    let properties = relation.columns.iter().map(|column| {
        let mut schema = property(relation, column);
        if column.generated {
            schema["readOnly"] = true.into();
        }
        (column.name.to_string(), schema)
    });
    let required = relation.columns.iter().map(|column| (*column.name).into());
    object([
        ("type", Some("object".into())),
        ("description", relation.description.as_deref().map(Value::from)),
        ("properties", some_object(properties)),
        ("required", some_array(required)),
    ])
}

/// What can be written of a row. Which columns must be there depends on the operation.
fn write(relation: &Relation) -> Value {
    let columns = relation.columns.iter().filter(|column| !column.generated);
    let properties = columns.map(|column| {
        let mut schema = property(relation, column);
        if let Some(default) = default_of_column(column) {
            schema["default"] = default;
        }
        (column.name.to_string(), schema)
    });
    object([
        ("type", Some("object".into())),
        ("properties", some_object(properties)),
        ("additionalProperties", Some(false.into())),
    ])
}

fn property(relation: &Relation, column: &Column) -> Value {
    let mut schema = of_column(column);
    if let Some(description) = describe_column(relation, column) {
        schema["description"] = description.into();
    }
    schema["x-postgresql-type"] = (*column.nominal_type).into();
    schema
}

/// The schema of a row that is inserted.
pub fn inserted(relation: &Relation) -> Value {
    let written = names::reference(Kind::Schema, &names::written(relation));
    match some_array(relation.columns.iter().filter(is_required).map(|c| (*c.name).into())) {
        Some(required) => json!({ "allOf": [written, { "required": required }] }),
        None => written,
    }
}

/// Whether an insert must give the column a value.
fn is_required(column: &&Column) -> bool {
    !column.nullable && !column.generated && column.default.is_none()
}

/// A row as it could be read.
pub fn example_row(relation: &Relation) -> Value {
    examples(relation.columns.iter())
}

/// A row as it could be written: without what the database fills in.
pub fn example_write(relation: &Relation) -> Value {
    examples(relation.columns.iter().filter(|c| !c.generated && c.default.is_none()))
}

fn examples<'a>(columns: impl Iterator<Item = &'a Column>) -> Value {
    let members = columns.filter_map(|c| Some((c.name.to_string(), example_of_column(c)?)));
    Value::Object(members.collect::<Map<_, _>>())
}

/// <https://docs.postgrest.org/en/v16/references/errors.html>
fn error() -> Value {
    json!({
        "type": "object",
        "properties": {
            "code": {
                "type": "string",
                "description": "An SQLSTATE, or a code of the API that begins with PGRST.",
            },
            "message": { "type": "string" },
            "details": { "description": "More about the case at hand." },
            "hint": {
                "type": ["string", "null"],
                "description": "What may help.",
            },
        },
        "required": ["code", "message"],
    })
}
