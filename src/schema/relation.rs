//! Tables and views, and their columns.

use super::{QualifiedName, Relationship};
use std::collections::HashMap;

/// What kind of relation it is (`pg_class.relkind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// A partitioned table; its partitions are not exposed.
    PartitionedTable,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A foreign table.
    ForeignTable,
}

/// A table or view of an exposed schema.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its name.
    pub name: QualifiedName,
    /// Its comment.
    pub description: Option<String>,
    /// Its kind.
    pub kind: RelationKind,
    /// Whether rows can be inserted, by itself, a rule or an instead-of trigger.
    pub insertable: bool,
    /// Whether rows can be updated.
    pub updatable: bool,
    /// Whether rows can be deleted.
    pub deletable: bool,
    /// The primary key's columns in column order; for a view, those of its base tables'
    /// keys that it shows in full. Empty when there is none.
    pub primary_key: Vec<Box<str>>,
    /// The columns in the table's order.
    pub columns: Vec<Column>,
    /// Column name to index into `columns`.
    pub column_index: HashMap<Box<str>, usize>,
    /// Relationships that start here, to relations of exposed schemas, computed ones
    /// included. Sorted so that messages name candidates in a stable order.
    pub relationships: Vec<Relationship>,
}

impl Relation {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.column_index.get(name).map(|&i| &self.columns[i])
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: Box<str>,
    /// Its comment.
    pub description: Option<String>,
    /// Whether it takes NULL.
    pub nullable: bool,
    /// The declared type as `format_type(oid, null)` writes it with an empty search path,
    /// domains by their own name: `integer`, `app.colour`, `text[]`.
    pub nominal_type: Box<str>,
    /// The same with domains resolved to what they are made of.
    pub base_type: Box<str>,
    /// The length of `character varying(n)` and `character(n)`.
    pub max_length: Option<i32>,
    /// The default expression, also for identity columns (`nextval(...)`); `None` for
    /// generated ones.
    pub default: Option<String>,
    /// Whether it is `GENERATED ALWAYS AS (...) STORED` (or virtual).
    pub generated: bool,
    /// The labels of its enum type, in order; empty for other types.
    pub enum_labels: Vec<String>,
    /// Whether the (base) type is json or jsonb, for `->`.
    pub is_json: bool,
    /// Whether the (base) type is a tsvector, for full-text filters.
    pub is_tsvector: bool,
    /// Whether the (base) type is an array or a composite, for `->` through `to_jsonb`.
    pub is_array_or_composite: bool,
}
