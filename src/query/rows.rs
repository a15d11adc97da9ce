//! Rows as rows: a `SELECT` whose columns become JSON here and not in PostgreSQL.

use super::select::{self, PushSource};
use super::sql::Sql;
use crate::json::{Form, Layout};
use crate::plan::{
    BodyFormat, EmbedRole, ReadNode, ResolvedCondition, SelectedField, SelectedValue,
};
use crate::schema::{Column, Extent, MAX_ROWS, Relation};
use std::borrow::Cow;

/// PostgreSQL cuts longer names off, so that what comes back is another one.
const MAX_NAME_BYTES: usize = 63;

/// Whether the rows of a node can become a body of this format here, from what is known of
/// them. Aggregates and spreads would have to be asked for their types first.
pub fn is_possible(node: &ReadNode, format: BodyFormat) -> bool {
    use BodyFormat::{Json, JsonStripped, Object, ObjectStripped};
    matches!(format, Json | JsonStripped | Object | ObjectStripped)
        && !node.is_grouped()
        && node.embeds.iter().all(|embed| {
            matches!(embed.role, EmbedRole::Hidden | EmbedRole::Object | EmbedRole::Array)
        })
        && (node.relation.is_some()
            || !node.fields.iter().any(|field| matches!(field.value, SelectedValue::All)))
}

/// Whether the rows of a node are few enough to be held one by one. Where they only may be few,
/// the statement stops behind [`MAX_ROWS`], and has to be run again otherwise.
pub fn are_few(node: &ReadNode, may_run_again: bool) -> bool {
    let unknown = Extent::default();
    let extent = node.relation.map_or(&unknown, |relation| &relation.extent);
    match node.limit {
        Some(limit) => extent.are_few(limit),
        None if is_by_key(node) => extent.are_few(1),
        // Nothing is known of how much a function gives.
        None if node.from.is_none() => false,
        None => may_run_again && extent.may_be_few(!node.conditions.is_empty()),
    }
}

/// Whether the conditions name the whole key of a row.
fn is_by_key(node: &ReadNode) -> bool {
    node.relation.is_some_and(|relation| name_key(&node.conditions, relation))
}

/// Whether conditions name the whole key of a row of a relation.
pub fn name_key(conditions: &[ResolvedCondition], relation: &Relation) -> bool {
    let key = &relation.primary_key;
    let is_named = |column: &str| {
        conditions.iter().any(|condition| match condition {
            ResolvedCondition::Filter(filter) => {
                filter.field.column == column && filter.is_equality()
            }
            _ => false,
        })
    };
    !key.is_empty() && key.iter().all(|column| is_named(column))
}

/// Appends the `SELECT` of a root node, and gives what its rows look like. With `whole`, all
/// columns of a relation may be taken as they are, whose names must then be looked at.
pub fn push_rows<'a>(
    sql: &mut Sql<'a>,
    node: &ReadNode<'a>,
    format: BodyFormat,
    whole: bool,
    source: PushSource<'_, 'a>,
) -> Layout<'a> {
    sql.push("SELECT ");
    let layout = push_list(sql, node, format, whole);
    select::push_rows_of(sql, node, source);
    if node.limit.is_none() {
        // One more shows that there are too many.
        sql.push(" LIMIT ").push(&(MAX_ROWS + 1).to_string());
    }
    layout
}

/// Appends the columns of a root node alone.
pub fn push_list<'a>(
    sql: &mut Sql<'a>,
    node: &ReadNode<'a>,
    format: BodyFormat,
    whole: bool,
) -> Layout<'a> {
    let is_stripped = matches!(format, BodyFormat::JsonStripped | BodyFormat::ObjectStripped);
    let mut list = List { sql, node, is_stripped, forms: Vec::new(), names: Vec::new() };
    let names = if whole && list.is_nameable() { list.push_star() } else { list.push_all() };
    let forms = list.forms;
    Layout { forms, names, is_object: format.is_singular(), is_stripped, max_rows: MAX_ROWS }
}

/// A select list under construction.
struct List<'l, 'a> {
    sql: &'l mut Sql<'a>,
    node: &'l ReadNode<'a>,
    is_stripped: bool,
    forms: Vec<Form>,
    names: Vec<&'a str>,
}

impl<'a> List<'_, 'a> {
    /// Whether all columns of the relation can be asked for without naming them: each value is
    /// written as JSON whatever its type has become, and all names are known.
    fn is_nameable(&self) -> bool {
        let columns = self.node.relation.map_or(&[][..], |relation| &relation.columns);
        let short = |name: &str| name.len() <= MAX_NAME_BYTES;
        self.node.fields.iter().any(|field| matches!(field.value, SelectedValue::All))
            && columns.iter().all(|column| column.form.holds_for_any_text())
            && self.node.embeds.iter().all(|embed| short(embed.name))
            && self.node.fields.iter().all(|field| match field.name {
                Cow::Borrowed(name) => short(name),
                Cow::Owned(_) => false,
            })
    }

    fn push_star(&mut self) -> Option<Vec<&'a str>> {
        self.push(true);
        Some(std::mem::take(&mut self.names))
    }

    fn push_all(&mut self) -> Option<Vec<&'a str>> {
        self.push(false);
        None
    }

    fn push(&mut self, star: bool) {
        for field in &self.node.fields {
            match (&field.value, self.node.relation) {
                (SelectedValue::All, Some(relation)) if star => {
                    self.separate();
                    self.sql.identifier(&self.node.alias).push(".*");
                    self.forms.extend(relation.columns.iter().map(|column| column.form));
                    self.names.extend(relation.columns.iter().map(|column| &*column.name));
                }
                (SelectedValue::All, relation) => {
                    for column in relation.map_or(&[][..], |relation| &relation.columns) {
                        self.separate();
                        self.push_column(column, &column.name);
                    }
                }
                (SelectedValue::Field(_) | SelectedValue::Rows, _) => {
                    self.separate();
                    self.push_field(field);
                    if let Cow::Borrowed(name) = field.name {
                        self.names.push(name);
                    }
                }
            }
        }
        for embed in &self.node.embeds {
            if embed.role == EmbedRole::Hidden {
                continue;
            }
            self.separate();
            self.push_json(embed.name, |sql| select::push_embedded_value(sql, embed, false));
            self.names.push(embed.name);
        }
    }

    fn separate(&mut self) {
        if !self.forms.is_empty() {
            self.sql.push(", ");
        }
    }

    fn push_field(&mut self, field: &SelectedField<'a>) {
        let alias = &self.node.alias;
        match &field.value {
            SelectedValue::Field(of)
                if of.path.is_empty() && field.cast.is_none() && field.to_json.is_none() =>
            {
                if let Some(column) = of.info {
                    return self.push_column(column, &field.name);
                }
            }
            _ => {}
        }
        if field.to_json.is_some() && field.cast.is_none() {
            return self.push_json(&field.name, |sql| select::push_value(sql, field, alias));
        }
        self.push_json(&field.name, |sql| {
            sql.push("to_json(");
            select::push_value(sql, field, alias);
            sql.push(")");
        });
    }

    /// A column as it is, or as what PostgreSQL makes of it.
    fn push_column(&mut self, column: &Column, name: &str) {
        let alias = &self.node.alias;
        // The cast changes nothing, unless the type is another since the schema was loaded.
        let cast = match column.form {
            Form::Boolean | Form::Number | Form::Text => "",
            Form::Json if !self.is_stripped => "::json",
            Form::Jsonb if !self.is_stripped => "::jsonb",
            Form::Json | Form::Jsonb | Form::Other => {
                return self.push_json(name, |sql| {
                    sql.push("to_json(").column(alias, &column.name).push(")");
                });
            }
        };
        self.sql.column(alias, &column.name).push(cast);
        if *column.name != *name {
            self.sql.push(" AS ").identifier(name);
        }
        self.forms.push(column.form);
    }

    /// A value that is JSON already.
    fn push_json(&mut self, name: &str, value: impl FnOnce(&mut Sql<'a>)) {
        if self.is_stripped {
            self.sql.push("json_strip_nulls(");
        }
        value(self.sql);
        if self.is_stripped {
            self.sql.push(")");
        }
        self.sql.push(" AS ").identifier(name);
        self.forms.push(Form::Json);
    }
}
