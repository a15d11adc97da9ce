//! Reads primary keys, unique constraints and foreign keys.

use super::rows::for_each_row;
use postgres::{Error, Transaction};
use std::collections::{HashMap, HashSet};

/// The keys of all relations of the database; relations and columns by their numbers.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The primary keys by relation, their columns in the key's order.
    pub(super) primary: HashMap<u32, Vec<i16>>,
    /// Sorted columns of which no two rows of the relation have the same values.
    unique: HashSet<(u32, Vec<i16>)>,
    /// The foreign keys, oldest first.
    pub(super) foreign: Vec<ForeignKey>,
}

/// A foreign key; `columns` and `target_columns` belong together by place.
#[derive(Debug)]
pub(super) struct ForeignKey {
    pub(super) constraint: Box<str>,
    pub(super) relation: u32,
    pub(super) columns: Vec<i16>,
    pub(super) target: u32,
    pub(super) target_columns: Vec<i16>,
}

impl Keys {
    /// Whether at most one row holds a given value of the key.
    pub(super) fn is_one_to_one(&self, key: &ForeignKey) -> bool {
        self.unique.contains(&(key.relation, sorted(&key.columns)))
    }

    pub(super) fn add_primary(&mut self, relation: u32, columns: Vec<i16>) {
        self.add_unique(relation, &columns);
        self.primary.insert(relation, columns);
    }

    pub(super) fn add_unique(&mut self, relation: u32, columns: &[i16]) {
        self.unique.insert((relation, sorted(columns)));
    }
}

fn sorted(columns: &[i16]) -> Vec<i16> {
    let mut columns = columns.to_vec();
    columns.sort_unstable();
    columns
}

pub(super) fn read(transaction: &mut Transaction<'_>) -> Result<Keys, Error> {
    let mut keys = Keys::default();
    let sql = include_str!("../../../sql/catalog/constraints.sql");
    for_each_row(transaction, sql, None, |mut cells| {
        let kind: &str = cells.take()?;
        let constraint = cells.text()?;
        let relation = cells.take()?;
        let columns: Vec<i16> = cells.take()?;
        match kind {
            "p" => keys.add_primary(relation, columns),
            "u" => keys.add_unique(relation, &columns),
            _ => keys.foreign.push(ForeignKey {
                constraint,
                relation,
                columns,
                target: cells.take()?,
                target_columns: cells.take()?,
            }),
        }
        Ok(())
    })?;
    Ok(keys)
}
