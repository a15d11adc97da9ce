//! The API's description of itself, made from the schema cache for the role that asks.
//!
//! It is written entry by entry into the response's body, so that beside that body never
//! more than one relation's or function's part of it is in memory.
//!
//! <https://docs.postgrest.org/en/v16/references/api/openapi.html>

mod access;
mod comment;
mod contents;
mod json;
mod keys;
mod openapi31;
mod settings;
mod swagger2;
mod types;

pub use settings::Settings;

use super::{Finished, VARY};
use crate::error::{Error, Result};
use crate::http::{Body, Response};
use crate::plan::{DescribePlan, Language};
use crate::query::Column;
use crate::request::Method;
use crate::schema::SchemaCache;
use crate::transaction::Outcome;
use access::Access;
use contents::Contents;

/// The documentation of the HTTP API that all of them share.
const DOCUMENTATION: &str = "https://docs.postgrest.org/en/v16/references/api.html";

/// The answer to a request for the description.
///
/// # Errors
/// An error of the server when the database's answer is not the one that was asked for.
pub fn of_description(
    plan: &DescribePlan,
    finished: Finished,
    schema: &SchemaCache,
    settings: &Settings,
) -> Result<Response> {
    let request = finished.request;
    let mut headers =
        vec![("Content-Type".into(), plan.content_type.clone()), ("Vary".into(), VARY.into())];
    if let Some(profile) = &request.profile {
        headers.push(("Content-Profile".into(), profile.clone()));
    }
    let body = match request.method {
        Method::Head => Body::Empty,
        _ => Body::Bytes(describe(plan, schema, settings, &finished.outcome).map_err(|error| {
            Error::new(500, "PGRSTX00", "The API could not be described").log(error.to_string())
        })?),
    };
    Ok(Response { status: 200, headers, body, ..Response::default() })
}

fn describe(
    plan: &DescribePlan,
    schema: &SchemaCache,
    settings: &Settings,
    outcome: &Outcome,
) -> serde_json::Result<Vec<u8>> {
    let access = outcome.text(Column::BODY).map(Access::parse).transpose()?;
    let contents = Contents::new(schema, plan.schema, access.as_ref());
    match plan.language {
        Language::Swagger2 => serde_json::to_vec(&swagger2::document(&contents, settings)),
        Language::OpenApi31 => serde_json::to_vec(&openapi31::document(&contents, settings)),
    }
}
