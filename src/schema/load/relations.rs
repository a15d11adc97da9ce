//! Reads tables and views with their columns.

use super::rows::{Cells, for_each_row};
use crate::json::Form;
use crate::schema::{Column, Extent, QualifiedName, Relation, RelationKind};
use postgres::{Error, Transaction};
use std::collections::HashMap;

/// Bits of `pg_relation_is_updatable`: one shifted by the number of the command.
const UPDATABLE: i32 = 1 << 2;
const INSERTABLE: i32 = 1 << 3;
const DELETABLE: i32 = 1 << 4;

/// The relations of the exposed schemas, by `pg_class.oid`.
#[derive(Debug, Default)]
pub(super) struct Relations {
    by_oid: HashMap<u32, Entry>,
}

#[derive(Debug)]
struct Entry {
    relation: Relation,
    /// The numbers of the columns, beside those of `relation`.
    numbers: Vec<i16>,
}

impl Relations {
    /// The relation of that number, if it is exposed.
    pub(super) fn get(&self, oid: u32) -> Option<&Relation> {
        self.by_oid.get(&oid).map(|entry| &entry.relation)
    }

    pub(super) fn get_mut(&mut self, oid: u32) -> Option<&mut Relation> {
        self.by_oid.get_mut(&oid).map(|entry| &mut entry.relation)
    }

    /// The numbers of all exposed relations.
    pub(super) fn oids(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_oid.keys().copied()
    }

    /// The name of the column of that number in an exposed relation.
    pub(super) fn column_name(&self, oid: u32, number: i16) -> Option<&str> {
        let entry = self.by_oid.get(&oid)?;
        let index = entry.numbers.binary_search(&number).ok()?;
        Some(&entry.relation.columns[index].name)
    }

    /// Adds a relation with the numbers of its columns, in any order.
    #[cfg(test)]
    pub(super) fn insert(&mut self, oid: u32, relation: Relation, numbers: Vec<i16>) {
        let mut entry = Entry { relation, numbers };
        put_in_order(&mut entry);
        self.by_oid.insert(oid, entry);
    }

    /// The relations, when their numbers are no longer of use.
    pub(super) fn into_relations(self) -> impl Iterator<Item = Relation> {
        self.by_oid.into_values().map(|entry| entry.relation)
    }
}

/// Reads the relations of these schemas. Primary keys and relationships are still empty.
pub(super) fn read(
    transaction: &mut Transaction<'_>,
    schemas: &[String],
) -> Result<Relations, Error> {
    let mut relations = Relations::default();
    let sql = include_str!("../../../sql/catalog/relations.sql");
    for_each_row(transaction, sql, Some(schemas), |mut cells| {
        let oid = cells.take()?;
        let entry = Entry { relation: relation(&mut cells)?, numbers: Vec::new() };
        relations.by_oid.insert(oid, entry);
        Ok(())
    })?;
    read_columns(transaction, schemas, &mut relations)?;
    for entry in relations.by_oid.values_mut() {
        put_in_order(entry);
    }
    Ok(relations)
}

fn relation(cells: &mut Cells<'_>) -> Result<Relation, Error> {
    let name = QualifiedName { schema: cells.text()?, name: cells.text()? };
    let kind = match cells.take::<&str>()? {
        "p" => RelationKind::PartitionedTable,
        "v" => RelationKind::View,
        "m" => RelationKind::MaterializedView,
        "f" => RelationKind::ForeignTable,
        _ => RelationKind::Table,
    };
    let description = cells.take()?;
    let commands: i32 = cells.take()?;
    let row_security = cells.take()?;
    let extent = Extent::new(cells.take()?, cells.take()?);
    let plain_writes = cells.take()?;
    Ok(Relation {
        name,
        description,
        kind,
        row_security,
        extent,
        plain_writes,
        insertable: commands & INSERTABLE != 0,
        updatable: commands & UPDATABLE != 0,
        deletable: commands & DELETABLE != 0,
        primary_key: Vec::new(),
        columns: Vec::new(),
        column_index: HashMap::new(),
        target_index: Default::default(),
        relationships: Vec::new(),
    })
}

/// What is the same for all columns of a type and modifier.
struct ColumnType {
    nominal: Box<str>,
    base: Box<str>,
    max_length: Option<i32>,
    not_null: bool,
    default: Option<String>,
    enum_labels: Vec<String>,
    is_json: bool,
    is_tsvector: bool,
    form: Form,
}

/// Types by `pg_type.oid` and modifier.
type ColumnTypes = HashMap<(u32, i32), ColumnType>;

fn read_types(transaction: &mut Transaction<'_>, schemas: &[String]) -> Result<ColumnTypes, Error> {
    let mut types = ColumnTypes::new();
    let sql = include_str!("../../../sql/catalog/types.sql");
    for_each_row(transaction, sql, Some(schemas), |mut cells| {
        let key = (cells.take()?, cells.take()?);
        let column_type = ColumnType {
            nominal: cells.text()?,
            base: cells.text()?,
            max_length: cells.take()?,
            not_null: cells.take()?,
            default: cells.take()?,
            enum_labels: cells.take()?,
            is_json: cells.take()?,
            is_tsvector: cells.take()?,
            form: Form::from_letter(cells.take()?),
        };
        types.insert(key, column_type);
        Ok(())
    })?;
    Ok(types)
}

fn read_columns(
    transaction: &mut Transaction<'_>,
    schemas: &[String],
    relations: &mut Relations,
) -> Result<(), Error> {
    let types = read_types(transaction, schemas)?;
    let sql = include_str!("../../../sql/catalog/columns.sql");
    for_each_row(transaction, sql, Some(schemas), |mut cells| {
        let oid: u32 = cells.take()?;
        let number = cells.take()?;
        let name = cells.text()?;
        let key: (u32, i32) = (cells.take()?, cells.take()?);
        // Both are there, unless a column came between two of the queries, which the
        // transaction's snapshot does not let happen.
        let (Some(entry), Some(column_type)) = (relations.by_oid.get_mut(&oid), types.get(&key))
        else {
            return Ok(());
        };
        entry.numbers.push(number);
        entry.relation.columns.push(column(name, column_type, &mut cells)?);
        Ok(())
    })
}

fn column(name: Box<str>, of: &ColumnType, cells: &mut Cells<'_>) -> Result<Column, Error> {
    let not_null: bool = cells.take()?;
    let generated = cells.take()?;
    let default: Option<String> = cells.take()?;
    Ok(Column {
        name,
        description: cells.take()?,
        nullable: !(not_null || of.not_null),
        nominal_type: of.nominal.clone(),
        base_type: of.base.clone(),
        max_length: of.max_length,
        default: if generated { None } else { default.or_else(|| of.default.clone()) },
        generated,
        enum_labels: of.enum_labels.clone(),
        is_json: of.is_json,
        is_tsvector: of.is_tsvector,
        form: of.form,
    })
}

/// Sorts the columns of a relation by their numbers, and indexes them by name.
fn put_in_order(entry: &mut Entry) {
    let columns = std::mem::take(&mut entry.relation.columns);
    let mut numbered: Vec<(i16, Column)> = entry.numbers.drain(..).zip(columns).collect();
    numbered.sort_unstable_by_key(|(number, _)| *number);
    (entry.numbers, entry.relation.columns) = numbered.into_iter().unzip();
    entry.numbers.shrink_to_fit();
    entry.relation.columns.shrink_to_fit();
    let names = entry.relation.columns.iter().map(|column| column.name.clone());
    entry.relation.column_index = names.enumerate().map(|(i, name)| (name, i)).collect();
}
