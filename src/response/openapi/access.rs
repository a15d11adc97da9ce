//! What the role may use, as the database tells it.

use crate::schema::Routine;
use serde::Deserialize;
use std::collections::HashMap;

/// What the role may use of a schema.
#[derive(Debug, Default, Deserialize)]
pub struct Access {
    /// Null when there are none.
    relations: Option<HashMap<Box<str>, Privileges>>,
    /// By name, each overload; null when there are none.
    routines: Option<HashMap<Box<str>, Vec<Signature>>>,
}

/// The names and the types of a function's input parameters.
#[derive(Debug, Deserialize)]
struct Signature(Vec<Box<str>>, Vec<Box<str>>);

/// What the role may do with the rows of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "Box<str>")]
pub struct Privileges {
    /// `SELECT`
    pub select: bool,
    /// `INSERT`
    pub insert: bool,
    /// `UPDATE`
    pub update: bool,
    /// `DELETE`
    pub delete: bool,
}

impl Privileges {
    /// Everything.
    pub const ALL: Self = Self { select: true, insert: true, update: true, delete: true };
}

impl From<Box<str>> for Privileges {
    fn from(letters: Box<str>) -> Self {
        let has = |letter| letters.contains(letter);
        Self { select: has('r'), insert: has('i'), update: has('u'), delete: has('d') }
    }
}

impl Access {
    /// Reads the database's answer to [`crate::query::Statement`] of a description.
    ///
    /// # Errors
    /// When it is not of the shape that was asked for.
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// What the role may do with a relation; `None` when it may not even know of it.
    pub fn relation(&self, name: &str) -> Option<Privileges> {
        self.relations.as_ref()?.get(name).copied()
    }

    /// The types of a function's parameters as the role sees them; `None` when it may not
    /// execute the function.
    pub fn routine(&self, routine: &Routine) -> Option<&[Box<str>]> {
        let overloads = self.routines.as_ref()?.get(&routine.name.name)?;
        overloads.iter().find(|signature| signature.is_of(routine)).map(|s| &*s.1)
    }
}

impl Signature {
    fn is_of(&self, routine: &Routine) -> bool {
        let Self(names, types) = self;
        let parameters = &routine.parameters;
        parameters.len() == names.len()
            && parameters.iter().zip(names).all(|(p, name)| p.name == *name)
            && parameters.iter().zip(types).all(|(p, shown)| is_same_type(&p.data_type, shown))
    }
}

/// Whether a type is the same, written in full and as a search path lets it be written.
fn is_same_type(full: &str, shown: &str) -> bool {
    full.strip_suffix(shown).is_some_and(|schema| schema.is_empty() || schema.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_the_database_is_read() {
        let access = Access::parse(r#"{"relations": {"films": "ru"}, "routines": null}"#).unwrap();
        let privileges = access.relation("films").unwrap();
        assert!(privileges.select && privileges.update);
        assert!(!privileges.insert && !privileges.delete);
        assert_eq!(access.relation("secrets"), None);
    }

    #[test]
    fn a_type_is_the_same_with_and_without_its_schema() {
        assert!(is_same_type("lib.medium[]", "medium[]"));
        assert!(is_same_type("integer", "integer"));
        assert!(!is_same_type("lib.large_medium", "medium"));
        assert!(!is_same_type("integer", "bigint"));
    }
}
