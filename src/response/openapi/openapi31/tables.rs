//! The paths of relations: what can be done with their rows, as far as the relation and
//! the role's privileges allow it.

use super::names::{self, Kind, part};
use super::parameters::{common, filters, is_reserved};
use super::responses::{default_error, no_content, rows};
use super::schemas::{example_write, inserted};
use super::texts;
use crate::response::openapi::contents::DescribedRelation;
use crate::response::openapi::json::object;
use crate::schema::Relation;
use serde_json::{Value, json};

/// The path of a relation with its operations; `None` when there are none.
pub fn path(described: &DescribedRelation) -> Option<(String, Value)> {
    let relation = described.relation;
    // A column of a reserved name cannot be filtered by.
    let has_key = !relation.primary_key.iter().any(|column| is_reserved(column));
    let operations = object([
        ("get", described.is_readable().then(|| read(relation))),
        ("post", described.is_insertable().then(|| insert(relation))),
        ("put", (described.is_replaceable() && has_key).then(|| replace(relation))),
        ("patch", described.is_updatable().then(|| update(relation))),
        ("delete", described.is_deletable().then(|| delete(relation))),
    ]);
    let is_empty = operations.as_object().is_none_or(serde_json::Map::is_empty);
    (!is_empty).then(|| (format!("/{}", names::segment(&relation.name.name)), operations))
}

fn read(relation: &Relation) -> Value {
    let paging = common(["select", "order", "limit", "offset", "and", "or", "preferRead"]);
    let operation = Operation {
        verb: "read",
        parameters: filters(relation).chain(paging).collect(),
        body: None,
        responses: json!({
            "200": rows(relation, "The rows."),
            "206": rows(relation, "A part of the rows, when they were counted."),
        }),
    };
    operation.on(relation)
}

fn insert(relation: &Relation) -> Value {
    let row = inserted(relation);
    let body = json!({
        "description": "A row, or an array of rows.",
        "required": true,
        "content": {
            "application/json": {
                "schema": { "anyOf": [row, { "type": "array", "items": row }] },
                "example": example_write(relation),
            },
            "text/csv": { "schema": { "type": "string" } },
            "application/x-www-form-urlencoded": { "schema": row },
        },
    });
    let operation = Operation {
        verb: "insert",
        parameters: common(["columns", "on_conflict", "select", "preferInsert"]).collect(),
        body: Some(body),
        responses: json!({
            "200": rows(relation, "All rows were there already and have been merged."),
            "201": rows(relation, "The rows were inserted. They are in the body if asked for."),
        }),
    };
    operation.on(relation)
}

fn replace(relation: &Relation) -> Value {
    let key = relation.columns.iter().filter(|c| relation.primary_key.contains(&c.name));
    let by_key = key.map(|column| {
        json!({
            "name": column.name,
            "in": "query",
            "required": true,
            "description": "The value of the primary key, after `eq.`.",
            "schema": { "type": "string", "pattern": "^eq\\." },
        })
    });
    let operation = Operation {
        verb: "replace",
        parameters: by_key.chain(common(["columns", "select", "preferWrite"])).collect(),
        body: Some(json_body(inserted(relation), relation)),
        responses: json!({
            "200": rows(relation, "The row was replaced."),
            "201": rows(relation, "The row was inserted."),
            "204": no_content("The row was inserted or replaced."),
        }),
    };
    operation.on(relation)
}

fn update(relation: &Relation) -> Value {
    let options = common(["and", "or", "columns", "select", "preferWrite"]);
    let written = names::reference(Kind::Schema, &names::written(relation));
    let operation = Operation {
        verb: "update",
        parameters: filters(relation).chain(options).collect(),
        body: Some(json_body(written, relation)),
        responses: json!({
            "200": rows(relation, "The rows as they are now."),
            "204": no_content("The rows were changed."),
        }),
    };
    operation.on(relation)
}

fn delete(relation: &Relation) -> Value {
    let options = common(["and", "or", "select", "preferWrite"]);
    let operation = Operation {
        verb: "delete",
        parameters: filters(relation).chain(options).collect(),
        body: None,
        responses: json!({
            "200": rows(relation, "The rows as they were."),
            "204": no_content("The rows were deleted."),
        }),
    };
    operation.on(relation)
}

fn json_body(schema: Value, relation: &Relation) -> Value {
    json!({
        "required": true,
        "content": {
            "application/json": { "schema": schema, "example": example_write(relation) },
        },
    })
}

/// What can be done with the rows of a relation.
struct Operation {
    verb: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    /// The responses by status, without that to a request that fails.
    responses: Value,
}

impl Operation {
    fn on(mut self, relation: &Relation) -> Value {
        let name = &*relation.name.name;
        let (summary, description) = texts(relation.description.as_deref());
        self.responses["default"] = default_error();
        object([
            ("operationId", Some(format!("{}.{}", part(name), self.verb).into())),
            ("tags", Some(json!([name]))),
            ("summary", summary),
            ("description", description),
            ("parameters", Some(self.parameters.into())),
            ("requestBody", self.body),
            ("responses", Some(self.responses)),
        ])
    }
}
