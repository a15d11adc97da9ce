//! The grammar of filters and of logic trees.
//! <https://docs.postgrest.org/en/v16/references/api/tables_views.html#operators>

use super::ast::{
    Condition, EmbedPath, Field, Filter, FullTextOperator, IsValue, Logic, LogicOperator,
    Operation, Operator, Quantifier,
};
use super::expected::Expected;
use super::limits::{MAX_EMBED_DEPTH, MAX_FILTERS, MAX_LOGIC_DEPTH};
use super::parser::{Parsed, Parser, Stop};

/// Where the value of an operator ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValueEnd {
    /// At the end of the parameter.
    Parameter,
    /// At a comma or closing parenthesis, unless the value is quoted or an array.
    Operand,
}

/// A tree's conditions so far, over all its levels.
struct Counts {
    depth: usize,
    filters: usize,
}

/// Operators with one value and no quantifier; where one begins with another, it comes first.
const SIMPLE: [(&str, Operator); 9] = [
    ("neq", Operator::NotEqual),
    ("cs", Operator::Contains),
    ("cd", Operator::ContainedIn),
    ("ov", Operator::Overlap),
    ("sl", Operator::StrictlyLeft),
    ("sr", Operator::StrictlyRight),
    ("nxr", Operator::NotExtendsRight),
    ("nxl", Operator::NotExtendsLeft),
    ("adj", Operator::Adjacent),
];

/// Operators that may have a quantifier, in the same order.
const QUANTIFIABLE: [(&str, Operator); 9] = [
    ("eq", Operator::Equal),
    ("gte", Operator::GreaterThanOrEqual),
    ("gt", Operator::GreaterThan),
    ("lte", Operator::LessThanOrEqual),
    ("lt", Operator::LessThan),
    ("like", Operator::Like),
    ("ilike", Operator::ILike),
    ("match", Operator::Match),
    ("imatch", Operator::IMatch),
];

const FULL_TEXT: [(&str, FullTextOperator); 4] = [
    ("fts", FullTextOperator::Plain),
    ("plfts", FullTextOperator::PlainTo),
    ("phfts", FullTextOperator::Phrase),
    ("wfts", FullTextOperator::WebSearch),
];

const IS_VALUES: [(&str, IsValue); 5] = [
    ("null", IsValue::Null),
    ("not_null", IsValue::NotNull),
    ("true", IsValue::True),
    ("false", IsValue::False),
    ("unknown", IsValue::Unknown),
];

/// An operator as the query string has it.
pub(super) fn operator_word(operator: Operator) -> &'static str {
    SIMPLE
        .iter()
        .chain(&QUANTIFIABLE)
        .find(|(_, known)| *known == operator)
        .map_or("eq", |(word, _)| word)
}

pub(super) fn full_text_word(operator: FullTextOperator) -> &'static str {
    FULL_TEXT.iter().find(|(_, known)| *known == operator).map_or("fts", |(word, _)| word)
}

pub(super) fn is_word_of(value: IsValue) -> &'static str {
    IS_VALUES.iter().find(|(_, known)| *known == value).map_or("null", |(word, _)| word)
}

impl Parser<'_> {
    /// The name of a filter's parameter: a path of embeds, then the field.
    pub(super) fn filter_key(&mut self) -> Parsed<(EmbedPath, Field)> {
        let (names, column) = self.dotted_names()?;
        let path = self.json_path()?;
        Ok((names, Field { column, path }))
    }

    /// Names joined by dots, and the last one of them.
    pub(super) fn dotted_names(&mut self) -> Parsed<(Vec<String>, String)> {
        let mut names = Vec::new();
        let mut last = self.name_text()?;
        while self.peek() == Some(b'.') {
            if names.len() == MAX_EMBED_DEPTH + 1 {
                return Err(Stop::Limit("names in a path", MAX_EMBED_DEPTH));
            }
            self.advance(1);
            names.push(std::mem::replace(&mut last, self.name_text()?));
            self.forget_failures();
        }
        Ok((names, last))
    }

    /// The value of a filter's parameter: `eq.5`, `not.in.(1,2)`.
    pub(super) fn filter_value(&mut self) -> Parsed<(bool, Operation)> {
        self.operation(ValueEnd::Parameter)
    }

    /// A logic tree with its operator in front: `and(a.eq.1,or(b.eq.2,c.is.null))`.
    pub(super) fn logic_tree(&mut self) -> Parsed<Condition> {
        self.condition(&mut Counts { depth: 0, filters: 0 })
    }

    fn condition(&mut self, counts: &mut Counts) -> Parsed<Condition> {
        if let Some(filter) = self.optional(|p| p.attempt(Self::logic_filter))? {
            counts.filters += 1;
            if counts.filters > MAX_FILTERS {
                return Err(Stop::Limit("filters", MAX_FILTERS));
            }
            return Ok(Condition::Filter(filter));
        }
        let negated = self.negation();
        let operator = self.logic_operator()?;
        if counts.depth == MAX_LOGIC_DEPTH {
            return Err(Stop::Limit("levels of logic", MAX_LOGIC_DEPTH));
        }
        self.spaced(|p| p.byte(b'(', Expected::OPEN))?;
        counts.depth += 1;
        let operands =
            self.separated(|p| p.condition(counts), Self::comma, ("filters", MAX_FILTERS))?;
        counts.depth -= 1;
        self.spaced(|p| p.byte(b')', Expected::CLOSE))?;
        Ok(Condition::Logic(Logic { negated, operator, operands }))
    }

    fn logic_filter(&mut self) -> Parsed<Filter> {
        let field = self.field()?;
        self.byte(b'.', Expected::DOT)?;
        let (negated, operation) = self.operation(ValueEnd::Operand)?;
        Ok(Filter { field, negated, operation })
    }

    fn logic_operator(&mut self) -> Parsed<LogicOperator> {
        self.either(
            |p| p.soft_word("and", Expected::LOGIC_OPERATOR).map(|()| LogicOperator::And),
            |p| p.word("or", Expected::LOGIC_OPERATOR).map(|()| LogicOperator::Or),
        )
    }

    /// `not.`, when it is there.
    fn negation(&mut self) -> bool {
        if self.rest().starts_with("not.") {
            self.advance(4);
            return true;
        }
        if self.rest().starts_with("not") {
            self.note_failure(3, Expected::DOT);
        }
        self.note_failure(0, Expected::NOT);
        false
    }

    fn operation(&mut self, end: ValueEnd) -> Parsed<(bool, Operation)> {
        let negated = self.negation();
        let operation = match self.operator_and_dot(end)? {
            Some(operation) => operation,
            None => self.operation_with_parenthesis(end)?,
        };
        Ok((negated, operation))
    }

    /// An operator that a dot follows; `None` when it is none of them.
    fn operator_and_dot(&mut self, end: ValueEnd) -> Parsed<Option<Operation>> {
        let rest = self.rest();
        let length = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        if rest.as_bytes().get(length) != Some(&b'.') {
            return Ok(None);
        }
        let word = &rest[..length];
        let simple = QUANTIFIABLE.iter().chain(&SIMPLE).find(|(known, _)| *known == word);
        let full_text = FULL_TEXT.iter().find(|(known, _)| *known == word);
        if simple.is_none() && full_text.is_none() && !matches!(word, "in" | "is" | "isdistinct") {
            return Ok(None);
        }
        self.advance(length + 1);
        let operation = match (simple, full_text, word) {
            (Some((_, operator)), ..) => {
                let value = self.value(end);
                Operation::Simple { operator: *operator, quantifier: None, value }
            }
            (_, Some((_, operator)), _) => {
                let value = self.value(end);
                Operation::FullText { operator: *operator, language: None, value }
            }
            (.., "in") => Operation::In(self.list()?),
            (.., "is") => Operation::Is(self.is_value()?),
            _ => Operation::IsDistinctFrom(self.value(end)),
        };
        Ok(Some(operation))
    }

    /// `fts(language).value`, `eq(any).value`; and where none of that is there, the failure.
    fn operation_with_parenthesis(&mut self, end: ValueEnd) -> Parsed<Operation> {
        let rest = self.rest();
        let starts = |word: &str| rest.starts_with(word);
        for word in ["in", "is", "isdistinct"] {
            self.note_failure(if starts(word) { word.len() } else { 0 }, Expected::OPERATOR);
        }
        if let Some((word, operator)) = FULL_TEXT.iter().find(|(word, _)| starts(word)) {
            let found = self.optional(|p| {
                p.attempt(|p| {
                    p.advance(word.len());
                    let language = p.optional(|p| p.attempt(Self::language))?;
                    p.byte(b'.', Expected::OPERATOR)?;
                    let value = p.value(end);
                    Ok(Operation::FullText { operator: *operator, language, value })
                })
            })?;
            if let Some(operation) = found {
                return Ok(operation);
            }
        }
        if let Some((word, _)) = SIMPLE.iter().find(|(word, _)| starts(word)) {
            self.note_failure(word.len(), Expected::OPERATOR);
        }
        let Some((word, operator)) = QUANTIFIABLE.iter().find(|(word, _)| starts(word)) else {
            return self.fail(Expected::OPERATOR);
        };
        self.attempt(|p| {
            p.advance(word.len());
            let quantifier = p.optional(|p| p.attempt(Self::quantifier))?;
            p.byte(b'.', Expected::OPERATOR)?;
            let value = p.value(end);
            Ok(Operation::Simple { operator: *operator, quantifier, value })
        })
    }

    fn language(&mut self) -> Parsed<String> {
        self.byte(b'(', Expected::OPEN)?;
        let language = self.type_name()?;
        self.byte(b')', Expected::CLOSE)?;
        Ok(language)
    }

    fn quantifier(&mut self) -> Parsed<Quantifier> {
        self.byte(b'(', Expected::OPEN)?;
        let quantifier = self.either(
            |p| p.soft_word("any", Expected::QUANTIFIER).map(|()| Quantifier::Any),
            |p| p.word("all", Expected::QUANTIFIER).map(|()| Quantifier::All),
        )?;
        self.byte(b')', Expected::CLOSE)?;
        Ok(quantifier)
    }

    /// `null`, `true`, ... in any case; what comes after it is not looked at.
    fn is_value(&mut self) -> Parsed<IsValue> {
        let rest = self.rest().as_bytes();
        for (word, value) in IS_VALUES {
            let agreeing = word
                .bytes()
                .zip(rest)
                .take_while(|(wanted, found)| found.eq_ignore_ascii_case(wanted))
                .count();
            if agreeing == word.len() {
                self.advance(agreeing);
                return Ok(value);
            }
            self.note_failure(agreeing, Expected::IS_VALUE);
        }
        Err(Stop::Mismatch)
    }

    /// `(a,b,"c,d")`. The list `()` is empty; so is `("")`, as PostgREST has it.
    fn list(&mut self) -> Parsed<Vec<String>> {
        self.spaced(|p| p.byte(b'(', Expected::OPEN))?;
        let mut items = Vec::new();
        loop {
            items.push(self.operand_value(false));
            if self.peek() != Some(b',') {
                break;
            }
            self.advance(1);
        }
        self.forget_failures();
        self.note_failure(0, Expected::COMMA);
        self.spaced(|p| p.byte(b')', Expected::CLOSE))?;
        if items == [""] {
            items.clear();
        }
        Ok(items)
    }

    fn value(&mut self, end: ValueEnd) -> String {
        match end {
            ValueEnd::Parameter => {
                let value = self.rest();
                self.advance(value.len());
                value.to_owned()
            }
            ValueEnd::Operand => self.operand_value(true),
        }
    }

    /// A quoted value, an array in braces where those are meaningful, or all up to the next
    /// comma or closing parenthesis.
    fn operand_value(&mut self, braces: bool) -> String {
        if self.peek() == Some(b'"')
            && let Ok(value) = self.quoted_value()
        {
            return value;
        }
        let rest = self.rest();
        if braces && rest.starts_with('{') {
            let length = rest[1..].find(['{', '}']).map_or(rest.len(), |at| at + 1);
            if rest.as_bytes().get(length) == Some(&b'}') {
                self.advance(length + 1);
                return rest[..=length].to_owned();
            }
            self.note_failure(length, Expected::CLOSE);
        }
        self.take_while(|c| !matches!(c, ',' | ')')).to_owned()
    }
}
