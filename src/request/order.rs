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

#[cfg(test)]
mod tests {
    use crate::request::{Parameters, Query};

    fn order(text: &str) -> String {
        match Query::parse(&format!("order={text}"), Parameters::Filters) {
            Ok(query) => {
                let terms = query.order.iter().flat_map(|(_, terms)| terms);
                terms.map(ToString::to_string).collect::<Vec<_>>().join(",")
            }
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn terms_have_directions_places_for_nulls_and_relations() {
        assert_eq!(order("a, b.desc"), "a,b.desc");
        assert_eq!(order("a.nullslast,b.asc.nullsfirst"), "a.nullslast,b.asc.nullsfirst");
        assert_eq!(order("a->>b->0.desc"), r#"a->>"b"->0.desc"#);
        assert_eq!(order("authors(name).desc,\"x y\""), r#"authors(name).desc,"x y""#);
    }

    #[test]
    fn errors_name_the_column_of_the_longest_alternative() {
        for (text, column) in [
            ("id.ac", 4),
            ("id.descc", 8),
            ("id.nullslasttt", 13),
            ("id.asc.nlsfst", 8),
            ("id.asc.nullslasttt", 17),
            ("clients(name,id)", 8),
            ("authors()", 8),
            ("authors(name", 8),
            (",id", 1),
            ("id,", 4),
            ("author_id.desc ,id", 15),
        ] {
            let message = format!("\"failed to parse order ({text})\" (line 1, column {column})");
            assert_eq!(order(text), message);
        }
    }

    #[test]
    fn the_number_of_terms_is_bounded() {
        let message = "The request has too many order terms";
        assert_eq!(order(&vec!["a"; 257].join(",")), message);
    }
}
