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
        let counts_rows = self.counts_rows();
        if counts_rows {
            f.write_str("count()")?;
        } else if self.is_star() {
            f.write_char('*')?;
        } else {
            self.field.fmt(f)?;
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

impl SelectField {
    /// Whether this is `count()`, the number of rows.
    pub fn counts_rows(&self) -> bool {
        self.aggregate == Some(Aggregate::Count)
            && self.field == Field::default()
            && self.cast.is_none()
    }

    /// Whether this is `*`, all columns.
    pub fn is_star(&self) -> bool {
        let bare = self.alias.is_none() && self.cast.is_none() && self.aggregate.is_none();
        bare && self.field.column == "*" && self.field.path.is_empty()
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

#[cfg(test)]
mod tests {
    use super::super::arbitrary::{condition, filter, order_terms, select_items};
    use super::super::parser::{Parsed, Parser};
    use super::*;
    use proptest::prelude::*;

    fn joined<T: Display>(items: &[T]) -> String {
        items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// Parses all of a text.
    fn parsed<'a, T>(text: &'a str, parse: impl FnOnce(&mut Parser<'a>) -> Parsed<T>) -> T {
        let mut parser = Parser::new(text);
        let value = parse(&mut parser);
        let value = value.unwrap_or_else(|stop| panic!("{}", parser.error(stop, "text", text)));
        assert_eq!(parser.rest(), "", "all of {text} is of the grammar");
        value
    }

    proptest! {
        #[test]
        fn select_is_what_it_prints(items in select_items()) {
            prop_assert_eq!(parsed(&joined(&items), Parser::select), items);
        }

        #[test]
        fn order_is_what_it_prints(terms in order_terms()) {
            prop_assert_eq!(parsed(&joined(&terms), Parser::order), terms);
        }

        #[test]
        fn a_logic_tree_is_what_it_prints(tree in condition()) {
            prop_assert_eq!(parsed(&tree.to_string(), Parser::logic_tree), tree);
        }

        #[test]
        fn a_filter_is_what_it_prints(filter in filter()) {
            let (path, field) = {
                let name = filter.field.to_string();
                parsed(&name, Parser::filter_key)
            };
            let value = filter.parameter_value();
            let (negated, operation) = parsed(&value, Parser::filter_value);
            prop_assert!(path.is_empty());
            prop_assert_eq!(Filter { field, negated, operation }, filter);
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in "[a-c_.,:!()\"\\\\ >*0-9{}\t\u{e9}-]{0,40}") {
            let _ = Parser::new(&text).select();
            let _ = Parser::new(&text).order();
            let _ = Parser::new(&text).names();
            let _ = Parser::new(&text).filter_key();
            let _ = Parser::new(&text).filter_value();
            let _ = Parser::new(&format!("and{text}")).logic_tree();
        }
    }
}
