//! The parameters that operations refer to: those of all relations, and for each relation
//! its row as a body and a filter for each of its columns.

use super::reference;
use crate::response::openapi::contents::Contents;
use crate::response::openapi::json::{Entries, object};
use crate::schema::{Column, Relation};
use serde::Serialize;
use serde_json::{Value, json};

/// The parameters by name.
pub fn parameters<'a>(contents: &'a Contents<'a>) -> impl Serialize + 'a {
    Entries(|| {
        let relations = contents.relations.iter().map(|described| described.relation);
        common().into_iter().chain(relations.flat_map(of_relation))
    })
}

/// The name of a column's filter among the parameters.
pub(super) fn filter_name(relation: &Relation, column: &Column) -> String {
    format!("rowFilter.{}.{}", relation.name.name, column.name)
}

/// The name of a row among the parameters.
pub(super) fn body_name(relation: &Relation) -> String {
    format!("body.{}", relation.name.name)
}

fn of_relation(relation: &Relation) -> impl Iterator<Item = (String, Value)> {
    let name = &*relation.name.name;
    let body = json!({
        "name": name,
        "description": name,
        "required": false,
        "in": "body",
        "schema": reference("definitions", name),
    });
    let filters = relation.columns.iter().map(|c| (filter_name(relation, c), filter(c)));
    std::iter::once((body_name(relation), body)).chain(filters)
}

fn filter(column: &Column) -> Value {
    object([
        ("name", Some((*column.name).into())),
        ("description", column.description.as_deref().map(Value::from)),
        ("required", Some(false.into())),
        ("in", Some("query".into())),
        ("type", Some("string".into())),
    ])
}

fn common() -> [(String, Value); 11] {
    let returned = ["return=representation", "return=minimal", "return=none"];
    let resolution = ["resolution=ignore-duplicates", "resolution=merge-duplicates"];
    let paging = "Limiting and Pagination";
    [
        ("preferParams", optional("Prefer", "header", "Preference")),
        ("preferReturn", prefer(&returned)),
        ("preferCount", prefer(&["count=none"])),
        ("preferPost", prefer(&[&returned[..], &resolution].concat())),
        ("select", optional("select", "query", "Filtering Columns")),
        ("on_conflict", optional("on_conflict", "query", "On Conflict")),
        ("order", optional("order", "query", "Ordering")),
        ("range", optional("Range", "header", paging)),
        ("rangeUnit", with("default", "items".into(), optional("Range-Unit", "header", paging))),
        ("offset", optional("offset", "query", paging)),
        ("limit", optional("limit", "query", paging)),
    ]
    .map(|(name, parameter)| (name.to_owned(), parameter))
}

fn prefer(values: &[&str]) -> Value {
    with("enum", values.into(), optional("Prefer", "header", "Preference"))
}

fn optional(name: &str, place: &str, description: &str) -> Value {
    json!({
        "name": name,
        "description": description,
        "required": false,
        "in": place,
        "type": "string",
    })
}

fn with(member: &str, value: Value, mut parameter: Value) -> Value {
    parameter[member] = value;
    parameter
}
