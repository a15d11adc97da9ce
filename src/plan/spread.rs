//! Spreads: an embed whose columns stand among its parent's.
//!
//! An aggregate inside a spread of one row is applied by the parent, over the parent's
//! rows; the spread only hands the value up.

use super::read::{EmbedRole, OutputColumn, ReadNode, SelectedValue};
use crate::error::{Error, Result};
use std::borrow::Cow;

/// The columns that a spread of one row gives to its parent. Aggregates in it are left to
/// the parent: the node itself selects what they are taken of.
pub fn columns_of<'a>(node: &mut ReadNode<'a>) -> Vec<OutputColumn<'a>> {
    let mut columns = Vec::new();
    hand_up_fields(node, &mut columns);
    hand_up_embeds(node, &mut columns);
    columns
}

/// The columns that a spread of several rows gives to its parent, each as an array.
///
/// # Errors
/// PGRST127 when something in it is aggregated.
pub fn array_columns_of<'a>(node: &mut ReadNode<'a>) -> Result<Vec<OutputColumn<'a>>> {
    if node.is_grouped() {
        return Err(Error::new(400, "PGRST127", "Feature not implemented")
            .details("Aggregates are not implemented for one-to-many or many-to-many spreads."));
    }
    Ok(columns_of(node))
}

/// What a grouped node is grouped by includes the embeds that its spreads hand up, which
/// therefore have to be of a type with equality.
pub fn give_equality(node: &mut ReadNode) {
    for embed in &mut node.embeds {
        if matches!(embed.role, EmbedRole::SpreadObject(_)) {
            embed.node.jsonb = true;
            give_equality(&mut embed.node);
        }
    }
}

fn hand_up_fields<'a>(node: &mut ReadNode<'a>, columns: &mut Vec<OutputColumn<'a>>) {
    let known = node.relation;
    for (index, field) in node.fields.iter_mut().enumerate() {
        match (&field.value, field.aggregate.take()) {
            (SelectedValue::All, _) => columns.extend(all_columns(known)),
            (SelectedValue::Field(_) | SelectedValue::Rows, aggregate) => {
                let name = field.name.clone();
                if aggregate.is_some() {
                    field.name = handed_up(index);
                }
                columns.push(OutputColumn {
                    source: Some(field.name.clone()),
                    name,
                    aggregate,
                    aggregate_cast: field.aggregate_cast.take(),
                });
            }
        }
    }
}

fn hand_up_embeds<'a>(node: &mut ReadNode<'a>, columns: &mut Vec<OutputColumn<'a>>) {
    let fields = node.fields.len();
    for (index, embed) in node.embeds.iter_mut().enumerate() {
        match &mut embed.role {
            EmbedRole::Hidden => {}
            EmbedRole::Object | EmbedRole::Array => columns.push(plain(Cow::Borrowed(embed.name))),
            EmbedRole::SpreadArray(given) => {
                columns.extend(given.iter().map(|column| plain(column.name.clone())));
            }
            EmbedRole::SpreadObject(given) => {
                for (inner, column) in given.iter_mut().enumerate() {
                    let mut up = column.clone();
                    up.source = column.source.as_ref().map(|_| column.name.clone());
                    if column.aggregate.take().is_some() {
                        column.aggregate_cast = None;
                        column.name = handed_up(fields + index * 1000 + inner);
                        up.source = Some(column.name.clone());
                    }
                    columns.push(up);
                }
            }
        }
    }
}

fn all_columns<'a>(known: Option<&'a crate::schema::Relation>) -> Vec<OutputColumn<'a>> {
    match known {
        Some(relation) => relation.columns.iter().map(|c| plain(Cow::Borrowed(&*c.name))).collect(),
        None => vec![OutputColumn {
            source: None,
            name: Cow::Borrowed("*"),
            aggregate: None,
            aggregate_cast: None,
        }],
    }
}

fn plain(name: Cow<str>) -> OutputColumn {
    OutputColumn { source: Some(name.clone()), name, aggregate: None, aggregate_cast: None }
}

/// The name of a value that is only selected for an aggregate further up.
fn handed_up<'a>(number: usize) -> Cow<'a, str> {
    Cow::Owned(format!("pgrst_value_{number}"))
}
