//! The keys that a column is part of, told in its description.

use crate::schema::{Cardinality, Column, Relation, Relationship, RelationshipKind};

/// The column's comment, and notes on the keys that it is part of.
pub fn describe_column(relation: &Relation, column: &Column) -> Option<String> {
    let comment = column.description.as_deref();
    let is_key = relation.primary_key.contains(&column.name);
    let foreign = foreign_key(relation, column);
    if !is_key && foreign.is_none() {
        return comment.map(str::to_owned);
    }
    let mut text = comment.map(|comment| format!("{comment}\n\n")).unwrap_or_default();
    text.push_str("Note:");
    if is_key {
        text.push_str("\nThis is a Primary Key.<pk/>");
    }
    if let Some((table, column)) = foreign {
        text.push_str(&format!(
            "\nThis is a Foreign Key to `{table}.{column}`.<fk table='{table}' column='{column}'/>"
        ));
    }
    Some(text)
}

/// The relation and column that a column alone refers to; rather a table than a view.
fn foreign_key<'a>(relation: &'a Relation, column: &Column) -> Option<(&'a str, &'a str)> {
    let referred = |relationship: &'a Relationship| {
        let RelationshipKind::ForeignKey(
            Cardinality::ManyToOne { columns, .. }
            | Cardinality::OneToOne { columns, source_holds_key: true, .. },
        ) = &relationship.kind
        else {
            return None;
        };
        match &columns[..] {
            [(from, to)] if *from == column.name => Some((&*relationship.target.name, &**to)),
            _ => None,
        }
    };
    relation
        .relationships
        .iter()
        .filter(|relationship| relationship.target.schema == relation.name.schema)
        .filter_map(|relationship| Some((relationship.target_is_view, referred(relationship)?)))
        .min_by_key(|(is_view, _)| *is_view)
        .map(|(_, referred)| referred)
}
