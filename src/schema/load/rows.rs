//! Runs the catalog queries and reads their rows, one at a time, so that a large schema is
//! never held twice.

use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{FromSql, ToSql, Type};
use postgres::{Error, Row, Transaction};

/// Runs a catalog query whose only parameter is a list of schemas, and hands each row on.
/// The statement is unnamed, so it works behind a pooler in transaction mode.
pub(super) fn for_each_row(
    transaction: &mut Transaction<'_>,
    sql: &str,
    schemas: Option<&[String]>,
    mut handle: impl FnMut(Cells<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let parameters = schemas.iter().map(|s| (s as &(dyn ToSql + Sync), Type::TEXT_ARRAY));
    let mut rows = transaction.query_typed_raw(sql, parameters)?;
    while let Some(row) = rows.next()? {
        handle(Cells { row: &row, next: 0 })?;
    }
    Ok(())
}

/// The cells of a row, read in the order of the query's select list.
pub(super) struct Cells<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Cells<'r> {
    /// The next cell.
    ///
    /// # Errors
    /// When there is none, or it is of another type: the SQL file and its reader differ.
    pub(super) fn take<T: FromSql<'r>>(&mut self) -> Result<T, Error> {
        self.next += 1;
        self.row.try_get(self.next - 1)
    }

    /// The next cell as an owned string.
    pub(super) fn text(&mut self) -> Result<Box<str>, Error> {
        self.take::<&str>().map(Box::from)
    }
}
