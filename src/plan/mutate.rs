//! Writing: inserts, upserts, updates and deletes, and the rows that they give back.

use super::filter::{self, ResolvedCondition};
use super::media::{self, MediaChoice};
use super::read::{Planner, ReadNode};
use super::{Settings, find_relation};
use crate::error::{Error, Result};
use crate::request::ast::{Condition, Operation, Operator};
use crate::request::{
    ApiRequest, Method, Missing, Payload, Preferences, Representation, Resolution,
};
use crate::schema::{Column, QualifiedName, Relation, SchemaCache};

/// A planned change.
#[derive(Debug)]
pub struct MutatePlan<'a> {
    /// The relation that is changed.
    pub relation: &'a Relation,
    /// The change.
    pub mutation: Mutation<'a>,
    /// How the changed rows are presented; `None` unless they are wanted.
    pub returned: Option<ReadNode<'a>>,
    /// The body.
    pub media: MediaChoice<'a>,
    /// Uses of a target's name where its alias was due: (target, alias).
    pub deprecated_names: Vec<(&'a str, &'a str)>,
}

/// A change.
#[derive(Debug)]
pub enum Mutation<'a> {
    /// `POST` and `PUT`
    Insert(InsertPlan<'a>),
    /// `PATCH`
    Update {
        /// The columns to set; none means that nothing happens.
        columns: Vec<TypedColumn<'a>>,
        /// Whether absent keys take the column's default.
        defaults: bool,
        /// Which rows.
        conditions: Vec<ResolvedCondition<'a>>,
    },
    /// `DELETE`
    Delete {
        /// Which rows.
        conditions: Vec<ResolvedCondition<'a>>,
    },
}

/// An insert.
#[derive(Debug)]
pub struct InsertPlan<'a> {
    /// The columns that the body gives.
    pub columns: Vec<TypedColumn<'a>>,
    /// Whether absent keys take the column's default.
    pub defaults: bool,
    /// What happens to rows that are there already.
    pub conflict: Option<ConflictAction<'a>>,
    /// For `PUT`, which of the body's rows: those with the key in the URL.
    pub conditions: Vec<ResolvedCondition<'a>>,
    /// Whether this is a `PUT`.
    pub is_put: bool,
}

/// `ON CONFLICT`
#[derive(Debug)]
pub struct ConflictAction<'a> {
    /// The columns of the unique constraint.
    pub columns: Vec<&'a str>,
    /// Whether the row there is changed; otherwise it is left.
    pub merge: bool,
}

/// A column that takes a value from the body.
#[derive(Debug, Clone)]
pub struct TypedColumn<'a> {
    /// The column.
    pub column: &'a Column,
    /// The function that reads its JSON: a domain representation.
    pub from_json: Option<&'a QualifiedName>,
}

/// The alias of the rows of the body.
pub const BODY_ALIAS: &str = "pgrst_body";

/// Plans a change of the named relation.
pub fn plan<'a>(
    name: &str,
    request: &'a ApiRequest,
    schema: &'a SchemaCache,
    settings: &Settings,
) -> Result<MutatePlan<'a>> {
    let relation = find_relation(schema, &request.schema, name)?;
    // The select is planned whether or not rows are wanted, so that its errors show.
    let (mut returned, deprecated_names) =
        Planner::new(request, schema, settings).mutation_result(relation)?;
    let mutation = match request.method {
        Method::Post => Mutation::Insert(insert(relation, request, schema)?),
        Method::Put => Mutation::Insert(put(relation, request, schema)?),
        Method::Patch => Mutation::Update {
            columns: columns_of_body(relation, request, schema)?,
            defaults: takes_defaults(&request.preferences),
            conditions: conditions(relation, request, schema),
        },
        Method::Delete => Mutation::Delete { conditions: conditions(relation, request, schema) },
        Method::Get | Method::Head | Method::Options => {
            return Err(super::unsupported_method(request.method.as_str()));
        }
    };
    let media = media::negotiate(request, schema, settings, media::Subject::of_read(relation))?;
    returned.jsonb = media.format.shows_embeds_as_text();
    let wants_rows = request.preferences.representation == Some(Representation::Full);
    Ok(MutatePlan {
        relation,
        mutation,
        returned: wants_rows.then_some(returned),
        media,
        deprecated_names,
    })
}

/// The conditions of the root. They are those of the relation itself: what is embedded in
/// the rows that come back plays no part in choosing them.
fn conditions<'a>(
    relation: &'a Relation,
    request: &'a ApiRequest,
    schema: &'a SchemaCache,
) -> Vec<ResolvedCondition<'a>> {
    request
        .query
        .filters
        .iter()
        .filter(|(path, _)| path.is_empty())
        .map(|(_, condition)| filter::resolve(condition, Some(relation), &[], schema))
        .collect()
}

fn insert<'a>(
    relation: &'a Relation,
    request: &'a ApiRequest,
    schema: &'a SchemaCache,
) -> Result<InsertPlan<'a>> {
    let target = match &request.query.on_conflict {
        Some(columns) => columns.iter().map(String::as_str).collect(),
        None => key_columns(relation),
    };
    let conflict =
        request.preferences.resolution.filter(|_| !target.is_empty()).map(|resolution| {
            ConflictAction { columns: target, merge: resolution == Resolution::MergeDuplicates }
        });
    Ok(InsertPlan {
        columns: columns_of_body(relation, request, schema)?,
        defaults: takes_defaults(&request.preferences),
        conflict,
        conditions: Vec::new(),
        is_put: false,
    })
}

fn put<'a>(
    relation: &'a Relation,
    request: &'a ApiRequest,
    schema: &'a SchemaCache,
) -> Result<InsertPlan<'a>> {
    let filters = &request.query.filters;
    let key = key_columns(relation);
    let is_key = |c: &Condition| filtered_by_equality(c).is_some_and(|name| key.contains(&name));
    let all_key = filters.iter().all(|(path, c)| !path.is_empty() || is_key(c));
    let whole_key = key.iter().all(|column| {
        filters.iter().any(|(p, c)| p.is_empty() && filtered_by_equality(c) == Some(column))
    });
    if key.is_empty() || !all_key || !whole_key {
        return Err(Error::new(
            405,
            "PGRST105",
            "Filters must include all and only primary key columns with 'eq' operators",
        ));
    }
    let columns = columns_of_body(relation, request, schema)?;
    if columns.is_empty() {
        return Err(key_mismatch());
    }
    let conditions = filters
        .iter()
        .filter(|(path, _)| path.is_empty())
        .map(|(_, c)| filter::resolve(c, Some(relation), &[], schema))
        .collect();
    Ok(InsertPlan {
        columns,
        defaults: takes_defaults(&request.preferences),
        conflict: Some(ConflictAction { columns: key, merge: true }),
        conditions,
        is_put: true,
    })
}

/// The error for a `PUT` whose body is not the one row that the URL names.
pub fn key_mismatch() -> Error {
    Error::new(400, "PGRST115", "Payload values do not match URL in primary key column(s)")
}

fn key_columns(relation: &Relation) -> Vec<&str> {
    relation.primary_key.iter().map(|c| &**c).collect()
}

/// The column of an `eq` filter that is neither negated nor quantified.
fn filtered_by_equality(condition: &Condition) -> Option<&str> {
    match condition {
        Condition::Filter(f) if !f.negated && f.field.path.is_empty() => match &f.operation {
            Operation::Simple { operator: Operator::Equal, quantifier: None, .. } => {
                Some(&f.field.column)
            }
            _ => None,
        },
        _ => None,
    }
}

/// The columns that the body gives a value, or that `columns` names.
///
/// # Errors
/// PGRST204 for one that the relation does not have.
fn columns_of_body<'a>(
    relation: &'a Relation,
    request: &'a ApiRequest,
    schema: &'a SchemaCache,
) -> Result<Vec<TypedColumn<'a>>> {
    let keys: &[String] = match &request.payload {
        Some(Payload::Json(json)) => &json.keys,
        _ => &[],
    };
    let mut columns: Vec<TypedColumn> = Vec::with_capacity(keys.len());
    for key in keys {
        let column = relation.column(key).ok_or_else(|| {
            let name = &relation.name.name;
            Error::new(
                400,
                "PGRST204",
                format!("Could not find the '{key}' column of '{name}' in the schema cache"),
            )
        })?;
        let from_json = schema.representations.from_json.get(&column.nominal_type);
        columns.push(TypedColumn { column, from_json });
    }
    Ok(columns)
}

fn takes_defaults(preferences: &Preferences) -> bool {
    preferences.missing == Some(Missing::Default)
}
