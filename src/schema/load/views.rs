//! Finds out which columns of tables the exposed views show, also through other views.

use super::LoadOptions;
use super::node_tree::{ShownColumn, shown_columns};
use super::relations::Relations;
use super::rows::for_each_row;
use postgres::{Error, Transaction};
use std::collections::HashMap;

/// Where a view shows a column: the view, and the column's number in it.
pub(super) type Sight = (u32, i16);

/// For the columns of tables, all exposed views that show them.
#[derive(Debug, Default)]
pub(super) struct Views {
    sights: HashMap<(u32, i16), Vec<Sight>>,
}

impl Views {
    /// Collects what the exposed views show. `views` may hold further ones to see through.
    pub(super) fn new(
        views: &HashMap<u32, Vec<ShownColumn>>,
        is_exposed: impl Fn(u32) -> bool,
    ) -> Self {
        let mut sights: HashMap<_, Vec<Sight>> = HashMap::new();
        for (&view, columns) in views.iter().filter(|(view, _)| is_exposed(**view)) {
            for shown in columns {
                let origin = through_views(views, (shown.origin, shown.origin_column));
                sights.entry(origin).or_default().push((view, shown.column));
            }
        }
        for of_column in sights.values_mut() {
            of_column.sort_unstable();
        }
        Self { sights }
    }

    /// Where a column of a table is shown, sorted by view and column.
    pub(super) fn sights(&self, table: u32, column: i16) -> &[Sight] {
        self.sights.get(&(table, column)).map_or(&[], Vec::as_slice)
    }

    /// The exposed views that show all these columns of a table. For each view the columns
    /// that show them, by place; there are several when it shows a column twice.
    pub(super) fn showing_all(&self, table: u32, columns: &[i16]) -> Vec<(u32, Vec<Vec<i16>>)> {
        let Some(&first) = columns.first() else { return Vec::new() };
        let mut views: Vec<u32> = self.sights(table, first).iter().map(|sight| sight.0).collect();
        views.dedup();
        let shown_by = |view| {
            let places = columns.iter().map(|&column| {
                let sights = self.sights(table, column).iter();
                sights.filter(|sight| sight.0 == view).map(|sight| sight.1).collect::<Vec<_>>()
            });
            let places: Vec<_> = places.collect();
            places.iter().all(|place| !place.is_empty()).then_some((view, places))
        };
        views.into_iter().filter_map(shown_by).collect()
    }
}

/// Follows a column of a view to the column of the table that it shows at last.
fn through_views(views: &HashMap<u32, Vec<ShownColumn>>, column: (u32, i16)) -> (u32, i16) {
    let mut at = column;
    // A view can only show views that are older, so this ends; the bound is there should
    // somebody have edited the catalog by hand.
    for _ in 0..=views.len() {
        let below = views.get(&at.0).and_then(|columns| columns.iter().find(|c| c.column == at.1));
        match below {
            Some(shown) => at = (shown.origin, shown.origin_column),
            None => break,
        }
    }
    at
}

/// Reads the views of the exposed schemas and of the extra search path.
pub(super) fn read(
    transaction: &mut Transaction<'_>,
    relations: &Relations,
    options: &LoadOptions<'_>,
) -> Result<Views, Error> {
    let schemas = [options.schemas, options.extra_search_path].concat();
    let mut views = HashMap::new();
    let sql = include_str!("../../../sql/catalog/views.sql");
    for_each_row(transaction, sql, Some(&schemas), |mut cells| {
        let view: u32 = cells.take()?;
        match shown_columns(cells.take()?) {
            Some(columns) => drop(views.insert(view, columns)),
            None => log::warn!(
                "the query of the view with oid {view} was not understood: it has no relationships"
            ),
        }
        Ok(())
    })?;
    Ok(Views::new(&views, |view| relations.get(view).is_some()))
}
