//! The description in OpenAPI 3.1, which can say more than Swagger 2.0: bodies, responses,
//! null, examples, and only what the role may do.
//!
//! <https://spec.openapis.org/oas/v3.1.1.html>

mod functions;
mod names;
mod parameters;
mod responses;
mod schemas;
mod tables;
mod values;

use super::DOCUMENTATION;
use super::comment::Comment;
use super::contents::Contents;
use super::json::{Entries, object};
use super::settings::{Address, Settings};
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<Paths, Components> {
    openapi: &'static str,
    info: Value,
    external_docs: Value,
    servers: Value,
    security: Value,
    paths: Paths,
    components: Components,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Components<Schemas, Parameters, Responses> {
    schemas: Schemas,
    parameters: Parameters,
    responses: Responses,
    headers: Value,
    security_schemes: Value,
}

/// The document, made while it is serialized.
pub fn document<'a>(contents: &'a Contents<'a>, settings: &Settings) -> impl Serialize + 'a {
    Document {
        openapi: "3.1.0",
        info: info(contents.comment),
        external_docs: json!({ "description": "The HTTP API", "url": DOCUMENTATION }),
        servers: json!([{ "url": server(&settings.address) }]),
        // An empty requirement makes a token optional.
        security: match settings.security_active {
            true => json!([{ "JWT": [] }]),
            false => json!([{}, { "JWT": [] }]),
        },
        paths: Entries(|| {
            let relations = contents.relations.iter().filter_map(tables::path);
            let routines = contents.routines.iter().map(|o| functions::path(o, contents));
            std::iter::once(("/".to_owned(), root())).chain(relations).chain(routines)
        }),
        components: Components {
            schemas: schemas::schemas(contents),
            parameters: parameters::parameters(contents),
            responses: responses::responses(contents),
            headers: responses::headers(),
            security_schemes: json!({
                "JWT": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" }
            }),
        },
    }
}

fn info(comment: Option<&str>) -> Value {
    let (title, description) = texts(comment);
    object([
        ("title", Some(title.unwrap_or_else(|| "PostgreSQL API".into()))),
        ("description", description),
        ("version", Some(env!("CARGO_PKG_VERSION").into())),
    ])
}

/// The address without the port that the scheme stands for.
fn server(address: &Address) -> String {
    let Address { scheme, host, port, base_path } = address;
    let base_path = base_path.trim_end_matches('/');
    match (scheme.as_str(), port) {
        ("http", 80) | ("https", 443) => format!("{scheme}://{host}{base_path}"),
        _ => format!("{scheme}://{host}:{port}{base_path}"),
    }
}

fn root() -> Value {
    json!({
        "get": {
            "operationId": "describe",
            "tags": ["Introspection"],
            "summary": "This document",
            "responses": {
                "200": {
                    "description": "OpenAPI 3.1 if asked for, Swagger 2.0 otherwise.",
                    "content": {
                        "application/openapi+json": { "schema": { "type": "object" } },
                        "application/openapi+json;version=3.1": { "schema": { "type": "object" } },
                    },
                },
                "default": responses::default_error(),
            },
        }
    })
}

/// Summary and description of a comment; an empty one is none.
fn texts(comment: Option<&str>) -> (Option<Value>, Option<Value>) {
    let comment = comment.map(Comment::new);
    let some = |text: &str| (!text.is_empty()).then(|| Value::from(text));
    (comment.and_then(|c| some(c.summary)), comment.and_then(|c| some(c.description)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_no_port_or_slash_too_many() {
        let address = |scheme: &str, port, base_path: &str| Address {
            scheme: scheme.into(),
            host: "example.com".into(),
            port,
            base_path: base_path.into(),
        };
        assert_eq!(server(&address("https", 443, "/")), "https://example.com");
        assert_eq!(server(&address("http", 3000, "/api/")), "http://example.com:3000/api");
    }
}
