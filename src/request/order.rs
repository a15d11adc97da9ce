//! The grammar of `order`: `column.desc.nullslast`, `json->path`, `related(column)`.
//! <https://docs.postgrest.org/en/v16/references/api/tables_views.html#ordering>

use super::ast::{Direction, Field, NullsOrder, OrderTerm};
use super::expected::Expected;
use super::limits::MAX_ORDER_TERMS;
use super::parser::{Parsed, Parser};

impl Parser<'_> {
    /// The terms of `order`.
    pub(super) fn order(&mut self) -> Parsed<Vec<OrderTerm>> {
        self.separated(
            |p| p.spaced(|p| p.either(|p| p.attempt(Self::related_term), Self::own_term)),
            |p| p.byte(b',', Expected::COMMA),
            ("order terms", MAX_ORDER_TERMS),
        )
    }

    fn own_term(&mut self) -> Parsed<OrderTerm> {
        let field = self.field()?;
        self.order_modifiers(None, field)
    }

    fn related_term(&mut self) -> Parsed<OrderTerm> {
        let relation = self.name()?;
        self.byte(b'(', Expected::OPEN)?;
        let field = self.field()?;
        self.byte(b')', Expected::CLOSE)?;
        self.order_modifiers(Some(relation.text()), field)
    }

    fn order_modifiers(&mut self, relation: Option<String>, field: Field) -> Parsed<OrderTerm> {
        let direction = self
            .modifier(&[(".asc", Direction::Asc), (".desc", Direction::Desc)], Expected::DIRECTION);
        let nulls = self.modifier(
            &[(".nullsfirst", NullsOrder::First), (".nullslast", NullsOrder::Last)],
            Expected::NULLS,
        );
        if matches!(self.peek(), None | Some(b',')) {
            Ok(OrderTerm { relation, field, direction, nulls })
        } else {
            self.fail(Expected::DOT | Expected::COMMA | Expected::END)
        }
    }

    /// One of some words, each of which starts with a dot.
    fn modifier<T: Copy>(&mut self, words: &[(&str, T)], expected: Expected) -> Option<T> {
        let rest = self.rest();
        if let Some((word, value)) = words.iter().find(|(word, _)| rest.starts_with(word)) {
            self.advance(word.len());
            return Some(*value);
        }
        if rest.starts_with('.') {
            self.note_failure(1, expected);
        }
        None
    }
}
