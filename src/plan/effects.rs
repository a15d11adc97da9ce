//! Whether a reading can run code that somebody wrote in the database: functions of views,
//! policies, computed columns and casts can say what the response is to be (`response.headers`,
//! `response.status`), the rows of a plain table cannot. What is not known to run nothing may
//! run something.

use super::filter::{Comparand, ResolvedCondition, ResolvedField};
use super::mutate::{MutatePlan, Mutation};
use super::read::{EmbedNode, EmbedRole, ReadNode, SelectedField, SelectedValue};
use crate::json::Form;
use crate::schema::{Cardinality, Column, Relation, RelationKind, RelationshipKind};

impl ReadNode<'_> {
    /// Whether reading the node can run functions that are not PostgreSQL's own.
    pub fn may_run_functions(&self) -> bool {
        // Without a name of its own it is the result of a change or a call.
        self.from.is_none()
            || !self.relation.is_some_and(is_plain)
            || !self.fields.iter().all(|field| is_plain_field(field, self.relation))
            || !self.conditions.iter().all(is_plain_condition)
            || !self.order.iter().all(|term| is_plain_column(&term.field))
            || self.embeds.iter().any(embed_may_run_functions)
    }
}

impl MutatePlan<'_> {
    /// Whether the change can run functions that are not PostgreSQL's own.
    pub fn may_run_functions(&self) -> bool {
        let is_plain_type = |column: &Column| is_built_in(column) || !column.enum_labels.is_empty();
        let conditions = match &self.mutation {
            Mutation::Insert(insert) => &insert.conditions,
            Mutation::Update { conditions, .. } | Mutation::Delete { conditions } => conditions,
        };
        let returns_plain = |node: &ReadNode| {
            node.fields.iter().all(|field| is_plain_field(field, node.relation))
                && node.embeds.is_empty()
        };
        !self.relation.plain_writes
            || !self.relation.columns.iter().all(is_plain_type)
            || !conditions.iter().all(is_plain_condition)
            || !self.returned.as_ref().is_none_or(returns_plain)
    }
}

/// Whether reading rows runs nothing: stored rows without policies.
fn is_plain(relation: &Relation) -> bool {
    !relation.row_security
        && matches!(
            relation.kind,
            RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView
        )
}

/// Whether a field is shown without a function of somebody's own.
fn is_plain_field(field: &SelectedField, relation: Option<&Relation>) -> bool {
    let is_shown = |column: &Column| column.form != Form::Other || is_built_in(column);
    if field.to_json.is_some() || field.cast.is_some() || field.aggregate_cast.is_some() {
        return false;
    }
    match &field.value {
        SelectedValue::All => relation.is_some_and(|r| r.columns.iter().all(is_shown)),
        SelectedValue::Field(of) => of.info.is_some_and(is_shown),
        SelectedValue::Rows => true,
    }
}

fn is_plain_condition(condition: &ResolvedCondition) -> bool {
    match condition {
        ResolvedCondition::Filter(filter) => {
            filter.comparand == Comparand::Plain && is_plain_column(&filter.field)
        }
        ResolvedCondition::Logic(logic) => logic.operands.iter().all(is_plain_condition),
        ResolvedCondition::EmbedIsNull { .. } => true,
    }
}

/// Whether a column is compared by operators of PostgreSQL's own.
fn is_plain_column(field: &ResolvedField) -> bool {
    field.info.is_some_and(is_built_in)
}

/// Whether a column's type is one of PostgreSQL's own, which alone are named without a schema.
fn is_built_in(column: &Column) -> bool {
    !column.nominal_type.contains('.')
}

fn embed_may_run_functions(embed: &EmbedNode) -> bool {
    let by_key = match &embed.relationship.kind {
        RelationshipKind::Computed { .. } => false,
        // Nothing is known of the junction's policies.
        RelationshipKind::ForeignKey(Cardinality::ManyToMany(_)) => false,
        RelationshipKind::ForeignKey(_) => true,
    };
    let is_whole = matches!(embed.role, EmbedRole::Hidden | EmbedRole::Object | EmbedRole::Array);
    !by_key || !is_whole || embed.node.may_run_functions()
}
