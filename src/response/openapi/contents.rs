//! What a description is about: the relations and functions of a schema that the role may
//! use, sorted by name.

use super::access::{Access, Privileges};
use crate::schema::{Parameter, QualifiedName, Relation, Routine, SchemaCache};

/// What a description is about.
#[derive(Debug, Default)]
pub struct Contents<'a> {
    /// The comment of the schema.
    pub comment: Option<&'a str>,
    /// The relations.
    pub relations: Vec<DescribedRelation<'a>>,
    /// The functions, overloads side by side.
    pub routines: Vec<Overloads<'a>>,
}

/// A relation and what may be done with its rows.
#[derive(Debug, Clone, Copy)]
pub struct DescribedRelation<'a> {
    /// The relation.
    pub relation: &'a Relation,
    /// What the role may do with its rows.
    privileges: Privileges,
}

/// The functions of one name; at least one.
#[derive(Debug)]
pub struct Overloads<'a> {
    /// The name.
    pub name: &'a str,
    /// The functions.
    pub routines: Vec<DescribedRoutine<'a>>,
}

/// A function and how its parameters' types are written.
#[derive(Debug, Clone, Copy)]
pub struct DescribedRoutine<'a> {
    /// The function.
    pub routine: &'a Routine,
    /// The types as the role sees them; those of the schema cache when `None`.
    types: Option<&'a [Box<str>]>,
}

impl<'a> Contents<'a> {
    /// What `access` leaves of the schema of that name; without it, everything.
    pub fn new(cache: &'a SchemaCache, schema: &str, access: Option<&'a Access>) -> Self {
        let Some(schema) = cache.schemas.get(schema) else { return Self::default() };
        let privileges = |relation: &Relation| match access {
            Some(access) => access.relation(&relation.name.name),
            None => Some(Privileges::ALL),
        };
        let described = |routine: &'a Routine| match access {
            Some(access) => access
                .routine(routine)
                .map(|types| DescribedRoutine { routine, types: Some(types) }),
            None => Some(DescribedRoutine { routine, types: None }),
        };
        let mut relations: Vec<_> = schema
            .relations
            .values()
            .filter_map(|relation| {
                Some(DescribedRelation { relation, privileges: privileges(relation)? })
            })
            .collect();
        relations.sort_unstable_by_key(|described| &described.relation.name.name);
        let mut routines: Vec<_> = schema
            .routines
            .iter()
            .map(|(name, routines)| Overloads {
                name,
                routines: routines.iter().filter_map(described).collect(),
            })
            .filter(|overloads| !overloads.routines.is_empty())
            .collect();
        routines.sort_unstable_by_key(|overloads| overloads.name);
        Self { comment: schema.description.as_deref(), relations, routines }
    }

    /// Whether a relation is among them.
    pub fn has_relation(&self, name: &QualifiedName) -> bool {
        let by_name = |described: &DescribedRelation| described.relation.name.cmp(name);
        self.relations.binary_search_by(by_name).is_ok()
    }
}

impl DescribedRelation<'_> {
    /// Whether rows can be read.
    pub fn is_readable(&self) -> bool {
        self.privileges.select
    }

    /// Whether rows can be inserted.
    pub fn is_insertable(&self) -> bool {
        self.relation.insertable && self.privileges.insert
    }

    /// Whether rows can be changed.
    pub fn is_updatable(&self) -> bool {
        self.relation.updatable && self.privileges.update
    }

    /// Whether rows can be inserted or replaced by their keys.
    pub fn is_replaceable(&self) -> bool {
        self.is_insertable() && self.is_updatable() && !self.relation.primary_key.is_empty()
    }

    /// Whether rows can be deleted.
    pub fn is_deletable(&self) -> bool {
        self.relation.deletable && self.privileges.delete
    }

    /// Whether rows can be sent.
    pub fn is_writable(&self) -> bool {
        self.is_insertable() || self.is_updatable()
    }
}

impl<'a> DescribedRoutine<'a> {
    /// The parameters and their types.
    pub fn parameters(self) -> impl Iterator<Item = (&'a Parameter, &'a str)> {
        self.routine.parameters.iter().enumerate().map(move |(index, parameter)| {
            (parameter, self.types.map_or(&*parameter.data_type, |types| &types[index]))
        })
    }
}
