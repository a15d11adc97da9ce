//! Names in the document: of components and operations, made of the database's own, which
//! may hold any character.
//!
//! A part of a name that comes from the database never holds a dot, so that dots keep the
//! parts apart: `films` is a row of the table, `films.title` the filter for its column.

use crate::response::success::UNRESERVED;
use crate::schema::{Column, Relation};
use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};
use std::fmt::Write;

/// A component's kind, which is also its place in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Schema,
    Parameter,
    Response,
    Header,
}

/// A reference to a component.
pub fn reference(kind: Kind, name: &str) -> Value {
    let place = match kind {
        Kind::Schema => "schemas",
        Kind::Parameter => "parameters",
        Kind::Response => "responses",
        Kind::Header => "headers",
    };
    json!({ "$ref": format!("#/components/{place}/{name}") })
}

/// A name of the database as a part of a component's name, which holds but letters, digits,
/// dots, hyphens and underscores: any other character becomes its number between hyphens,
/// and so does a dot or hyphen, so that two names never become one.
pub fn part(name: &str) -> String {
    let mut part = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => part.push(c),
            // Writing to a String cannot fail.
            c => drop(write!(part, "-{:x}-", u32::from(c))),
        }
    }
    part
}

/// The schema of a relation's rows.
pub fn row(relation: &Relation) -> String {
    part(&relation.name.name)
}

/// The schema of what can be written into a relation.
pub fn written(relation: &Relation) -> String {
    part(&relation.name.name) + ".write"
}

/// The response that holds rows of a relation.
pub fn rows(relation: &Relation) -> String {
    part(&relation.name.name) + ".rows"
}

/// The parameter that filters by a column.
pub fn filter(relation: &Relation, column: &Column) -> String {
    format!("{}.{}", part(&relation.name.name), part(&column.name))
}

/// A name of the database as a segment of a path.
pub fn segment(name: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(name, UNRESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_the_usual_kind_stay_as_they_are() {
        assert_eq!(part("film_2"), "film_2");
        assert_eq!(part("a.b c"), "a-2e-b-20-c");
    }

    proptest! {
        #[test]
        fn two_names_never_become_one(a in "[a-c.\\-20e é]{0,4}", b in "[a-c.\\-20e é]{0,4}") {
            prop_assert_eq!(part(&a) == part(&b), a == b);
        }

        #[test]
        fn a_part_is_made_of_what_component_names_may_hold(name in "\\PC*") {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            prop_assert!(part(&name).chars().all(allowed));
        }
    }
}
