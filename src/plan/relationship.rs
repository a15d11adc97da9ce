//! Which relationship an embed means, and what to say when none or several fit.

use crate::error::{Error, Result};
use crate::request::ast::Embed;
use crate::schema::{Cardinality, LOOSE, Relation, Relationship, RelationshipKind, SchemaCache};
use serde_json::json;

/// Finds the relationship from `source` that `embed` names.
///
/// A target is the name of a relation, of a foreign key constraint, of the source's only
/// column in the key, or of a computed relationship; a hint is a constraint, a column of the key on
/// either side, or a junction
/// (<https://docs.postgrest.org/en/v16/references/api/resource_embedding.html>).
///
/// # Errors
/// PGRST200 when nothing fits, PGRST201 when several do.
pub fn find<'a>(
    source: &str,
    relation: Option<&'a Relation>,
    embed: &Embed,
    schema: &'a SchemaCache,
    schema_name: &str,
) -> Result<&'a Relationship> {
    let all: &[Relationship] = relation.map_or(&[], |r| r.relationships.as_slice());
    let mut found = all
        .iter()
        .filter(|r| &*r.target.schema == schema_name || is_computed(r))
        .filter(|r| fits(r, embed));
    let Some(first) = found.next() else {
        return Err(not_found(source, relation, embed, schema, schema_name));
    };
    if found.next().is_none() {
        return Ok(first);
    }
    let candidates: Vec<&Relationship> = all
        .iter()
        .filter(|r| &*r.target.schema == schema_name || is_computed(r))
        .filter(|r| fits(r, embed))
        .collect();
    Err(ambiguous(source, &embed.target, &candidates))
}

fn is_computed(relationship: &Relationship) -> bool {
    matches!(relationship.kind, RelationshipKind::Computed { .. })
}

fn fits(relationship: &Relationship, embed: &Embed) -> bool {
    let target = embed.target.as_str();
    let cardinality = match &relationship.kind {
        RelationshipKind::Computed { function, .. } => return *function.name == *target,
        RelationshipKind::ForeignKey(cardinality) => cardinality,
    };
    let names_relation = *relationship.target.name == *target;
    let names_column = only_key_column(cardinality).is_some_and(|column| column == target);
    if relationship.is_self {
        return fits_self(cardinality, embed, names_relation, names_column);
    }
    // A key leads to its table, from either side; to the views of that table only their
    // names do.
    let names_key =
        !relationship.target_is_view && (constraint(cardinality) == Some(target) || names_column);
    (names_relation || names_key)
        && embed.hint.as_ref().is_none_or(|hint| hint_fits(cardinality, hint))
}

/// Of a self-reference both directions have the same target: its name means the direction
/// to many rows, the key the one to a single row.
fn fits_self(
    cardinality: &Cardinality,
    embed: &Embed,
    names_relation: bool,
    names_column: bool,
) -> bool {
    match (cardinality, &embed.hint) {
        (Cardinality::ManyToMany(_), _) => false,
        (Cardinality::OneToMany { .. }, None) => names_relation,
        (_, None) => {
            holds_key(cardinality)
                && (names_column || constraint(cardinality) == Some(embed.target.as_str()))
        }
        (_, Some(hint)) => {
            names_relation && !holds_key(cardinality) && hint_fits(cardinality, hint)
        }
    }
}

fn hint_fits(cardinality: &Cardinality, hint: &str) -> bool {
    match cardinality {
        Cardinality::ManyToMany(junction) => *junction.relation.name == *hint,
        Cardinality::ManyToOne { constraint, columns }
        | Cardinality::OneToMany { constraint, columns }
        | Cardinality::OneToOne { constraint, columns, .. } => {
            **constraint == *hint
                || matches!(&columns[..], [(a, b)] if **a == *hint || **b == *hint)
        }
    }
}

/// Whether the source's row holds the foreign key.
fn holds_key(cardinality: &Cardinality) -> bool {
    matches!(
        cardinality,
        Cardinality::ManyToOne { .. } | Cardinality::OneToOne { source_holds_key: true, .. }
    )
}

fn constraint(cardinality: &Cardinality) -> Option<&str> {
    match cardinality {
        Cardinality::ManyToOne { constraint, .. }
        | Cardinality::OneToMany { constraint, .. }
        | Cardinality::OneToOne { constraint, .. } => Some(constraint),
        Cardinality::ManyToMany(_) => None,
    }
}

/// The source's column, when the key has but one.
fn only_key_column(cardinality: &Cardinality) -> Option<&str> {
    match cardinality {
        Cardinality::ManyToOne { columns, .. }
        | Cardinality::OneToMany { columns, .. }
        | Cardinality::OneToOne { columns, .. } => match &columns[..] {
            [(column, _)] => Some(column),
            _ => None,
        },
        Cardinality::ManyToMany(_) => None,
    }
}

fn not_found(
    source: &str,
    relation: Option<&Relation>,
    embed: &Embed,
    schema: &SchemaCache,
    schema_name: &str,
) -> Error {
    let target = &embed.target;
    let using = match &embed.hint {
        Some(hint) => format!(" using the hint '{hint}'"),
        None => String::new(),
    };
    let error = Error::new(
        400,
        "PGRST200",
        format!(
            "Could not find a relationship between '{source}' and '{target}' in the schema cache"
        ),
    )
    .details(format!(
        "Searched for a foreign key relationship between '{source}' and '{target}'{using} in the \
         schema '{schema_name}', but no matches were found."
    ));
    match suggestion(source, relation, target, schema, schema_name) {
        Some((near, instead)) => {
            error.hint(format!("Perhaps you meant '{near}' instead of '{instead}'."))
        }
        None => error,
    }
}

/// Either a relation near the source's name (when the source has no relationships at all)
/// or a target of the source near the target's name.
fn suggestion<'a>(
    source: &'a str,
    relation: Option<&'a Relation>,
    target: &'a str,
    schema: &'a SchemaCache,
    schema_name: &str,
) -> Option<(&'a str, &'a str)> {
    let Some(relation) = relation.filter(|r| !r.relationships.is_empty()) else {
        let exposed = schema.schemas.get(schema_name)?;
        return exposed.nearest_related(source, LOOSE).map(|near| (near, source));
    };
    if *relation.name.schema != *schema_name {
        return None;
    }
    let targets = relation.target_index();
    if targets.contains(target) {
        return None;
    }
    targets.nearest(target, LOOSE).map(|near| (near, target))
}

fn ambiguous(source: &str, target: &str, candidates: &[&Relationship]) -> Error {
    let details: Vec<_> = candidates.iter().map(|r| describe(r)).collect();
    let choices: Vec<String> =
        candidates.iter().map(|r| format!("'{}!{}'", target_name(r), distinction(r))).collect();
    Error::new(
        300,
        "PGRST201",
        format!(
            "Could not embed because more than one relationship was found for '{source}' and '{target}'"
        ),
    )
    .details(details)
    .hint(format!(
        "Try changing '{target}' to one of the following: {}. Find the desired relationship in the \
         'details' key.",
        choices.join(", ")
    ))
}

fn target_name(relationship: &Relationship) -> &str {
    &relationship.target.name
}

/// What tells this candidate from the others.
fn distinction(relationship: &Relationship) -> &str {
    match &relationship.kind {
        RelationshipKind::Computed { function, .. } => &function.name,
        RelationshipKind::ForeignKey(Cardinality::ManyToMany(junction)) => &junction.relation.name,
        RelationshipKind::ForeignKey(cardinality) => constraint(cardinality).unwrap_or_default(),
    }
}

fn describe(relationship: &Relationship) -> serde_json::Value {
    let (source, target) = (&relationship.source.name, &relationship.target.name);
    let one_key = |constraint: &str, columns: &[(Box<str>, Box<str>)]| {
        let (from, to): (Vec<&str>, Vec<&str>) = columns.iter().map(|(a, b)| (&**a, &**b)).unzip();
        format!("{constraint} using {source}({}) and {target}({})", from.join(", "), to.join(", "))
    };
    let (cardinality, text) = match &relationship.kind {
        RelationshipKind::Computed { function, .. } => ("computed", function.to_string()),
        RelationshipKind::ForeignKey(Cardinality::ManyToOne { constraint, columns }) => {
            ("many-to-one", one_key(constraint, columns))
        }
        RelationshipKind::ForeignKey(Cardinality::OneToMany { constraint, columns }) => {
            ("one-to-many", one_key(constraint, columns))
        }
        RelationshipKind::ForeignKey(Cardinality::OneToOne { constraint, columns, .. }) => {
            ("one-to-one", one_key(constraint, columns))
        }
        RelationshipKind::ForeignKey(Cardinality::ManyToMany(j)) => {
            let columns = |pairs: &[(Box<str>, Box<str>)]| {
                pairs.iter().map(|(_, c)| &**c).collect::<Vec<_>>().join(", ")
            };
            let text = format!(
                "{} using {}({}) and {}({})",
                j.relation.name,
                j.source_constraint,
                columns(&j.source_columns),
                j.target_constraint,
                columns(&j.target_columns)
            );
            ("many-to-many", text)
        }
    };
    json!({
        "cardinality": cardinality,
        "embedding": format!("{source} with {target}"),
        "relationship": text,
    })
}
