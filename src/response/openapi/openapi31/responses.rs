//! The responses and their headers.

use super::names::{self, Kind};
use super::schemas::{ERROR, example_row};
use crate::response::openapi::contents::Contents;
use crate::response::openapi::json::Entries;
use crate::schema::Relation;
use serde::Serialize;
use serde_json::{Value, json};

/// The header that tells which rows there are.
const CONTENT_RANGE: &str = "Content-Range";

/// The header that tells where an inserted row is.
const LOCATION: &str = "Location";

/// The responses by name.
pub fn responses<'a>(contents: &'a Contents<'a>) -> impl Serialize + 'a {
    Entries(|| {
        let of_relations = contents.relations.iter().map(|described| {
            let relation = described.relation;
            (names::rows(relation), of_relation(relation))
        });
        std::iter::once((ERROR.to_owned(), error())).chain(of_relations)
    })
}

/// The headers by name.
pub fn headers() -> Value {
    json!({
        CONTENT_RANGE: {
            "description": "The first and the last row, and how many there are if they were \
                            counted: `0-9/*`.",
            "schema": { "type": "string" },
            "example": "0-9/25",
        },
        LOCATION: {
            "description": "Where the inserted row is, with `Prefer: return=headers-only`.",
            "schema": { "type": "string", "format": "uri-reference" },
        },
    })
}

/// Rows of a relation, and what that means here.
pub fn rows(relation: &Relation, description: &str) -> Value {
    let mut reference = names::reference(Kind::Response, &names::rows(relation));
    reference["description"] = description.into();
    reference
}

/// A response without a body.
pub fn no_content(description: &str) -> Value {
    json!({ "description": description })
}

/// The response to a request that fails.
pub fn default_error() -> Value {
    names::reference(Kind::Response, ERROR)
}

fn of_relation(relation: &Relation) -> Value {
    let row = names::reference(Kind::Schema, &names::row(relation));
    let example = example_row(relation);
    let header = |name| names::reference(Kind::Header, name);
    json!({
        "description": "Rows.",
        "headers": { CONTENT_RANGE: header(CONTENT_RANGE), LOCATION: header(LOCATION) },
        "content": {
            "application/json": {
                "schema": { "type": "array", "items": row },
                "example": [example],
            },
            "application/vnd.pgrst.object+json": { "schema": row, "example": example },
            "text/csv": { "schema": { "type": "string" } },
        },
    })
}

fn error() -> Value {
    json!({
        "description": "The request failed.",
        "content": {
            "application/json": {
                "schema": names::reference(Kind::Schema, ERROR),
                "example": {
                    "code": "42501",
                    "message": "permission denied for table films",
                    "details": null,
                    "hint": null,
                },
            },
        },
    })
}
