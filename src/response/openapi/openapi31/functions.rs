//! The paths of functions. The overloads of a name share one, and each of its parts allows
//! what one of them allows.

use super::names::{self, Kind, part};
use super::parameters::{common, is_reserved};
use super::responses::{default_error, no_content};
use super::texts;
use super::values::{example, of_catalog_type, of_type};
use crate::response::openapi::contents::{Contents, DescribedRoutine, Overloads};
use crate::response::openapi::json::{object, some_array, some_object};
use crate::response::openapi::types::JsonType;
use crate::schema::{Parameter, Returned, Routine, Volatility};
use serde_json::{Map, Value, json};

/// The path of the functions of a name.
pub fn path(overloads: &Overloads, contents: &Contents) -> (String, Value) {
    let pure: Vec<DescribedRoutine> = overloads
        .routines
        .iter()
        .filter(|described| described.routine.volatility != Volatility::Volatile)
        .copied()
        .collect();
    let operations = object([
        ("get", (!pure.is_empty()).then(|| get(overloads.name, &pure, contents))),
        ("post", Some(post(overloads.name, &overloads.routines, contents))),
    ]);
    (format!("/rpc/{}", names::segment(overloads.name)), operations)
}

fn get(name: &str, routines: &[DescribedRoutine], contents: &Contents) -> Value {
    operation(name, "get", routines, contents, query_parameters(routines), None)
}

fn post(name: &str, routines: &[DescribedRoutine], contents: &Contents) -> Value {
    operation(name, "post", routines, contents, Vec::new(), Some(body(routines)))
}

fn operation(
    name: &str,
    verb: &str,
    routines: &[DescribedRoutine],
    contents: &Contents,
    mut parameters: Vec<Value>,
    body: Option<Value>,
) -> Value {
    let comment = routines.iter().find_map(|d| d.routine.description.as_deref());
    let (summary, description) = texts(comment);
    if routines.iter().any(|d| d.routine.returns.is_set) {
        parameters.extend(common(["select", "order", "limit", "offset", "preferRead"]));
    }
    object([
        ("operationId", Some(format!("rpc.{}.{verb}", part(name)).into())),
        ("tags", Some(json!([format!("(rpc) {name}")]))),
        ("summary", summary),
        ("description", description),
        ("parameters", some_array(parameters.into_iter())),
        ("requestBody", body),
        ("responses", Some(responses(routines, contents))),
    ])
}

/// The arguments in the query string: those of all overloads by name, required when they
/// are in each.
fn query_parameters(routines: &[DescribedRoutine]) -> Vec<Value> {
    let mut parameters: Vec<(&Parameter, Vec<Value>)> = Vec::new();
    for (parameter, data_type) in routines.iter().flat_map(|d| d.parameters()) {
        if parameter.name.is_empty() || is_reserved(&parameter.name) {
            continue;
        }
        let schema = query_schema(parameter, data_type);
        match parameters.iter_mut().find(|(known, _)| known.name == parameter.name) {
            Some((_, schemas)) => schemas.push(schema),
            None => parameters.push((parameter, vec![schema])),
        }
    }
    let requires = |name: &str, routine: &Routine| {
        routine.parameters.iter().any(|p| *p.name == *name && p.required)
    };
    parameters
        .into_iter()
        .map(|(parameter, schemas)| {
            let name = &*parameter.name;
            json!({
                "name": name,
                "in": "query",
                "required": routines.iter().all(|d| requires(name, d.routine)),
                "schema": any_of(schemas),
            })
        })
        .collect()
}

/// An argument in a query string: an array is written as `{...}`, but a variadic one is
/// repeated.
fn query_schema(parameter: &Parameter, data_type: &str) -> Value {
    match JsonType::of(data_type) {
        JsonType::Array if parameter.variadic => of_type(data_type),
        JsonType::Array | JsonType::Any => json!({ "type": "string" }),
        _ => of_type(data_type),
    }
}

/// The body of a call: an object of the arguments, or what a single unnamed parameter takes.
fn body(routines: &[DescribedRoutine]) -> Value {
    let mut objects = Vec::new();
    let mut content = Map::new();
    for described in routines {
        match raw_media_type(described.routine) {
            Some("application/json") => objects.push(json!({})),
            Some(media_type) => {
                content.insert(media_type.to_owned(), json!({ "schema": { "type": "string" } }));
            }
            None => objects.push(arguments(*described)),
        }
    }
    if !objects.is_empty() {
        let media_type = object([
            ("schema", Some(any_of(objects))),
            ("example", routines.iter().find_map(|d| example_arguments(*d))),
        ]);
        content.insert("application/json".to_owned(), media_type);
    }
    let required = routines.iter().all(|d| d.routine.parameters.iter().any(|p| p.required));
    json!({ "required": required, "content": content })
}

/// The media type of the body that a single unnamed parameter takes as it is.
fn raw_media_type(routine: &Routine) -> Option<&'static str> {
    let [parameter] = &routine.parameters[..] else { return None };
    if !parameter.name.is_empty() {
        return None;
    }
    match &*parameter.data_type {
        "text" => Some("text/plain"),
        "xml" => Some("text/xml"),
        "bytea" => Some("application/octet-stream"),
        _ => Some("application/json"),
    }
}

fn arguments(described: DescribedRoutine) -> Value {
    let properties = described.parameters().map(|(p, data_type)| {
        let mut schema = of_type(data_type);
        schema["x-postgresql-type"] = data_type.into();
        (p.name.to_string(), schema)
    });
    let required = described.parameters().filter(|(p, _)| p.required);
    object([
        ("type", Some("object".into())),
        ("properties", some_object(properties)),
        ("required", some_array(required.map(|(p, _)| (*p.name).into()))),
    ])
}

/// The arguments of a call; `None` when no value of a type comes to mind.
fn example_arguments(described: DescribedRoutine) -> Option<Value> {
    if raw_media_type(described.routine).is_some() {
        return None;
    }
    let members: Option<Map<String, Value>> = described
        .parameters()
        .filter(|(p, _)| p.required)
        .map(|(p, data_type)| Some((p.name.to_string(), example(data_type)?)))
        .collect();
    members.map(Value::Object)
}

fn responses(routines: &[DescribedRoutine], contents: &Contents) -> Value {
    let results = || routines.iter().map(|d| d.routine);
    let mut content: Vec<(&str, Vec<Value>)> = Vec::new();
    for routine in results().filter(|r| r.returns.returned != Returned::Void) {
        let (media_type, schema) = result(routine, contents);
        match content.iter_mut().find(|(known, _)| *known == media_type) {
            Some((_, schemas)) => schemas.push(schema),
            None => content.push((media_type, vec![schema])),
        }
    }
    let content = some_object(content.into_iter().map(|(media_type, schemas)| {
        (media_type.to_owned(), json!({ "schema": any_of(schemas) }))
    }));
    let returns_nothing = results().any(|r| r.returns.returned == Returned::Void);
    object([
        ("200", content.map(|c| json!({ "description": "The result.", "content": c }))),
        ("204", returns_nothing.then(|| no_content("The function has run."))),
        ("default", Some(default_error())),
    ])
}

/// The media type and the schema of a function's result.
fn result<'a>(routine: &'a Routine, contents: &Contents) -> (&'a str, Value) {
    let one = match &routine.returns.returned {
        Returned::Scalar(domain) if is_media_type(&domain.name) => {
            return (&domain.name, json!({ "type": "string" }));
        }
        Returned::Scalar(data_type) => of_catalog_type(data_type),
        Returned::Composite(Some(name)) if contents.has_relation(name) => {
            names::reference(Kind::Schema, &part(&name.name))
        }
        Returned::Composite(_) | Returned::Void => json!({ "type": "object" }),
    };
    match routine.returns.is_set {
        true => ("application/json", json!({ "type": "array", "items": one })),
        false => ("application/json", one),
    }
}

/// Whether values of a domain of that name are bodies of a media type.
fn is_media_type(name: &str) -> bool {
    name.contains('/')
}

/// The schema that allows what one of several allows.
fn any_of(schemas: Vec<Value>) -> Value {
    let mut distinct: Vec<Value> = Vec::with_capacity(schemas.len());
    for schema in schemas {
        if !distinct.contains(&schema) {
            distinct.push(schema);
        }
    }
    match distinct.len() {
        1 => distinct.swap_remove(0),
        _ => json!({ "anyOf": distinct }),
    }
}
