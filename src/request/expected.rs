//! What a parser of the query string would have accepted, as a set and in words.

use std::ops::{BitOr, BitOrAssign};

/// A set of things that could have stood where parsing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected(u32);

/// The members, in the order in which a message names them, and the words for each.
const WORDS: [&str; 23] = [
    "a name (letters, digits, \"_\", \"$\", or anything in double quotes)",
    "an operator and a dot (eq., gt., in., is., ...)",
    "\"not.\"",
    "a value of \"is\" (null, not_null, true, false, unknown)",
    "a logic operator (and, or)",
    "an aggregate (sum(), avg(), count(), max(), min())",
    "a direction (asc, desc)",
    "a place for nulls (nullsfirst, nullslast)",
    "a quantifier (any, all)",
    "a key or an index",
    "a digit",
    "a type name",
    "\"...\"",
    "\"*\"",
    "\"count()\"",
    "an arrow (->, ->>)",
    "\"::\"",
    "\".\"",
    "\"(\"",
    "\",\"",
    "\")\"",
    "a closing double quote",
    "the end",
];

impl Expected {
    pub(super) const NOTHING: Self = Expected(0);
    pub(super) const NAME: Self = Expected(1);
    pub(super) const OPERATOR: Self = Expected(1 << 1);
    pub(super) const NOT: Self = Expected(1 << 2);
    pub(super) const IS_VALUE: Self = Expected(1 << 3);
    pub(super) const LOGIC_OPERATOR: Self = Expected(1 << 4);
    pub(super) const AGGREGATE: Self = Expected(1 << 5);
    pub(super) const DIRECTION: Self = Expected(1 << 6);
    pub(super) const NULLS: Self = Expected(1 << 7);
    pub(super) const QUANTIFIER: Self = Expected(1 << 8);
    pub(super) const JSON_OPERAND: Self = Expected(1 << 9);
    pub(super) const DIGIT: Self = Expected(1 << 10);
    pub(super) const TYPE: Self = Expected(1 << 11);
    pub(super) const DOTS: Self = Expected(1 << 12);
    pub(super) const STAR: Self = Expected(1 << 13);
    pub(super) const COUNT: Self = Expected(1 << 14);
    pub(super) const ARROW: Self = Expected(1 << 15);
    pub(super) const CAST: Self = Expected(1 << 16);
    pub(super) const DOT: Self = Expected(1 << 17);
    pub(super) const OPEN: Self = Expected(1 << 18);
    pub(super) const COMMA: Self = Expected(1 << 19);
    pub(super) const CLOSE: Self = Expected(1 << 20);
    pub(super) const QUOTE: Self = Expected(1 << 21);
    pub(super) const END: Self = Expected(1 << 22);

    /// The sentence of an error's details; `found` is what stands there, `None` at the end.
    pub(super) fn describe(self, found: Option<char>) -> String {
        let mut text = match found {
            Some('"') => "Found a double quote".to_owned(),
            Some(c) if c.is_control() => format!("Found the character U+{:04X}", u32::from(c)),
            Some(c) => format!("Found \"{c}\""),
            None => "The text ends".to_owned(),
        };
        let named: Vec<&str> = (WORDS.iter().enumerate())
            .filter(|(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, words)| *words)
            .collect();
        if let Some((last, others)) = named.split_last() {
            text.push_str(" where ");
            text.push_str(&others.join(", "));
            text.push_str(if others.is_empty() { "" } else { " or " });
            text.push_str(last);
            text.push_str(" was expected");
        } else {
            text.push_str(", which is not allowed here");
        }
        text.push('.');
        text
    }
}

impl BitOr for Expected {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Expected(self.0 | other.0)
    }
}

impl BitOrAssign for Expected {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_name_what_was_found_and_what_was_expected() {
        let expected = Expected::COMMA | Expected::CLOSE | Expected::END;
        assert_eq!(
            expected.describe(Some('x')),
            "Found \"x\" where \",\", \")\" or the end was expected."
        );
        assert_eq!(Expected::OPEN.describe(None), "The text ends where \"(\" was expected.");
        assert_eq!(
            Expected::OPEN.describe(Some('\0')),
            "Found the character U+0000 where \"(\" was expected."
        );
    }
}
