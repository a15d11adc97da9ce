//! `INSERT`, `UPDATE` and `DELETE` from a mutation's plan.

use super::condition::push_where;
use super::payload::{ITEM, JsonBody};
use super::sql::Sql;
use super::values;
use crate::plan::{
    BODY_ALIAS as BODY, EmbedNode, InsertPlan, MutatePlan, Mutation, ReadNode, ResolvedCondition,
    SelectedValue, TypedColumn,
};
use crate::request::{Payload, PayloadShape};
use crate::schema::{Cardinality, QualifiedName, RelationshipKind};

/// Setting that counts the rows that were there already.
pub const UPDATED_SETTING: &str = "pgrst.updated";

/// Appends the change, with what it returns.
pub fn push_mutation<'a>(
    sql: &mut Sql<'a>,
    plan: &MutatePlan<'a>,
    payload: &'a Option<Payload>,
    with_key: bool,
) {
    match &plan.mutation {
        Mutation::Insert(insert) => push_insert(sql, plan, insert, payload),
        Mutation::Update { columns, .. } if columns.is_empty() => {
            return push_no_rows(sql, plan, with_key);
        }
        Mutation::Update { columns, defaults, conditions } => {
            push_update(sql, plan, columns, *defaults, conditions, payload);
        }
        Mutation::Delete { conditions } => {
            sql.push("DELETE FROM ").qualified(&plan.relation.name);
            push_conditions(sql, conditions, &plan.relation.name.name);
        }
    }
    sql.push(" RETURNING ");
    push_returned(sql, plan, with_key);
}

fn push_conditions<'a>(sql: &mut Sql<'a>, conditions: &[ResolvedCondition<'a>], alias: &str) {
    let mut first = true;
    push_where(sql, conditions, alias, None, &mut first);
}

/// Appends a change whose values are parameters, up to what it returns; `None` where it has to
/// be made of the body in SQL.
pub fn push_plain<'a>(
    sql: &mut Sql<'a>,
    plan: &MutatePlan<'a>,
    payload: &'a Option<Payload>,
) -> Option<()> {
    let relation = &plan.relation.name;
    match &plan.mutation {
        Mutation::Insert(insert) => {
            if insert.defaults || insert.conflict.is_some() || !insert.conditions.is_empty() {
                return None;
            }
            let values = values::of_object(&insert.columns, payload)?;
            sql.push("INSERT INTO ").qualified(relation);
            push_column_list(sql, &insert.columns);
            sql.push(" VALUES (");
            values::push_list(sql, values);
            sql.push(")");
        }
        Mutation::Update { columns, defaults: false, conditions } => {
            let values = values::of_object(columns, payload)?;
            sql.push("UPDATE ").qualified(relation).push(" SET ");
            let mut first = true;
            for (column, value) in columns.iter().zip(values) {
                sql.separate(&mut first, ", ").identifier(&column.column.name);
                sql.push(" = ").nullable(value);
            }
            push_conditions(sql, conditions, &relation.name);
        }
        Mutation::Update { .. } => return None,
        Mutation::Delete { conditions } => {
            sql.push("DELETE FROM ").qualified(relation);
            push_conditions(sql, conditions, &relation.name);
        }
    }
    Some(())
}

// Insert --------------------------------------------------------------------------------

fn push_insert<'a>(
    sql: &mut Sql<'a>,
    plan: &MutatePlan<'a>,
    insert: &InsertPlan<'a>,
    payload: &'a Option<Payload>,
) {
    sql.push("INSERT INTO ").qualified(&plan.relation.name);
    if insert.columns.is_empty() && insert.conditions.is_empty() {
        push_rows_of_defaults(sql, payload);
    } else {
        push_column_list(sql, &insert.columns);
        sql.push(" SELECT ");
        push_values(sql, &insert.columns, insert.defaults);
        sql.push(" FROM ");
        push_body_rows(sql, &insert.columns, insert.defaults, payload, false);
        push_conditions(sql, &insert.conditions, BODY);
    }
    push_conflict(sql, insert);
}

/// One row for each (empty) object of the body.
fn push_rows_of_defaults<'a>(sql: &mut Sql<'a>, payload: &'a Option<Payload>) {
    let body = JsonBody::of(payload).unwrap_or(JsonBody::NO_ROWS);
    match body.shape {
        PayloadShape::Object => sql.push(" DEFAULT VALUES"),
        PayloadShape::Objects | PayloadShape::Rows => {
            sql.push(" SELECT FROM json_array_elements(").value(body.text).push("::json)")
        }
    };
}

fn push_column_list(sql: &mut Sql, columns: &[TypedColumn]) {
    sql.push(" (");
    let mut first = true;
    for column in columns {
        sql.separate(&mut first, ", ").identifier(&column.column.name);
    }
    sql.push(")");
}

fn push_values(sql: &mut Sql, columns: &[TypedColumn], defaults: bool) {
    let mut first = true;
    for column in columns {
        sql.separate(&mut first, ", ");
        push_value(sql, column, defaults);
    }
}

/// The value of a column in the body's row, or its default when the key is absent.
fn push_value(sql: &mut Sql, column: &TypedColumn, defaults: bool) {
    let default = column.column.default.as_deref().filter(|_| defaults);
    if default.is_some() {
        sql.push("CASE WHEN ")
            .identifier(ITEM)
            .push(" ? ")
            .literal(&column.column.name)
            .push(" THEN ");
    }
    match column.from_json {
        None => sql.column(BODY, &column.column.name),
        Some(function) => {
            sql.qualified(function).push("(").column(BODY, &column.column.name).push(")")
        }
    };
    if let Some(default) = default {
        // Written by pg_get_expr, from the catalog.
        sql.push(" ELSE ").push(default).push(" END");
    }
}

/// The body's rows as a typed relation.
fn push_body_rows<'a>(
    sql: &mut Sql<'a>,
    columns: &[TypedColumn<'a>],
    defaults: bool,
    payload: &'a Option<Payload>,
    only_first: bool,
) {
    let body = JsonBody::of(payload).unwrap_or(JsonBody::NO_ROWS);
    if defaults {
        body.push_items(sql);
        sql.push(", LATERAL jsonb_to_record(").identifier(ITEM).push(") AS ").identifier(BODY);
        push_definitions(sql, columns);
        return;
    }
    let only_first = only_first && body.shape != PayloadShape::Object;
    if only_first {
        sql.push("(SELECT ").identifier(BODY).push(".* FROM ");
    }
    body.push_records(sql);
    sql.push(" AS ").identifier(BODY);
    push_definitions(sql, columns);
    if only_first {
        sql.push(" LIMIT 1) AS ").identifier(BODY);
    }
}

fn push_definitions(sql: &mut Sql, columns: &[TypedColumn]) {
    sql.push("(");
    let mut first = true;
    for TypedColumn { column, from_json } in columns {
        sql.separate(&mut first, ", ").identifier(&column.name).push(" ");
        // Types are written by format_type, from the catalog.
        sql.push(if from_json.is_some() { "json" } else { &column.nominal_type });
    }
    sql.push(")");
}

fn push_conflict(sql: &mut Sql, insert: &InsertPlan) {
    let Some(conflict) = &insert.conflict else { return };
    sql.push(" ON CONFLICT (");
    let mut first = true;
    for column in &conflict.columns {
        sql.separate(&mut first, ", ").identifier(column);
    }
    sql.push(")");
    if !conflict.merge || insert.columns.is_empty() {
        sql.push(" DO NOTHING");
        return;
    }
    sql.push(" DO UPDATE SET ");
    let mut first = true;
    for TypedColumn { column, .. } in &insert.columns {
        sql.separate(&mut first, ", ").identifier(&column.name);
        sql.push(" = EXCLUDED.").identifier(&column.name);
    }
    // Always true; it counts the rows that were there, for the response's status.
    sql.push(
        " WHERE set_config('pgrst.updated', (COALESCE(NULLIF(current_setting('pgrst.updated', \
         true), ''), '0')::int + 1)::text, true) IS NOT NULL",
    );
}

// Update --------------------------------------------------------------------------------

fn push_update<'a>(
    sql: &mut Sql<'a>,
    plan: &MutatePlan<'a>,
    columns: &[TypedColumn<'a>],
    defaults: bool,
    conditions: &[ResolvedCondition<'a>],
    payload: &'a Option<Payload>,
) {
    let relation = &plan.relation.name;
    sql.push("UPDATE ").qualified(relation).push(" SET ");
    let mut first = true;
    for column in columns {
        sql.separate(&mut first, ", ").identifier(&column.column.name).push(" = ");
        push_value(sql, column, defaults);
    }
    sql.push(" FROM ");
    push_body_rows(sql, columns, defaults, payload, true);
    push_conditions(sql, conditions, &relation.name);
}

/// Nothing to set is nothing to do; the rows that there are not have the same columns.
fn push_no_rows<'a>(sql: &mut Sql<'a>, plan: &MutatePlan<'a>, with_key: bool) {
    sql.push("SELECT ");
    push_returned(sql, plan, with_key);
    sql.push(" FROM ").qualified(&plan.relation.name).push(" WHERE FALSE");
}

// Returning -----------------------------------------------------------------------------

fn push_returned<'a>(sql: &mut Sql<'a>, plan: &MutatePlan<'a>, with_key: bool) {
    let relation = &plan.relation.name;
    let mut columns: Vec<&str> = Vec::new();
    if with_key {
        columns.extend(plan.relation.primary_key.iter().map(|c| &**c));
    }
    let everything = match &plan.returned {
        None => false,
        Some(node) => needed_columns(node, &mut columns),
    };
    if everything {
        sql.identifier(&relation.name).push(".*");
        // Computed fields are no columns of the row.
        columns.retain(|c| plan.relation.column(c).is_none());
        for column in &columns {
            sql.push(", ").column(&relation.name, column).push(" AS ").identifier(column);
        }
        return;
    }
    if columns.is_empty() {
        sql.push("1");
    }
    let mut first = true;
    for column in &columns {
        sql.separate(&mut first, ", ")
            .column(&relation.name, column)
            .push(" AS ")
            .identifier(column);
    }
}

/// Collects the columns that the presentation of the rows takes; true when it takes all.
fn needed_columns<'n>(node: &'n ReadNode, columns: &mut Vec<&'n str>) -> bool {
    let mut everything = false;
    let mut add = |column: &'n str| {
        if !columns.contains(&column) {
            columns.push(column);
        }
    };
    for field in &node.fields {
        match &field.value {
            SelectedValue::Field(f) => add(f.column),
            SelectedValue::All => everything = true,
            SelectedValue::Rows => {}
        }
    }
    node.order.iter().filter(|o| o.embed.is_none()).for_each(|o| add(o.field.column));
    for embed in &node.embeds {
        match join_columns(embed) {
            Some(joined) => joined.into_iter().for_each(&mut add),
            None => everything = true,
        }
    }
    everything
}

/// The columns of the parent that an embed joins on; `None` when it takes the whole row.
fn join_columns<'n>(embed: &'n EmbedNode) -> Option<Vec<&'n str>> {
    let RelationshipKind::ForeignKey(cardinality) = &embed.relationship.kind else { return None };
    let pairs = match cardinality {
        Cardinality::ManyToOne { columns, .. }
        | Cardinality::OneToMany { columns, .. }
        | Cardinality::OneToOne { columns, .. } => columns,
        Cardinality::ManyToMany(junction) => &junction.source_columns,
    };
    Some(pairs.iter().map(|(source, _)| &**source).collect())
}

/// Appends the key of the first changed row as a JSON array of texts.
pub fn push_first_key(sql: &mut Sql, key: &[Box<str>], source: &QualifiedName) {
    sql.push("(SELECT json_build_array(");
    let mut first = true;
    for column in key {
        sql.separate(&mut first, ", ").identifier(column).push("::text");
    }
    sql.push(") FROM ").qualified(source).push(" LIMIT 1)::text");
}
