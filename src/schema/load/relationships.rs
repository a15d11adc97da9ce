//! Builds relationships from foreign keys, seen from both sides, through views and through
//! junctions, and reads computed ones, which take the place of those found.

use super::keys::{ForeignKey, Keys};
use super::relations::Relations;
use super::rows::for_each_row;
use super::views::Views;
use crate::schema::{
    Cardinality, Junction, QualifiedName, Relation, Relationship, RelationshipKind,
};
use postgres::{Error, Transaction};
use std::collections::HashMap;

/// In how many ways a view may show one key, by showing its columns more than once; further
/// ones are left out.
const MAX_WAYS_TO_SHOW_A_KEY: usize = 64;

/// Fills in the primary keys. A table's columns are in the order of the key's definition, which
/// clients see in `Location`; a view has those of the base tables' keys that it shows in full.
pub(super) fn add_primary_keys(relations: &mut Relations, keys: &Keys, views: &Views) {
    let mut of_views: HashMap<u32, Vec<Vec<i16>>> = HashMap::new();
    for (&table, columns) in &keys.primary {
        if let Some(relation) = relations.get(table) {
            debug_assert!(!relation.kind.is_view(), "views have no constraints");
            let names = column_names(relations, table, columns);
            if let Some(relation) = relations.get_mut(table) {
                relation.primary_key = names;
            }
        }
        for (view, places) in views.showing_all(table, columns) {
            let first_of_each = places.iter().map(|place| place[0]).collect();
            of_views.entry(view).or_default().push(first_of_each);
        }
    }
    for (view, mut shown) in of_views {
        shown.sort_unstable();
        let names = column_names(relations, view, &shown.concat());
        if let Some(relation) = relations.get_mut(view) {
            relation.primary_key = names;
        }
    }
}

fn column_names(relations: &Relations, relation: u32, columns: &[i16]) -> Vec<Box<str>> {
    columns.iter().filter_map(|&n| relations.column_name(relation, n).map(Box::from)).collect()
}

/// One side of a foreign key as an exposed relation shows it: the table itself, or a view.
struct Side<'a> {
    relation: &'a Relation,
    columns: Vec<&'a str>,
}

/// A foreign key between two exposed relations, which may stand for their base tables.
struct Reference<'a> {
    key: &'a ForeignKey,
    is_one_to_one: bool,
    source: &'a Side<'a>,
    target: &'a Side<'a>,
}

/// The relationships that foreign keys make, from both sides.
pub(super) fn from_keys(relations: &Relations, keys: &Keys, views: &Views) -> Vec<Relationship> {
    let sides: Vec<_> = keys.foreign.iter().map(|key| sides(relations, views, key)).collect();
    let mut found = Vec::new();
    let mut by_source: HashMap<&QualifiedName, Vec<Reference<'_>>> = HashMap::new();
    for (key, (sources, targets)) in keys.foreign.iter().zip(&sides) {
        let is_one_to_one = keys.is_one_to_one(key);
        for source in sources {
            for target in targets {
                let reference = Reference { key, is_one_to_one, source, target };
                found.extend([reference.forward(), reference.backward()]);
                by_source.entry(&source.relation.name).or_default().push(reference);
            }
        }
    }
    for references in by_source.values() {
        through_junction(references, &mut found);
    }
    found
}

/// Both sides of a foreign key, each as all exposed relations show it.
fn sides<'a>(
    relations: &'a Relations,
    views: &Views,
    key: &ForeignKey,
) -> (Vec<Side<'a>>, Vec<Side<'a>>) {
    let shown = |table, columns| shown_sides(relations, views, table, columns);
    (shown(key.relation, &key.columns), shown(key.target, &key.target_columns))
}

fn shown_sides<'a>(
    relations: &'a Relations,
    views: &Views,
    table: u32,
    columns: &[i16],
) -> Vec<Side<'a>> {
    let side = |relation: u32, numbers: &[i16]| {
        let names = numbers.iter().map(|&number| relations.column_name(relation, number));
        Some(Side { relation: relations.get(relation)?, columns: names.collect::<Option<_>>()? })
    };
    let mut shown = Vec::from_iter(side(table, columns));
    for (view, places) in views.showing_all(table, columns) {
        shown.extend(combinations(&places).iter().filter_map(|columns| side(view, columns)));
    }
    shown
}

/// All ways to take one of each place, up to a limit.
fn combinations(places: &[Vec<i16>]) -> Vec<Vec<i16>> {
    let mut ways = vec![Vec::new()];
    for place in places {
        let longer = ways.iter().flat_map(|way| {
            place.iter().map(move |&column| way.iter().copied().chain([column]).collect())
        });
        ways = longer.take(MAX_WAYS_TO_SHOW_A_KEY).collect();
    }
    ways
}

impl Reference<'_> {
    /// The relationship of the side that holds the key.
    fn forward(&self) -> Relationship {
        let columns = pairs(&self.source.columns, &self.target.columns);
        let constraint = self.key.constraint.clone();
        let cardinality = if self.is_one_to_one {
            Cardinality::OneToOne { constraint, columns, source_holds_key: true }
        } else {
            Cardinality::ManyToOne { constraint, columns }
        };
        relationship(self.source.relation, self.target.relation, cardinality)
    }

    /// The relationship of the side that the key refers to.
    fn backward(&self) -> Relationship {
        let columns = pairs(&self.target.columns, &self.source.columns);
        let constraint = self.key.constraint.clone();
        let cardinality = if self.is_one_to_one {
            Cardinality::OneToOne { constraint, columns, source_holds_key: false }
        } else {
            Cardinality::OneToMany { constraint, columns }
        };
        relationship(self.target.relation, self.source.relation, cardinality)
    }

    /// Whether the key's columns are part of the primary key of the relation that holds it.
    fn is_part_of_primary_key(&self) -> bool {
        let primary_key = &self.source.relation.primary_key;
        self.source.columns.iter().all(|column| primary_key.iter().any(|name| **name == **column))
    }
}

/// Adds the many-to-many relationships that one relation makes as a junction: between any two
/// targets of different keys of it, when its primary key holds the columns of both.
fn through_junction(references: &[Reference<'_>], found: &mut Vec<Relationship>) {
    let references: Vec<_> =
        references.iter().filter(|r| !r.is_one_to_one && r.is_part_of_primary_key()).collect();
    for to_source in &references {
        for to_target in references.iter().filter(|r| !std::ptr::eq(r.key, to_source.key)) {
            let junction = Junction {
                relation: to_source.source.relation.name.clone(),
                source_constraint: to_source.key.constraint.clone(),
                target_constraint: to_target.key.constraint.clone(),
                source_columns: pairs(&to_source.target.columns, &to_source.source.columns),
                target_columns: pairs(&to_target.target.columns, &to_target.source.columns),
            };
            found.push(relationship(
                to_source.target.relation,
                to_target.target.relation,
                Cardinality::ManyToMany(junction),
            ));
        }
    }
}

fn pairs(left: &[&str], right: &[&str]) -> Vec<(Box<str>, Box<str>)> {
    left.iter().zip(right).map(|(&left, &right)| (left.into(), right.into())).collect()
}

fn relationship(source: &Relation, target: &Relation, cardinality: Cardinality) -> Relationship {
    Relationship {
        source: source.name.clone(),
        target: target.name.clone(),
        is_self: source.name == target.name,
        kind: RelationshipKind::ForeignKey(cardinality),
        source_is_view: source.kind.is_view(),
        target_is_view: target.kind.is_view(),
    }
}

/// Reads the functions that take a row of an exposed relation and give rows of one.
pub(super) fn read_computed(
    transaction: &mut Transaction<'_>,
    relations: &Relations,
    schemas: &[String],
) -> Result<Vec<Relationship>, Error> {
    let mut computed = Vec::new();
    let sql = include_str!("../../../sql/catalog/computed_relationships.sql");
    for_each_row(transaction, sql, Some(schemas), |mut cells| {
        let function = QualifiedName { schema: cells.text()?, name: cells.text()? };
        let (source, target) = (relations.get(cells.take()?), relations.get(cells.take()?));
        if let (Some(source), Some(target)) = (source, target) {
            computed.push(Relationship {
                source: source.name.clone(),
                target: target.name.clone(),
                is_self: source.name == target.name,
                kind: RelationshipKind::Computed { function, to_one: cells.take()? },
                source_is_view: source.kind.is_view(),
                target_is_view: target.kind.is_view(),
            });
        }
        Ok(())
    })?;
    Ok(computed)
}

/// Hands the relationships to the relations where they start. A computed one takes the place
/// of all those found to the relation that is named like its function.
pub(super) fn add(
    relations: &mut Relations,
    found: Vec<Relationship>,
    computed: Vec<Relationship>,
) {
    let oids: Vec<u32> = relations.oids().collect();
    let by_name: HashMap<QualifiedName, u32> = oids
        .iter()
        .filter_map(|&oid| relations.get(oid).map(|relation| (relation.name.clone(), oid)))
        .collect();
    let mut add_one = |relationship: Relationship| {
        let source = by_name.get(&relationship.source).and_then(|&oid| relations.get_mut(oid));
        if let Some(source) = source {
            if let RelationshipKind::Computed { function, .. } = &relationship.kind {
                source
                    .relationships
                    .retain(|other| other.is_computed() || other.target != *function);
            }
            source.relationships.push(relationship);
        }
    };
    found.into_iter().for_each(&mut add_one);
    computed.into_iter().for_each(&mut add_one);
    for oid in oids {
        if let Some(relation) = relations.get_mut(oid) {
            relation.relationships.sort_unstable();
            relation.relationships.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests;
