//! Writing select, filters and order in the grammar that they are parsed from.

use super::ast::{
    Aggregate, Condition, Direction, Embed, Field, Filter, IsValue, JoinType, JsonOperand,
    JsonStep, Logic, LogicOperator, NullsOrder, Operation, OrderTerm, Quantifier, SelectField,
    SelectItem,
};
use super::filter::{full_text_word, is_word_of, operator_word};
use std::fmt::{self, Display, Formatter, Write};

/// Writes text in double quotes, with quotes and backslashes escaped.
fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}

/// Writes a name, quoted when it has to be.
fn name(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$');
    if !text.is_empty() && text.bytes().all(bare) { f.write_str(text) } else { quoted(f, text) }
}

/// Writes items with a separator between them.
fn joined<T>(
    f: &mut Formatter<'_>,
    items: &[T],
    separator: char,
    mut item: impl FnMut(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, one) in items.iter().enumerate() {
        if index > 0 {
            f.write_char(separator)?;
        }
        item(f, one)?;
    }
    Ok(())
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        name(f, &self.column)?;
        self.path.iter().try_for_each(|step| step.fmt(f))
    }
}

impl Display for JsonStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.as_text { "->>" } else { "->" })?;
        match &self.operand {
            JsonOperand::Index(digits) => f.write_str(digits),
            // Quoted, a key of digits stays a key.
            JsonOperand::Key(key) => quoted(f, key),
        }
    }
}

impl Display for SelectItem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            SelectItem::Field(field) => field.fmt(f),
            SelectItem::Embed(embed) => embed.fmt(f),
            SelectItem::Spread(embed) => write!(f, "...{embed}"),
        }
    }
}

impl Display for SelectField {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(alias) = &self.alias {
            name(f, alias)?;
            f.write_char(':')?;
        }
        let counts_rows = self.field.column.is_empty() && self.aggregate == Some(Aggregate::Count);
        match self.field.column.as_str() {
            "" if counts_rows => f.write_str("count()")?,
            "*" => f.write_char('*')?,
            _ => self.field.fmt(f)?,
        }
        if let Some(cast) = &self.cast {
            write!(f, "::{cast}")?;
        }
        match self.aggregate {
            Some(aggregate) if !counts_rows => write!(f, ".{}()", aggregate.word())?,
            _ => {}
        }
        self.aggregate_cast.iter().try_for_each(|cast| write!(f, "::{cast}"))
    }
}

impl Aggregate {
    /// The name of the function.
    pub fn word(self) -> &'static str {
        match self {
            Aggregate::Sum => "sum",
            Aggregate::Avg => "avg",
            Aggregate::Count => "count",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
        }
    }
}

impl Display for Embed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(alias) = &self.alias {
            name(f, alias)?;
            f.write_char(':')?;
        }
        name(f, &self.target)?;
        if let Some(hint) = &self.hint {
            // Quoted, a hint named `inner` stays a hint.
            f.write_char('!')?;
            quoted(f, hint)?;
        }
        match self.join {
            Some(JoinType::Inner) => f.write_str("!inner")?,
            Some(JoinType::Left) => f.write_str("!left")?,
            None => {}
        }
        f.write_char('(')?;
        joined(f, &self.select, ',', |f, item| item.fmt(f))?;
        f.write_char(')')
    }
}

impl Display for OrderTerm {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.relation {
            Some(relation) => {
                name(f, relation)?;
                write!(f, "({})", self.field)?;
            }
            None => self.field.fmt(f)?,
        }
        f.write_str(match self.direction {
            Some(Direction::Asc) => ".asc",
            Some(Direction::Desc) => ".desc",
            None => "",
        })?;
        f.write_str(match self.nulls {
            Some(NullsOrder::First) => ".nullsfirst",
            Some(NullsOrder::Last) => ".nullslast",
            None => "",
        })
    }
}

/// An operand of a logic tree: `id.not.eq.5`, `and(...)`.
impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Filter(filter) => filter.fmt(f),
            Condition::Logic(logic) => logic.fmt(f),
        }
    }
}

impl Display for Logic {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.negated { "not." } else { "" })?;
        f.write_str(match self.operator {
            LogicOperator::And => "and(",
            LogicOperator::Or => "or(",
        })?;
        joined(f, &self.operands, ',', |f, operand| operand.fmt(f))?;
        f.write_char(')')
    }
}

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.field, if self.negated { "not." } else { "" })?;
        self.operation.write(f, quoted)
    }
}

impl Filter {
    /// The filter as the value of a parameter: `not.eq.5`. There a value needs no quotes.
    pub fn parameter_value(&self) -> String {
        struct Value<'a>(&'a Filter);
        impl Display for Value<'_> {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str(if self.0.negated { "not." } else { "" })?;
                self.0.operation.write(f, |f, value| f.write_str(value))
            }
        }
        Value(self).to_string()
    }
}

impl Operation {
    /// Writes operator and value; `value` writes a single value.
    fn write(
        &self,
        f: &mut Formatter<'_>,
        value: impl Fn(&mut Formatter<'_>, &str) -> fmt::Result,
    ) -> fmt::Result {
        match self {
            Operation::Simple { operator, quantifier, value: operand } => {
                f.write_str(operator_word(*operator))?;
                f.write_str(match quantifier {
                    Some(Quantifier::Any) => "(any).",
                    Some(Quantifier::All) => "(all).",
                    None => ".",
                })?;
                value(f, operand)
            }
            Operation::In(items) => {
                f.write_str("in.(")?;
                joined(f, items, ',', |f, item| quoted(f, item))?;
                f.write_char(')')
            }
            Operation::Is(is) => write!(f, "is.{is}"),
            Operation::IsDistinctFrom(operand) => {
                f.write_str("isdistinct.")?;
                value(f, operand)
            }
            Operation::FullText { operator, language, value: operand } => {
                f.write_str(full_text_word(*operator))?;
                match language {
                    Some(language) => write!(f, "({language}).")?,
                    None => f.write_char('.')?,
                }
                value(f, operand)
            }
        }
    }
}

impl Display for IsValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(is_word_of(*self))
    }
}
