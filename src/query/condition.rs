//! Conditions as SQL.

use super::select;
use super::sql::Sql;
use crate::plan::{
    Comparand, ReadNode, ResolvedCondition, ResolvedField, ResolvedFilter, ResolvedLogic,
};
use crate::request::ast::{
    FullTextOperator, IsValue, JsonOperand, LogicOperator, Operation, Operator, Quantifier,
};
use crate::schema::QualifiedName;
use std::borrow::Cow;

/// Appends ` WHERE` and the conditions, when there are any. `node` is where embeds are
/// looked up; `alias` qualifies columns.
pub fn push_where<'a>(
    sql: &mut Sql<'a>,
    conditions: &[ResolvedCondition<'a>],
    alias: &str,
    node: Option<&ReadNode<'a>>,
    first: &mut bool,
) {
    for condition in conditions {
        sql.push(if std::mem::take(first) { " WHERE " } else { " AND " });
        push_condition(sql, condition, alias, node);
    }
}

fn push_condition<'a>(
    sql: &mut Sql<'a>,
    condition: &ResolvedCondition<'a>,
    alias: &str,
    node: Option<&ReadNode<'a>>,
) {
    match condition {
        ResolvedCondition::Filter(filter) => push_filter(sql, filter, alias),
        ResolvedCondition::Logic(logic) => push_logic(sql, logic, alias, node),
        ResolvedCondition::EmbedIsNull { embed, negated } => {
            // Only reading nodes resolve conditions against embeds.
            let Some(node) = node else { return };
            if !negated {
                sql.push("NOT ");
            }
            select::push_exists(sql, &node.embeds[*embed], &node.alias);
        }
    }
}

fn push_logic<'a>(
    sql: &mut Sql<'a>,
    logic: &ResolvedLogic<'a>,
    alias: &str,
    node: Option<&ReadNode<'a>>,
) {
    if logic.negated {
        sql.push("NOT ");
    }
    sql.push("(");
    let mut first = true;
    for operand in &logic.operands {
        sql.separate(
            &mut first,
            match logic.operator {
                LogicOperator::And => " AND ",
                LogicOperator::Or => " OR ",
            },
        );
        push_condition(sql, operand, alias, node);
    }
    sql.push(")");
}

/// Appends `"alias"."column"` with the way into its JSON.
pub fn push_field(sql: &mut Sql, field: &ResolvedField, alias: &str) {
    if field.needs_to_jsonb() {
        sql.push("to_jsonb(").column(alias, field.column).push(")");
    } else {
        sql.column(alias, field.column);
    }
    for step in field.path {
        sql.push(if step.as_text { "->>" } else { "->" });
        match &step.operand {
            JsonOperand::Key(key) => sql.literal(key),
            JsonOperand::Index(index) => sql.literal(index).push("::int"),
        };
    }
}

fn push_filter<'a>(sql: &mut Sql<'a>, filter: &ResolvedFilter<'a>, alias: &str) {
    if filter.negated {
        sql.push("NOT (");
    }
    match filter.operation {
        Operation::Simple { operator, quantifier, value } => {
            push_field(sql, &filter.field, alias);
            push_operator(sql, *operator);
            push_quantified(sql, filter, *operator, *quantifier, value);
        }
        Operation::In(values) => {
            push_field(sql, &filter.field, alias);
            push_in(sql, filter.comparand, values);
        }
        Operation::Is(value) => {
            push_field(sql, &filter.field, alias);
            sql.push(match value {
                IsValue::Null => " IS NULL",
                IsValue::NotNull => " IS NOT NULL",
                IsValue::True => " IS TRUE",
                IsValue::False => " IS FALSE",
                IsValue::Unknown => " IS UNKNOWN",
            });
        }
        Operation::IsDistinctFrom(value) => {
            push_field(sql, &filter.field, alias);
            sql.push(" IS DISTINCT FROM ");
            sql.value(value.as_str());
        }
        Operation::FullText { operator, language, value } => {
            push_full_text(sql, &filter.field, alias, *operator, language.as_deref(), value);
        }
    }
    if filter.negated {
        sql.push(")");
    }
}

fn push_operator(sql: &mut Sql, operator: Operator) {
    sql.push(match operator {
        Operator::Equal => " = ",
        Operator::NotEqual => " <> ",
        Operator::GreaterThan => " > ",
        Operator::GreaterThanOrEqual => " >= ",
        Operator::LessThan => " < ",
        Operator::LessThanOrEqual => " <= ",
        Operator::Like => " ~~ ",
        Operator::ILike => " ~~* ",
        Operator::Match => " ~ ",
        Operator::IMatch => " ~* ",
        Operator::Contains => " @> ",
        Operator::ContainedIn => " <@ ",
        Operator::Overlap => " && ",
        Operator::StrictlyLeft => " << ",
        Operator::StrictlyRight => " >> ",
        Operator::NotExtendsRight => " &< ",
        Operator::NotExtendsLeft => " &> ",
        Operator::Adjacent => " -|- ",
    });
}

fn push_quantified<'a>(
    sql: &mut Sql<'a>,
    filter: &ResolvedFilter<'a>,
    operator: Operator,
    quantifier: Option<Quantifier>,
    value: &'a str,
) {
    // In a URL `*` stands for `%`, which would have to be percent-encoded.
    let is_pattern = matches!(operator, Operator::Like | Operator::ILike);
    let text: Cow<'a, str> = match is_pattern && value.contains('*') {
        true => Cow::Owned(value.replace('*', "%")),
        false => Cow::Borrowed(value),
    };
    // Patterns are texts, whatever the column's type makes of other values.
    let comparand = if is_pattern || matches!(operator, Operator::Match | Operator::IMatch) {
        Comparand::Plain
    } else {
        filter.comparand
    };
    match quantifier {
        None => push_comparand(sql, comparand, text),
        Some(quantifier) => {
            sql.push(match quantifier {
                Quantifier::Any => "ANY (",
                Quantifier::All => "ALL (",
            });
            push_comparand(sql, comparand, text);
            sql.push(")");
        }
    }
}

fn push_comparand<'a>(sql: &mut Sql<'a>, comparand: Comparand, value: impl Into<Cow<'a, str>>) {
    match comparand {
        Comparand::Plain => sql.value(value),
        Comparand::From(function) => push_represented(sql, function, value),
    };
}

/// The value of a domain that its representation makes of a text. The type is said because a
/// call of a function that has the domain's name would be taken for a cast, which reads the
/// text as the domain's own input, wherever a literal stands and not a parameter.
fn push_represented<'s, 'a>(
    sql: &'s mut Sql<'a>,
    function: &QualifiedName,
    value: impl Into<Cow<'a, str>>,
) -> &'s mut Sql<'a> {
    sql.qualified(function).push("(").value(value).push("::text)")
}

/// One value for the whole list, so that lists of any length share a shape.
fn push_in<'a>(sql: &mut Sql<'a>, comparand: Comparand, values: &'a [String]) {
    match comparand {
        Comparand::From(function) if !values.is_empty() => {
            sql.push(" = ANY (ARRAY[");
            let mut first = true;
            for value in values {
                push_represented(sql.separate(&mut first, ", "), function, value.as_str());
            }
            sql.push("])");
        }
        _ => {
            sql.push(" = ANY (").value(array_literal(values)).push(")");
        }
    }
}

/// An array in PostgreSQL's text format
/// (<https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO>).
pub fn array_literal(values: &[String]) -> String {
    let mut text = String::with_capacity(values.iter().map(|v| v.len() + 3).sum::<usize>() + 2);
    text.push('{');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.push('"');
        for c in value.chars() {
            if matches!(c, '"' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push('"');
    }
    text.push('}');
    text
}

fn push_full_text<'a>(
    sql: &mut Sql<'a>,
    field: &ResolvedField<'a>,
    alias: &str,
    operator: FullTextOperator,
    language: Option<&str>,
    value: &'a str,
) {
    let push_language = |sql: &mut Sql<'a>| {
        if let Some(language) = language {
            sql.literal(language).push(", ");
        }
    };
    let is_text = field.info.is_some_and(|c| !c.is_tsvector || !field.path.is_empty());
    if is_text {
        sql.push("to_tsvector(");
        push_language(sql);
        push_field(sql, field, alias);
        sql.push(")");
    } else {
        push_field(sql, field, alias);
    }
    sql.push(match operator {
        FullTextOperator::Plain => " @@ to_tsquery(",
        FullTextOperator::PlainTo => " @@ plainto_tsquery(",
        FullTextOperator::Phrase => " @@ phraseto_tsquery(",
        FullTextOperator::WebSearch => " @@ websearch_to_tsquery(",
    });
    push_language(sql);
    sql.value(value).push(")");
}
