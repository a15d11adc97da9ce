//! How relations refer to each other: by foreign keys, seen from both sides and through
//! views, and by computed relationships.

use super::QualifiedName;
use serde::Serialize;

/// A way from one relation to another. Sorted by target, then by kind and name, which is the
/// order in which error messages list candidates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Relationship {
    /// Where it starts.
    pub source: QualifiedName,
    /// Where it leads.
    pub target: QualifiedName,
    /// Whether source and target are the same relation.
    pub is_self: bool,
    /// By what it is made.
    pub kind: RelationshipKind,
    /// Whether the source is a view or materialized view.
    pub source_is_view: bool,
    /// Whether the target is a view or materialized view.
    pub target_is_view: bool,
}

/// By what a relationship is made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum RelationshipKind {
    /// A foreign key, or two of them with a junction between.
    ForeignKey(Cardinality),
    /// A function that takes a row of the source
    /// (<https://docs.postgrest.org/en/v16/references/api/computed_fields.html>).
    Computed {
        /// The function; its name is the name of the relationship.
        function: QualifiedName,
        /// Whether it gives one row at most (not `SETOF`, or `ROWS 1`).
        to_one: bool,
    },
}

/// Cardinality of a foreign key's relationship, seen from the source. Column pairs are
/// (source column, target column).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Cardinality {
    /// The target holds the key.
    OneToMany { constraint: Box<str>, columns: Vec<(Box<str>, Box<str>)> },
    /// The source holds the key.
    ManyToOne { constraint: Box<str>, columns: Vec<(Box<str>, Box<str>)> },
    /// The key's columns are unique; `source_holds_key` says on which side they are.
    OneToOne { constraint: Box<str>, columns: Vec<(Box<str>, Box<str>)>, source_holds_key: bool },
    /// A junction holds keys to both.
    ManyToMany(Junction),
}

/// A relation whose primary key holds two foreign keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Junction {
    /// The junction.
    pub relation: QualifiedName,
    /// The constraint that refers to the source.
    pub source_constraint: Box<str>,
    /// The constraint that refers to the target.
    pub target_constraint: Box<str>,
    /// Pairs of (source column, junction column).
    pub source_columns: Vec<(Box<str>, Box<str>)>,
    /// Pairs of (target column, junction column).
    pub target_columns: Vec<(Box<str>, Box<str>)>,
}

impl Relationship {
    /// Whether a function makes it.
    pub fn is_computed(&self) -> bool {
        matches!(self.kind, RelationshipKind::Computed { .. })
    }

    /// Whether at most one target row belongs to a source row.
    pub fn is_to_one(&self) -> bool {
        match &self.kind {
            RelationshipKind::ForeignKey(
                Cardinality::ManyToOne { .. } | Cardinality::OneToOne { .. },
            ) => true,
            RelationshipKind::ForeignKey(_) => false,
            RelationshipKind::Computed { to_one, .. } => *to_one,
        }
    }
}
