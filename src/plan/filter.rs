//! Conditions resolved against a relation's columns.

use super::read::EmbedNode;
use crate::request::ast::{
    Condition, Field, Filter, IsValue, JsonStep, Logic, LogicOperator, Operation, Operator,
};
use crate::schema::{Column, MAX_IDENTIFIER_BYTES, QualifiedName, Relation, SchemaCache};

/// Stands for a name that PostgreSQL would cut off, whose beginning might be another column's.
const NAME_TOO_LONG: &str = "(a name of more than 63 bytes)";

/// A field, and what is known of its column.
#[derive(Debug, Clone)]
pub struct ResolvedField<'a> {
    /// The column's name as asked; an unknown one may be a computed field.
    pub column: &'a str,
    /// The way into its JSON.
    pub path: &'a [JsonStep],
    /// The column, when the schema cache knows it.
    pub info: Option<&'a Column>,
}

impl<'a> ResolvedField<'a> {
    /// Looks the field's column up.
    pub fn new(field: &'a Field, relation: Option<&'a Relation>) -> Self {
        let info = relation.and_then(|r| r.column(&field.column));
        let too_long = info.is_none() && field.column.len() > MAX_IDENTIFIER_BYTES;
        Self {
            column: if too_long { NAME_TOO_LONG } else { &field.column },
            path: &field.path,
            info,
        }
    }

    /// Whether the column becomes jsonb before `->` applies to it, as arrays, composites and
    /// other types with a mapping to JSON have to. What is JSON stays as it is, so that
    /// indexes on its parts are used.
    pub fn needs_to_jsonb(&self) -> bool {
        !self.path.is_empty() && !self.info.is_some_and(|c| c.is_json)
    }
}

/// A condition of a node's rows.
#[derive(Debug, Clone)]
pub enum ResolvedCondition<'a> {
    /// A comparison.
    Filter(ResolvedFilter<'a>),
    /// A tree.
    Logic(ResolvedLogic<'a>),
    /// Whether an embed (by its index in the node) has no rows, or with `negated` has some.
    EmbedIsNull { embed: usize, negated: bool },
}

/// A comparison with a resolved field.
#[derive(Debug, Clone)]
pub struct ResolvedFilter<'a> {
    /// The left side.
    pub field: ResolvedField<'a>,
    /// Whether it is negated.
    pub negated: bool,
    /// The comparison and its right side.
    pub operation: &'a Operation,
    /// How values on the right side are read.
    pub comparand: Comparand<'a>,
}

impl ResolvedFilter<'_> {
    /// Whether a column itself must equal one value.
    pub fn is_equality(&self) -> bool {
        !self.negated
            && self.field.path.is_empty()
            && matches!(
                self.operation,
                Operation::Simple { operator: Operator::Equal, quantifier: None, .. }
            )
    }
}

/// How the text of a value becomes what the field is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Comparand<'a> {
    /// PostgreSQL infers its type.
    Plain,
    /// A function from text makes it: a domain representation.
    From(&'a QualifiedName),
}

/// A tree of conditions.
#[derive(Debug, Clone)]
pub struct ResolvedLogic<'a> {
    /// Whether the whole is negated.
    pub negated: bool,
    /// What joins the operands.
    pub operator: LogicOperator,
    /// The operands.
    pub operands: Vec<ResolvedCondition<'a>>,
}

/// Resolves a condition for a node of `relation` with `embeds`.
pub fn resolve<'a>(
    condition: &'a Condition,
    relation: Option<&'a Relation>,
    embeds: &[EmbedNode<'a>],
    schema: &'a SchemaCache,
) -> ResolvedCondition<'a> {
    match condition {
        Condition::Filter(filter) => match null_test_of_embed(filter, embeds) {
            Some(test) => test,
            None => ResolvedCondition::Filter(resolve_filter(filter, relation, schema)),
        },
        Condition::Logic(Logic { negated, operator, operands }) => {
            ResolvedCondition::Logic(ResolvedLogic {
                negated: *negated,
                operator: *operator,
                operands: operands.iter().map(|c| resolve(c, relation, embeds, schema)).collect(),
            })
        }
    }
}

/// Resolves a comparison of a column.
pub fn resolve_filter<'a>(
    filter: &'a Filter,
    relation: Option<&'a Relation>,
    schema: &'a SchemaCache,
) -> ResolvedFilter<'a> {
    let field = ResolvedField::new(&filter.field, relation);
    let comparand = match field.info {
        Some(column) if field.path.is_empty() => schema
            .representations
            .from_text
            .get(&column.nominal_type)
            .map_or(Comparand::Plain, Comparand::From),
        _ => Comparand::Plain,
    };
    ResolvedFilter { field, negated: filter.negated, operation: &filter.operation, comparand }
}

/// `actors=is.null` with `actors` in `select` asks whether there are any.
fn null_test_of_embed<'a>(
    filter: &Filter,
    embeds: &[EmbedNode<'a>],
) -> Option<ResolvedCondition<'a>> {
    let is_null = filter.operation == Operation::Is(IsValue::Null) && filter.field.path.is_empty();
    let embed = embeds.iter().position(|e| is_null && e.name == filter.field.column)?;
    Some(ResolvedCondition::EmbedIsNull { embed, negated: filter.negated })
}
