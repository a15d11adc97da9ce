//! `SELECT` from a reading plan: fields, laterals for embeds, and the clauses behind them.

use super::condition::{push_field, push_where};
use super::sql::Sql;
use super::types;
use crate::plan::{
    EmbedNode, EmbedRole, OutputColumn, ReadNode, ResolvedOrder, SelectedField, SelectedValue,
};
use crate::request::ast::{Aggregate, Direction, NullsOrder};
use crate::schema::{Cardinality, RelationshipKind};

/// How the rows of a root node are found.
pub type PushSource<'s, 'a> = &'s dyn Fn(&mut Sql<'a>);

/// Appends the `SELECT` of a root node. `source` appends what follows `FROM`.
pub fn push_root<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>, source: PushSource<'_, 'a>) {
    sql.push("SELECT ");
    push_fields(sql, node);
    push_rows_of(sql, node, source);
}

/// Appends what follows the fields of a root node.
pub(super) fn push_rows_of<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>, source: PushSource<'_, 'a>) {
    sql.push(" FROM ");
    source(sql);
    push_laterals(sql, node);
    let mut first = true;
    push_restrictions(sql, node, &mut first);
    push_tail(sql, node);
}

/// Appends a query that gives a row for each that the root has without its limits.
pub fn push_count<'a>(
    sql: &mut Sql<'a>,
    node: &ReadNode<'a>,
    source: PushSource<'_, 'a>,
    at_most: Option<u64>,
) {
    sql.push("SELECT 1 FROM ");
    source(sql);
    let mut first = true;
    push_where(sql, &node.conditions, &node.alias, Some(node), &mut first);
    push_needed(sql, node, &mut first, true);
    if let Some(limit) = at_most {
        sql.push(" LIMIT ").value(limit.to_string());
    }
}

/// Appends a condition that there are rows of an embed.
pub fn push_exists<'a>(sql: &mut Sql<'a>, embed: &EmbedNode<'a>, parent: &str) {
    if embed.fence.exists {
        sql.push("(SELECT ");
        push_bare_exists(sql, embed, parent);
        sql.push(")");
    } else {
        push_bare_exists(sql, embed, parent);
    }
}

fn push_bare_exists<'a>(sql: &mut Sql<'a>, embed: &EmbedNode<'a>, parent: &str) {
    let node = &embed.node;
    sql.push("EXISTS (SELECT 1");
    push_from_relationship(sql, embed, parent);
    let mut first = true;
    push_join(sql, embed, parent, &mut first);
    push_where(sql, &node.conditions, &node.alias, Some(node), &mut first);
    push_needed(sql, node, &mut first, true);
    push_limits(sql, node);
    sql.push(")");
}

fn push_embedded<'a>(sql: &mut Sql<'a>, embed: &EmbedNode<'a>, parent: &str) {
    let node = &embed.node;
    sql.push("SELECT ");
    push_fields(sql, node);
    push_from_relationship(sql, embed, parent);
    push_laterals(sql, node);
    let mut first = true;
    push_join(sql, embed, parent, &mut first);
    push_restrictions(sql, node, &mut first);
    push_tail(sql, node);
    push_fence(sql, node, embed.fence.lateral);
}

/// Keeps a subquery from dissolving into the query around it, where no limit does.
fn push_fence(sql: &mut Sql, node: &ReadNode, fenced: bool) {
    if fenced && node.limit.is_none() && node.offset == 0 {
        sql.push(" OFFSET 0");
    }
}

fn push_restrictions<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>, first: &mut bool) {
    push_where(sql, &node.conditions, &node.alias, Some(node), first);
    push_needed(sql, node, first, false);
}

fn push_tail<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>) {
    push_group_by(sql, node);
    push_order_by(sql, node);
    push_limits(sql, node);
}

/// Conditions for embeds without which there is no row; with `all` also for those whose
/// lateral join would see to it.
fn push_needed<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>, first: &mut bool, all: bool) {
    let needed = node.embeds.iter().filter(|e| e.inner && (all || !has_lateral(node, e)));
    let mut and = |sql: &mut Sql<'a>| {
        sql.push(if std::mem::take(first) { " WHERE " } else { " AND " });
    };
    for embed in needed.clone().filter(|e| !e.fence.exists) {
        and(sql);
        push_exists(sql, embed, &node.alias);
    }
    // All behind a fence together: PostgreSQL takes each condition that it cannot look into for
    // one that halves the rows.
    let mut fenced = needed.filter(|e| e.fence.exists).peekable();
    if fenced.peek().is_some() {
        and(sql);
        let mut first = true;
        sql.push("(SELECT ");
        for embed in fenced {
            sql.separate(&mut first, " AND ");
            push_bare_exists(sql, embed, &node.alias);
        }
        sql.push(")");
    }
}

// Fields ------------------------------------------------------------------------------

fn push_fields<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>) {
    let mut first = true;
    for field in &node.fields {
        sql.separate(&mut first, ", ");
        push_selected(sql, field, &node.alias);
    }
    let grouped = node.jsonb || node.is_grouped();
    for embed in &node.embeds {
        push_embed_fields(sql, embed, grouped, &mut first);
    }
}

fn push_selected<'a>(sql: &mut Sql<'a>, field: &SelectedField<'a>, alias: &str) {
    let SelectedValue::All = field.value else {
        push_value(sql, field, alias);
        if !is_plain_column(field) {
            sql.push(" AS ").identifier(&field.name);
        }
        return;
    };
    sql.identifier(alias).push(".*");
}

/// Appends the value of a field that is not all columns.
pub(super) fn push_value<'a>(sql: &mut Sql<'a>, field: &SelectedField<'a>, alias: &str) {
    push_aggregate(sql, field.aggregate, field.aggregate_cast, |sql| match &field.value {
        SelectedValue::Field(_) => {
            push_cast(sql, field.cast, |sql| push_presented(sql, field, alias))
        }
        // What a count further up counts: a row that is there.
        SelectedValue::Rows if field.aggregate.is_none() => {
            sql.push("1");
        }
        SelectedValue::All | SelectedValue::Rows => {
            sql.push("*");
        }
    });
}

/// Whether PostgreSQL names the output as we would.
fn is_plain_column(field: &SelectedField) -> bool {
    field.to_json.is_none()
        && field.cast.is_none()
        && field.aggregate.is_none()
        && matches!(&field.value, SelectedValue::Field(f) if f.path.is_empty() && f.column == field.name)
}

fn push_presented<'a>(sql: &mut Sql<'a>, field: &SelectedField<'a>, alias: &str) {
    let SelectedValue::Field(column) = &field.value else { return };
    match field.to_json {
        None => push_field(sql, column, alias),
        Some(function) => {
            sql.qualified(function).push("(");
            push_field(sql, column, alias);
            sql.push(")");
        }
    }
}

fn push_cast<'a>(sql: &mut Sql<'a>, cast: Option<&str>, inner: impl FnOnce(&mut Sql<'a>)) {
    let Some(cast) = cast else { return inner(sql) };
    sql.push("CAST(");
    inner(sql);
    sql.push(" AS ");
    types::push_type_name(sql, cast);
    sql.push(")");
}

fn push_aggregate<'a>(
    sql: &mut Sql<'a>,
    aggregate: Option<Aggregate>,
    cast: Option<&str>,
    inner: impl FnOnce(&mut Sql<'a>),
) {
    let Some(aggregate) = aggregate else { return inner(sql) };
    push_cast(sql, cast, |sql| {
        sql.push(aggregate.function_name()).push("(");
        inner(sql);
        sql.push(")");
    });
}

fn push_embed_fields<'a>(
    sql: &mut Sql<'a>,
    embed: &EmbedNode<'a>,
    grouped: bool,
    first: &mut bool,
) {
    match &embed.role {
        EmbedRole::Hidden => {}
        EmbedRole::Object | EmbedRole::Array => {
            sql.separate(first, ", ");
            push_embedded_value(sql, embed, grouped);
            sql.push(" AS ").identifier(embed.name);
        }
        EmbedRole::SpreadObject(columns) => {
            for column in columns {
                sql.separate(first, ", ");
                push_aggregate(sql, column.aggregate, column.aggregate_cast, |sql| {
                    push_spread_value(sql, embed, column);
                });
                if column.name != "*" {
                    sql.push(" AS ").identifier(&column.name);
                }
            }
        }
        EmbedRole::SpreadArray(columns) => {
            for column in columns {
                sql.separate(first, ", ");
                push_array_column(sql, embed, column, grouped);
                sql.push(" AS ").identifier(&column.name);
            }
        }
    }
}

fn push_spread_value(sql: &mut Sql, embed: &EmbedNode, column: &OutputColumn) {
    match &column.source {
        Some(source) => sql.column(&embed.lateral, source),
        None => sql.identifier(&embed.lateral).push(".*"),
    };
}

/// The value of an embed. Rows that are grouped need equality, which json lacks.
pub(super) fn push_embedded_value(sql: &mut Sql, embed: &EmbedNode, grouped: bool) {
    let lateral = &embed.lateral;
    match (&embed.role, grouped) {
        (EmbedRole::Array, _) => {
            sql.push("COALESCE(").column(lateral, lateral);
            sql.push(if grouped { "::jsonb, '[]')" } else { ", '[]')" })
        }
        (_, true) => sql.push("to_jsonb(").identifier(lateral).push(".*)"),
        (_, false) => sql.push("row_to_json(").identifier(lateral).push(".*)"),
    };
}

fn push_array_column(sql: &mut Sql, embed: &EmbedNode, column: &OutputColumn, grouped: bool) {
    sql.push("COALESCE(").column(&embed.lateral, &column.name);
    sql.push(if grouped { "::jsonb, '[]')" } else { ", '[]')" });
}

// Laterals ------------------------------------------------------------------------------

/// A hidden embed needs a subquery of its own only to be ordered by.
fn has_lateral(node: &ReadNode, embed: &EmbedNode) -> bool {
    let is_this = |index: usize| std::ptr::eq(&node.embeds[index], embed);
    embed.role != EmbedRole::Hidden || node.order.iter().any(|o| o.embed.is_some_and(is_this))
}

fn push_laterals<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>) {
    for embed in node.embeds.iter().filter(|e| has_lateral(node, e)) {
        let lateral = &embed.lateral;
        sql.push(if embed.inner { " INNER JOIN LATERAL (" } else { " LEFT JOIN LATERAL (" });
        match &embed.role {
            EmbedRole::Hidden | EmbedRole::Object | EmbedRole::SpreadObject(_) => {
                push_embedded(sql, embed, &node.alias);
                sql.push(") AS ").identifier(lateral).push(" ON TRUE");
                continue;
            }
            EmbedRole::Array => {
                sql.push("SELECT json_agg(").identifier(lateral).push(") AS ").identifier(lateral);
            }
            EmbedRole::SpreadArray(columns) => {
                sql.push("SELECT count(*) AS pgrst_rows");
                for column in columns {
                    sql.push(", json_agg(");
                    push_spread_value(sql, embed, column);
                    sql.push(") AS ").identifier(&column.name);
                }
            }
        }
        sql.push(" FROM (");
        push_embedded(sql, embed, &node.alias);
        sql.push(") AS ").identifier(lateral).push(") AS ").identifier(lateral).push(" ON ");
        match (&embed.role, embed.inner) {
            (_, false) => sql.push("TRUE"),
            (EmbedRole::SpreadArray(_), true) => sql.column(lateral, "pgrst_rows").push(" > 0"),
            (_, true) => sql.column(lateral, lateral).push(" IS NOT NULL"),
        };
    }
}

/// The alias of a junction.
fn junction_alias(embed: &EmbedNode) -> String {
    format!("{}_via", embed.node.alias)
}

fn push_from_relationship<'a>(sql: &mut Sql<'a>, embed: &EmbedNode<'a>, parent: &str) {
    sql.push(" FROM ");
    match &embed.relationship.kind {
        RelationshipKind::Computed { function, .. } => {
            sql.qualified(function).push("(").identifier(parent);
            // The rows of a function or a change are of no named type.
            sql.push("::").qualified(&embed.relationship.source).push(")");
        }
        RelationshipKind::ForeignKey(cardinality) => {
            sql.qualified(&embed.relationship.target);
            if let Cardinality::ManyToMany(junction) = cardinality {
                sql.push(" AS ").identifier(&embed.node.alias).push(", ");
                sql.qualified(&junction.relation).push(" AS ").identifier(&junction_alias(embed));
                return;
            }
        }
    }
    sql.push(" AS ").identifier(&embed.node.alias);
}

fn push_join(sql: &mut Sql, embed: &EmbedNode, parent: &str, first: &mut bool) {
    let RelationshipKind::ForeignKey(cardinality) = &embed.relationship.kind else { return };
    let alias = &*embed.node.alias;
    let mut equal = |sql: &mut Sql, left: (&str, &str), right: (&str, &str)| {
        sql.push(if std::mem::take(first) { " WHERE " } else { " AND " });
        sql.column(left.0, left.1).push(" = ").column(right.0, right.1);
    };
    match cardinality {
        Cardinality::ManyToOne { columns, .. }
        | Cardinality::OneToMany { columns, .. }
        | Cardinality::OneToOne { columns, .. } => {
            for (source, target) in columns {
                equal(sql, (alias, target), (parent, source));
            }
        }
        Cardinality::ManyToMany(junction) => {
            let via = junction_alias(embed);
            for (source, of_junction) in &junction.source_columns {
                equal(sql, (&via, of_junction), (parent, source));
            }
            for (target, of_junction) in &junction.target_columns {
                equal(sql, (&via, of_junction), (alias, target));
            }
        }
    }
}

// Clauses -------------------------------------------------------------------------------

fn push_group_by<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>) {
    if !node.is_grouped() {
        return;
    }
    let mut first = true;
    let mut separate = |sql: &mut Sql<'a>| {
        sql.push(if std::mem::take(&mut first) { " GROUP BY " } else { ", " });
    };
    for field in node.fields.iter().filter(|f| f.aggregate.is_none()) {
        match &field.value {
            SelectedValue::Rows => {}
            SelectedValue::Field(column) => {
                separate(sql);
                push_field(sql, column, &node.alias);
            }
            SelectedValue::All => {
                for column in node.relation.map_or(&[][..], |r| &r.columns) {
                    separate(sql);
                    sql.column(&node.alias, &column.name);
                }
            }
        }
    }
    for embed in &node.embeds {
        match &embed.role {
            EmbedRole::Hidden => {}
            EmbedRole::Object | EmbedRole::Array => {
                separate(sql);
                push_embedded_value(sql, embed, true);
            }
            EmbedRole::SpreadObject(columns) => {
                for column in columns.iter().filter(|c| c.aggregate.is_none()) {
                    separate(sql);
                    push_spread_value(sql, embed, column);
                }
            }
            EmbedRole::SpreadArray(columns) => {
                for column in columns {
                    separate(sql);
                    push_array_column(sql, embed, column, true);
                }
            }
        }
    }
}

fn push_order_by<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>) {
    let mut first = true;
    for ResolvedOrder { embed, field, direction, nulls } in &node.order {
        sql.push(if std::mem::take(&mut first) { " ORDER BY " } else { ", " });
        let alias = embed.map_or(&*node.alias, |index| node.embeds[index].lateral.as_str());
        push_field(sql, field, alias);
        sql.push(match direction {
            None => "",
            Some(Direction::Asc) => " ASC",
            Some(Direction::Desc) => " DESC",
        });
        sql.push(match nulls {
            None => "",
            Some(NullsOrder::First) => " NULLS FIRST",
            Some(NullsOrder::Last) => " NULLS LAST",
        });
    }
}

fn push_limits<'a>(sql: &mut Sql<'a>, node: &ReadNode<'a>) {
    if let Some(limit) = node.limit {
        sql.push(" LIMIT ").value(limit.to_string());
    }
    if node.offset > 0 {
        sql.push(" OFFSET ").value(node.offset.to_string());
    }
}
