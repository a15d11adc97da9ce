//! The parameters that operations refer to: those of all relations and functions, and for
//! each relation the filters by its columns.
//!
//! <https://docs.postgrest.org/en/v16/references/api/tables_views.html>

use super::names::{self, Kind};
use super::values::example_of_column;
use crate::response::openapi::contents::Contents;
use crate::response::openapi::json::{Entries, object};
use crate::schema::{Column, Relation};
use serde::Serialize;
use serde_json::{Value, json};

/// The names in a query string that never stand for a column or an argument.
const RESERVED: [&str; 8] =
    ["select", "order", "limit", "offset", "and", "or", "columns", "on_conflict"];

/// A parameter that is the same for all relations and functions.
struct Common {
    /// Its name among the components.
    component: &'static str,
    name: &'static str,
    place: &'static str,
    description: &'static str,
    example: &'static str,
}

const COMMON: [Common; 11] = [
    Common {
        component: "select",
        name: "select",
        place: "query",
        description: "The columns to return, all of them by default, and related rows to embed.",
        example: "*",
    },
    Common {
        component: "order",
        name: "order",
        place: "query",
        description: "The columns to sort by, each with `.asc` or `.desc`, `.nullsfirst` or \
                      `.nullslast`.",
        example: "id.desc",
    },
    Common {
        component: "limit",
        name: "limit",
        place: "query",
        description: "The most rows to return.",
        example: "10",
    },
    Common {
        component: "offset",
        name: "offset",
        place: "query",
        description: "How many rows to leave out before the first.",
        example: "20",
    },
    Common {
        component: "and",
        name: "and",
        place: "query",
        description: "Conditions of which all must hold.",
        example: "(id.gte.1,id.lt.10)",
    },
    Common {
        component: "or",
        name: "or",
        place: "query",
        description: "Conditions of which one must hold.",
        example: "(id.lt.10,id.gt.20)",
    },
    Common {
        component: "columns",
        name: "columns",
        place: "query",
        description: "The members of the body to write; others are passed over.",
        example: "id",
    },
    Common {
        component: "on_conflict",
        name: "on_conflict",
        place: "query",
        description: "The columns of the unique constraint by which rows that are there already \
                      are found, instead of the primary key.",
        example: "id",
    },
    Common {
        component: "preferRead",
        name: "Prefer",
        place: "header",
        description: "`count=exact`, `count=planned` or `count=estimated` to have the rows \
                      counted.",
        example: "count=exact",
    },
    Common {
        component: "preferWrite",
        name: "Prefer",
        place: "header",
        description: "`return=minimal`, `return=headers-only` or `return=representation`; \
                      `max-affected=N` with `handling=strict` to limit the rows that change.",
        example: "return=representation",
    },
    Common {
        component: "preferInsert",
        name: "Prefer",
        place: "header",
        description: "`return=minimal`, `return=headers-only` or `return=representation`; \
                      `resolution=merge-duplicates` or `resolution=ignore-duplicates` for rows \
                      that are there already; `missing=default` to fill in defaults.",
        example: "return=representation",
    },
];

/// The parameters by name.
pub fn parameters<'a>(contents: &'a Contents<'a>) -> impl Serialize + 'a {
    Entries(|| {
        let common = COMMON.iter().map(|c| (c.component.to_owned(), c.describe()));
        let filters = contents.relations.iter().flat_map(|described| {
            let relation = described.relation;
            filterable(relation).map(|c| (names::filter(relation, c), filter(c)))
        });
        common.chain(filters)
    })
}

/// References to common parameters, by the names of their components.
pub fn common<const N: usize>(components: [&str; N]) -> impl Iterator<Item = Value> {
    components.into_iter().map(|component| {
        debug_assert!(COMMON.iter().any(|c| c.component == component), "{component}");
        names::reference(Kind::Parameter, component)
    })
}

/// References to the filters of a relation.
pub fn filters(relation: &Relation) -> impl Iterator<Item = Value> {
    filterable(relation).map(|c| names::reference(Kind::Parameter, &names::filter(relation, c)))
}

/// Whether a name in a query string means something else than a column or argument.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

fn filterable(relation: &Relation) -> impl Iterator<Item = &Column> {
    relation.columns.iter().filter(|column| !is_reserved(&column.name))
}

fn filter(column: &Column) -> Value {
    let example = match example_of_column(column) {
        Some(Value::String(text)) => format!("eq.{text}"),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => format!("eq.{value}"),
        _ => "not.is.null".to_owned(),
    };
    object([
        ("name", Some((*column.name).into())),
        ("in", Some("query".into())),
        ("description", column.description.as_deref().map(Value::from)),
        ("schema", Some(json!({ "type": "string" }))),
        ("example", Some(example.into())),
    ])
}

impl Common {
    fn describe(&self) -> Value {
        let schema = match self.name {
            "limit" | "offset" => json!({ "type": "integer", "minimum": 0 }),
            _ => json!({ "type": "string" }),
        };
        let example =
            self.example.parse::<u32>().map_or_else(|_| Value::from(self.example), Value::from);
        json!({
            "name": self.name,
            "in": self.place,
            "description": self.description,
            "schema": schema,
            "example": example,
        })
    }
}
