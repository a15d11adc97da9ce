//! Any tree that the grammar of the query string allows, for property tests.

use super::ast::{
    Aggregate, Condition, Direction, Embed, Field, Filter, FullTextOperator, IsValue, JoinType,
    JsonOperand, JsonStep, Logic, LogicOperator, NullsOrder, Operation, Operator, OrderTerm,
    Quantifier, SelectField, SelectItem,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

/// Names that need quotes and names that do not.
pub(crate) fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z_][a-z0-9_$]{0,6}",
        1 => select(vec!["not", "and", "or", "in", "is", "inner", "left", "asc", "sum"])
            .prop_map(str::to_owned),
        1 => "[^\\x00]{0,6}",
    ]
}

/// Values of filters.
pub(crate) fn value() -> impl Strategy<Value = String> {
    prop_oneof![2 => "[a-z0-9 ]{0,8}", 1 => "[\"\\\\,(){}.:*']{0,6}", 1 => "[^\\x00]{0,8}"]
}

/// Names of types and text search configurations.
fn type_name() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9_ ]{0,5}[a-z0-9]"
}

/// Columns with a path into their JSON.
pub(crate) fn field() -> impl Strategy<Value = Field> {
    let operand = prop_oneof![
        name().prop_map(JsonOperand::Key),
        "-?[0-9]{1,4}".prop_map(JsonOperand::Index),
    ];
    let step =
        (any::<bool>(), operand).prop_map(|(as_text, operand)| JsonStep { as_text, operand });
    (name(), vec(step, 0..3)).prop_map(|(column, path)| Field { column, path })
}

fn select_field() -> impl Strategy<Value = SelectField> {
    let aggregate = select(vec![
        Aggregate::Sum,
        Aggregate::Avg,
        Aggregate::Count,
        Aggregate::Min,
        Aggregate::Max,
    ]);
    // The cast of an aggregate that is not there is the cast of the field.
    let aggregate = of((aggregate, of(type_name())));
    let column = (field(), of(name()), of(type_name()), aggregate).prop_map(
        |(field, alias, cast, aggregate)| {
            let (aggregate, aggregate_cast) = aggregate.unzip();
            let aggregate_cast = aggregate_cast.flatten();
            SelectField { field, alias, cast, aggregate, aggregate_cast }
        },
    );
    let bare = |column: &str| Field { column: column.to_owned(), path: Vec::new() };
    let star = SelectField {
        field: bare("*"),
        alias: None,
        cast: None,
        aggregate: None,
        aggregate_cast: None,
    };
    let count = SelectField { field: bare(""), aggregate: Some(Aggregate::Count), ..star.clone() };
    prop_oneof![8 => column, 1 => Just(star), 1 => Just(count)]
}

fn select_item() -> impl Strategy<Value = SelectItem> {
    let leaf = select_field().prop_map(SelectItem::Field);
    leaf.prop_recursive(3, 24, 4, |inner| {
        let join = select(vec![None, Some(JoinType::Inner), Some(JoinType::Left)]);
        let target = name().prop_filter("`count` cannot be embedded", |name| name != "count");
        (any::<bool>(), target, of(name()), of(name()), join, vec(inner, 0..4)).prop_map(
            |(spread, target, alias, hint, join, select)| {
                if spread {
                    SelectItem::Spread(Embed { target, alias: None, hint, join, select })
                } else {
                    SelectItem::Embed(Embed { target, alias, hint, join, select })
                }
            },
        )
    })
}

/// The items of `select`, one or more.
pub(crate) fn select_items() -> impl Strategy<Value = Vec<SelectItem>> {
    vec(select_item(), 1..5)
}

/// The terms of `order`, one or more.
pub(crate) fn order_terms() -> impl Strategy<Value = Vec<OrderTerm>> {
    let direction = select(vec![None, Some(Direction::Asc), Some(Direction::Desc)]);
    let nulls = select(vec![None, Some(NullsOrder::First), Some(NullsOrder::Last)]);
    let term =
        (of(name()), field(), direction, nulls).prop_map(|(relation, field, direction, nulls)| {
            OrderTerm { relation, field, direction, nulls }
        });
    vec(term, 1..4)
}

fn operation() -> impl Strategy<Value = Operation> {
    let quantifiable = select(vec![
        Operator::Equal,
        Operator::GreaterThan,
        Operator::GreaterThanOrEqual,
        Operator::LessThan,
        Operator::LessThanOrEqual,
        Operator::Like,
        Operator::ILike,
        Operator::Match,
        Operator::IMatch,
    ]);
    let simple = select(vec![
        Operator::NotEqual,
        Operator::Contains,
        Operator::ContainedIn,
        Operator::Overlap,
        Operator::StrictlyLeft,
        Operator::StrictlyRight,
        Operator::NotExtendsRight,
        Operator::NotExtendsLeft,
        Operator::Adjacent,
    ]);
    let quantifier = select(vec![None, Some(Quantifier::Any), Some(Quantifier::All)]);
    let is = select(vec![
        IsValue::Null,
        IsValue::NotNull,
        IsValue::True,
        IsValue::False,
        IsValue::Unknown,
    ]);
    let full_text = select(vec![
        FullTextOperator::Plain,
        FullTextOperator::PlainTo,
        FullTextOperator::Phrase,
        FullTextOperator::WebSearch,
    ]);
    let list = vec(value(), 0..4)
        .prop_filter("a list of one empty value is the empty list", |list| *list != [""]);
    prop_oneof![
        (quantifiable, quantifier, value()).prop_map(|(operator, quantifier, value)| {
            Operation::Simple { operator, quantifier, value }
        }),
        (simple, value()).prop_map(|(operator, value)| {
            Operation::Simple { operator, quantifier: None, value }
        }),
        list.prop_map(Operation::In),
        is.prop_map(Operation::Is),
        value().prop_map(Operation::IsDistinctFrom),
        (full_text, of(type_name()), value()).prop_map(|(operator, language, value)| {
            Operation::FullText { operator, language, value }
        }),
    ]
}

/// One comparison.
pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    (field(), any::<bool>(), operation()).prop_map(|(field, negated, operation)| Filter {
        field,
        negated,
        operation,
    })
}

/// A comparison, or a tree of them.
pub(crate) fn condition() -> impl Strategy<Value = Condition> {
    filter().prop_map(Condition::Filter).prop_recursive(4, 24, 4, |inner| {
        let operator = select(vec![LogicOperator::And, LogicOperator::Or]);
        (any::<bool>(), operator, vec(inner, 1..4)).prop_map(|(negated, operator, operands)| {
            Condition::Logic(Logic { negated, operator, operands })
        })
    })
}
