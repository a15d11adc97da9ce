//! Which embeds PostgreSQL may join in any order.
//!
//! An embed of one row, and `EXISTS` for any, dissolve into the query around them. That lets
//! PostgreSQL begin with the embed whose filter leaves the fewest rows, but the time to plan
//! grows with a high power of their number: fifty take it 22 s. So in a query with more than a
//! few only those with filters may; each of the others is fenced off, and looked up row by row.

use super::filter::ResolvedCondition;
use super::read::{EmbedNode, EmbedRole, ReadNode};
use crate::request::ast::LogicOperator;
use crate::schema::{Cardinality, RelationshipKind};

/// How much may dissolve into one query, for each of the two ways; see [`Way::weight`].
const MAX_WEIGHT: usize = 8;

/// What of an embed is kept apart from the query around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fence {
    /// Its lateral subquery.
    pub lateral: bool,
    /// Its `EXISTS`.
    pub exists: bool,
}

/// Fences what is too much for PostgreSQL to plan at once.
pub fn put_up(root: &mut ReadNode) {
    mark_tested(root);
    Budget::of(root, Way::Exists).spend(root);
    put_up_laterals(root);
}

/// A query and the embeds of one row in it are planned as one; each embed of several rows
/// begins another.
fn put_up_laterals(root: &mut ReadNode) {
    Budget::of(root, Way::Lateral).spend(root);
    put_up_laterals_below(root);
}

fn put_up_laterals_below(node: &mut ReadNode) {
    for embed in &mut node.embeds {
        if is_one_row(embed) {
            put_up_laterals_below(&mut embed.node);
        } else {
            put_up_laterals(&mut embed.node);
        }
    }
}

fn is_one_row(embed: &EmbedNode) -> bool {
    !matches!(embed.role, EmbedRole::Array | EmbedRole::SpreadArray(_))
}

/// Marks the embeds that rows need because of a condition. `EXISTS` dissolves only where all
/// conditions have to hold; `NOT EXISTS` does too, but is cheap to plan.
fn mark_tested(node: &mut ReadNode) {
    for condition in &node.conditions {
        mark_tested_by(condition, &mut node.embeds);
    }
    node.embeds.iter_mut().for_each(|embed| mark_tested(&mut embed.node));
}

fn mark_tested_by(condition: &ResolvedCondition, embeds: &mut [EmbedNode]) {
    match condition {
        ResolvedCondition::Logic(logic) => {
            if logic.operator == LogicOperator::And && !logic.negated {
                logic.operands.iter().for_each(|operand| mark_tested_by(operand, embeds));
            }
        }
        ResolvedCondition::EmbedIsNull { embed, negated: true } => embeds[*embed].tested = true,
        ResolvedCondition::EmbedIsNull { .. } | ResolvedCondition::Filter(_) => {}
    }
}

/// How an embed can dissolve into the query around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Lateral,
    Exists,
}

impl Way {
    fn is_of(self, embed: &EmbedNode) -> bool {
        match self {
            Way::Lateral => is_one_row(embed),
            Way::Exists => embed.inner || embed.tested,
        }
    }

    /// Whether what is embedded in the embed is planned with it.
    fn goes_on_below(self, embed: &EmbedNode) -> bool {
        self == Way::Exists || is_one_row(embed)
    }

    /// What an embed adds to the time of planning: an outer join has a fixed order, and a
    /// junction is one relation more.
    fn weight(self, embed: &EmbedNode) -> usize {
        let relations = match embed.relationship.kind {
            RelationshipKind::ForeignKey(Cardinality::ManyToMany(_)) => 2,
            _ => 1,
        };
        if self == Way::Lateral && !embed.inner { relations } else { 2 * relations }
    }

    fn weight_of_all(self, node: &ReadNode) -> usize {
        let weight = |embed: &EmbedNode| {
            let own = if self.is_of(embed) { self.weight(embed) } else { 0 };
            let below = self.goes_on_below(embed).then(|| self.weight_of_all(&embed.node));
            own + below.unwrap_or(0)
        };
        node.embeds.iter().map(weight).sum()
    }
}

/// How much may still dissolve.
struct Budget {
    way: Way,
    left: usize,
    /// Whether all fits, also what has no filter.
    holds_all: bool,
}

impl Budget {
    /// A budget for a query.
    fn of(root: &ReadNode, way: Way) -> Self {
        Self { way, left: MAX_WEIGHT, holds_all: way.weight_of_all(root) <= MAX_WEIGHT }
    }

    fn spend(&mut self, node: &mut ReadNode) {
        for embed in &mut node.embeds {
            if self.way.is_of(embed) {
                let fenced = !self.take(embed);
                match self.way {
                    Way::Lateral => embed.fence.lateral = fenced,
                    Way::Exists => embed.fence.exists = fenced,
                }
            }
            if self.way.goes_on_below(embed) {
                self.spend(&mut embed.node);
            }
        }
    }

    /// Whether the embed may dissolve; then it has used some of the budget.
    fn take(&mut self, embed: &EmbedNode) -> bool {
        let may = self.holds_all || is_filtered(embed);
        match self.left.checked_sub(self.way.weight(embed)) {
            Some(left) if may => {
                self.left = left;
                true
            }
            _ => false,
        }
    }
}

/// Whether the embed can leave few rows of the query around it.
fn is_filtered(embed: &EmbedNode) -> bool {
    (embed.inner || embed.tested) && !embed.node.conditions.is_empty()
}
