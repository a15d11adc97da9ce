//! The paths: what can be done with relations and functions.

use super::definitions::items;
use super::parameters::{body_name, filter_name};
use super::{MEDIA_TYPES, format, reference};
use crate::response::openapi::comment::Comment;
use crate::response::openapi::contents::{Contents, DescribedRoutine, Overloads};
use crate::response::openapi::json::{Entries, object, some_array, some_object};
use crate::response::openapi::types::{JsonType, element};
use crate::schema::{Parameter, Relation, Volatility};
use serde::Serialize;
use serde_json::{Value, json};

/// The paths: the root, then relations, then functions.
pub fn paths<'a>(contents: &'a Contents<'a>) -> impl Serialize + 'a {
    Entries(|| {
        let relations = contents.relations.iter().map(|described| {
            let relation = described.relation;
            (format!("/{}", relation.name.name), of_relation(relation))
        });
        let routines = contents.routines.iter().map(|overloads| {
            (format!("/rpc/{}", overloads.name), of_routine(shown_overload(overloads)))
        });
        std::iter::once(("/".to_owned(), of_root())).chain(relations).chain(routines)
    })
}

fn of_root() -> Value {
    json!({
        "get": {
            "produces": ["application/openapi+json", "application/json"],
            "responses": { "200": { "description": "OK" } },
            "summary": "OpenAPI description (this document)",
            "tags": ["Introspection"],
        }
    })
}

/// A parameter that an operation on a relation refers to.
enum Referred {
    Filters,
    Body,
    Common(&'static str),
}

fn of_relation(relation: &Relation) -> Value {
    use Referred::{Body, Common, Filters};
    let writable = relation.insertable || relation.updatable || relation.deletable;
    let read = [
        Filters,
        Common("select"),
        Common("order"),
        Common("range"),
        Common("rangeUnit"),
        Common("offset"),
        Common("limit"),
        Common("preferCount"),
    ];
    let found = json!({
        "200": {
            "description": "OK",
            "schema": {
                "items": reference("definitions", &relation.name.name),
                "type": "array",
            },
        },
        "206": { "description": "Partial Content" },
    });
    let created = json!({ "201": { "description": "Created" } });
    let done = || json!({ "204": { "description": "No Content" } });
    let write = |referred: &[Referred], responses| {
        writable.then(|| operation(relation, referred, responses))
    };
    object([
        ("get", Some(operation(relation, &read, found))),
        ("post", write(&[Body, Common("select"), Common("preferPost")], created)),
        ("delete", write(&[Filters, Common("preferReturn")], done())),
        ("patch", write(&[Filters, Body, Common("preferReturn")], done())),
    ])
}

fn operation(relation: &Relation, referred: &[Referred], responses: Value) -> Value {
    let to = |name: &str| reference("parameters", name);
    let mut parameters = Vec::with_capacity(relation.columns.len() + referred.len());
    for one in referred {
        match one {
            Referred::Filters => parameters
                .extend(relation.columns.iter().map(|column| to(&filter_name(relation, column)))),
            Referred::Body => parameters.push(to(&body_name(relation))),
            Referred::Common(name) => parameters.push(to(name)),
        }
    }
    let (summary, description) = texts(relation.description.as_deref());
    object([
        ("description", description),
        ("parameters", Some(parameters.into())),
        ("responses", Some(responses)),
        ("summary", summary),
        ("tags", Some(json!([&*relation.name.name]))),
    ])
}

/// The overload that stands for all of a name: the one with the most parameters.
fn shown_overload<'a>(overloads: &Overloads<'a>) -> DescribedRoutine<'a> {
    let rank = |described: &DescribedRoutine<'a>| {
        let parameters: Vec<_> = described.parameters().map(|(p, t)| (&*p.name, t)).collect();
        (parameters.len(), described.routine.description.as_deref(), parameters)
    };
    let chosen = overloads.routines.iter().max_by_key(|described| rank(described));
    *chosen.expect("overloads are at least one")
}

fn of_routine(described: DescribedRoutine) -> Value {
    let routine = described.routine;
    let (summary, description) = texts(routine.description.as_deref());
    let operation = |parameters: Option<Value>| {
        object([
            ("description", description.clone()),
            ("parameters", parameters),
            ("produces", Some(MEDIA_TYPES[..3].into())),
            ("responses", Some(json!({ "200": { "description": "OK" } }))),
            ("summary", summary.clone()),
            ("tags", Some(json!([format!("(rpc) {}", routine.name.name)]))),
        ])
    };
    let arguments = json!([
        { "in": "body", "name": "args", "required": true, "schema": arguments(described) },
        reference("parameters", "preferParams"),
    ]);
    let queried = described.parameters().map(|(parameter, t)| query_parameter(parameter, t));
    object([
        (
            "get",
            (routine.volatility != Volatility::Volatile).then(|| operation(some_array(queried))),
        ),
        ("post", Some(operation(Some(arguments)))),
    ])
}

/// The schema of a call's body.
fn arguments(described: DescribedRoutine) -> Value {
    let property = |data_type: &str| {
        object([
            ("format", Some(format(data_type).into())),
            ("items", items(data_type)),
            ("type", JsonType::of(data_type).name().map(Value::from)),
        ])
    };
    let properties = described.parameters().map(|(p, t)| (p.name.to_string(), property(t)));
    let required = described.parameters().filter(|(parameter, _)| parameter.required);
    object([
        ("description", described.routine.description.as_deref().map(Value::from)),
        ("properties", some_object(properties)),
        ("required", some_array(required.map(|(parameter, _)| (*parameter.name).into()))),
        ("type", Some("object".into())),
    ])
}

/// An argument in the query string. Arrays are written as `{...}` there; a variadic
/// parameter takes one element at a time.
fn query_parameter(parameter: &Parameter, data_type: &str) -> Value {
    let type_name = |data_type| match JsonType::of(data_type) {
        JsonType::Array => "string",
        other => other.name().unwrap_or("string"),
    };
    let one = element(data_type);
    let (kind, format, collected) = match parameter.variadic {
        false => (type_name(data_type), Some(format(data_type).into()), None),
        true => {
            let items = object([
                ("format", Some(format(one).into())),
                ("type", JsonType::of(one).name().map(Value::from)),
            ]);
            ("array", None, Some(items))
        }
    };
    object([
        ("collectionFormat", collected.is_some().then(|| "multi".into())),
        ("format", format),
        ("in", Some("query".into())),
        ("items", collected),
        ("name", Some((*parameter.name).into())),
        ("required", Some(parameter.required.into())),
        ("type", Some(kind.into())),
    ])
}

/// Summary and description of a comment; an empty description is none.
fn texts(comment: Option<&str>) -> (Option<Value>, Option<Value>) {
    let comment = comment.map(Comment::new);
    let description = comment.map(|c| c.description).filter(|text| !text.is_empty());
    (comment.map(|c| c.summary.into()), description.map(Value::from))
}
