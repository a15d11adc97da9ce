//! A request resolved against the schema: what is to be read, changed or called.
//!
//! Planning borrows from the request and the schema cache, touches no database, and is
//! linear in the size of the request. SQL is written from a plan by [`crate::query`].

mod call;
mod describe;
mod effects;
mod fence;
mod filter;
mod media;
mod mutate;
mod read;
mod relationship;
mod spread;

pub use call::{ArgumentSource, CALL_ALIAS, CallPlan, SCALAR_COLUMN, find_routine};
pub use describe::{DescribePlan, Language};
pub use fence::Fence;
pub use filter::{Comparand, ResolvedCondition, ResolvedField, ResolvedFilter, ResolvedLogic};
pub use media::{BodyFormat, MediaChoice, Subject, negotiate, not_available};
pub use mutate::{
    BODY_ALIAS, ConflictAction, InsertPlan, MutatePlan, Mutation, TypedColumn, key_mismatch,
};
pub use read::{
    EmbedNode, EmbedRole, OutputColumn, ReadNode, ResolvedOrder, SelectedField, SelectedValue,
};

use crate::config::OpenApiMode;
use crate::error::{Error, Result};
use crate::request::{ApiRequest, Method, Resource};
use crate::schema::{Relation, STRICT, SchemaCache};

/// What of the configuration decides a plan.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `db-max-rows`
    pub max_rows: Option<u64>,
    /// `db-aggregates-enabled`
    pub aggregates_enabled: bool,
    /// `db-plan-enabled`
    pub plan_enabled: bool,
    /// `openapi-mode`
    pub openapi_mode: OpenApiMode,
    /// `url-use-legacy-target-names`
    pub legacy_target_names: bool,
}

/// A planned request.
#[derive(Debug)]
pub enum Plan<'a> {
    /// Rows of a table or view.
    Read(Box<ReadPlan<'a>>),
    /// A change of a table or view.
    Mutate(Box<MutatePlan<'a>>),
    /// A function.
    Call(Box<CallPlan<'a>>),
    /// The description of the API.
    Describe(DescribePlan<'a>),
}

/// Rows of a table or view, and how they are presented.
#[derive(Debug)]
pub struct ReadPlan<'a> {
    /// The rows.
    pub root: ReadNode<'a>,
    /// The body.
    pub media: MediaChoice<'a>,
    /// Uses of a target's name where its alias was due: (target, alias).
    pub deprecated_names: Vec<(&'a str, &'a str)>,
}

/// Resolves a request.
pub fn plan<'a>(
    request: &'a ApiRequest,
    schema: &'a SchemaCache,
    settings: &Settings,
) -> Result<Plan<'a>> {
    match (&request.resource, request.method) {
        (Resource::Routine(name), _) => {
            call::plan(name, request, schema, settings).map(|plan| Plan::Call(Box::new(plan)))
        }
        (Resource::Relation(name), Method::Get | Method::Head) => {
            let relation = find_relation(schema, &request.schema, name)?;
            let (mut root, deprecated_names) =
                read::Planner::new(request, schema, settings).relation(relation)?;
            let media = negotiate(request, schema, settings, media::Subject::of_read(relation))?;
            root.jsonb = media.format.shows_embeds_as_text();
            Ok(Plan::Read(Box::new(ReadPlan { root, media, deprecated_names })))
        }
        (Resource::Relation(name), _) => {
            mutate::plan(name, request, schema, settings).map(|plan| Plan::Mutate(Box::new(plan)))
        }
        (Resource::Root, _) => describe::plan(request, settings).map(Plan::Describe),
    }
}

/// The relation of a path, or the error that says what is near.
pub fn find_relation<'a>(
    schema: &'a SchemaCache,
    name_of_schema: &str,
    name: &str,
) -> Result<&'a Relation> {
    if let Some(relation) = schema.relation(name_of_schema, name) {
        return Ok(relation);
    }
    let exposed = schema.schemas.get(name_of_schema);
    let error = Error::new(
        404,
        "PGRST205",
        format!("Could not find the table '{name_of_schema}.{name}' in the schema cache"),
    );
    Err(match exposed.and_then(|exposed| exposed.nearest_relation(name, STRICT)) {
        Some(near) => error.hint(format!("Perhaps you meant the table '{name_of_schema}.{near}'")),
        None => error,
    })
}

/// The error for a method that the resource does not know.
fn unsupported_method(method: &str) -> Error {
    Error::new(405, "PGRST117", format!("Unsupported HTTP method: {method}"))
}
