//! The schema cache: what the database has, as one snapshot.
//!
//! [`SchemaCache`] is immutable once loaded; a reload builds a new one and swaps it.
//! Planning looks things up by exposed schema and name; nothing here is per request.

mod dump;
mod extent;
mod load;
mod nearest;
mod relation;
mod relationship;
mod routine;

pub use extent::{Extent, MAX_ROWS};
pub use load::LoadOptions;
pub use nearest::{LOOSE, LazyIndex, MinScore, NameIndex, STRICT};
pub use relation::{Column, Relation, RelationKind};
pub use relationship::{Cardinality, Junction, Relationship, RelationshipKind};
pub use routine::{IsolationLevel, Parameter, ReturnType, Returned, Routine, Volatility};

use serde::{Serialize, Serializer};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// The most bytes of an identifier; PostgreSQL cuts longer ones off (`NAMEDATALEN - 1`).
pub const MAX_IDENTIFIER_BYTES: usize = 63;

/// A name of an object and of the schema it is in, both unquoted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QualifiedName {
    /// The schema; empty when the search path decides.
    pub schema: Box<str>,
    /// The name in that schema.
    pub name: Box<str>,
}

impl QualifiedName {
    /// A name in a schema.
    pub fn new(schema: impl Into<Box<str>>, name: impl Into<Box<str>>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.schema.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}.{}", self.schema, self.name)
        }
    }
}

/// What the exposed schemas of a database hold.
#[derive(Debug, Default, Serialize)]
pub struct SchemaCache {
    /// The exposed schemas by name.
    #[serde(serialize_with = "dump::sorted")]
    pub schemas: HashMap<Box<str>, ExposedSchema>,
    /// Conversions between a domain and json or text, declared as casts
    /// (<https://docs.postgrest.org/en/v16/references/api/domain_representations.html>).
    pub representations: Representations,
    /// Media type handlers: by media type, then by what they serve
    /// (<https://docs.postgrest.org/en/v16/references/api/media_type_handlers.html>).
    #[serde(serialize_with = "dump::sorted")]
    pub handlers: HashMap<Box<str>, Vec<MediaHandler>>,
    /// Domains named like a media type over `bytea`: values of them are bodies, not text.
    pub binary_domains: HashSet<QualifiedName>,
    /// Settings of roles (`ALTER ROLE ... SET`) that apply to a request of that role.
    #[serde(serialize_with = "dump::sorted")]
    pub role_settings: HashMap<Box<str>, RoleSettings>,
    /// The claims that SQL of the database asks for as `request.jwt.claim.NAME`.
    pub claim_settings: Vec<Box<str>>,
    /// Whether somebody has set `jit` for the login role or the database.
    pub login_sets_jit: bool,
    /// Whether sessions begin with `response.headers` or `response.status` set.
    #[serde(skip)]
    pub session_sets_response: bool,
    /// The server's version, as `server_version_num`: 150004.
    pub server_version_num: u32,
}

/// One exposed schema.
#[derive(Debug, Default, Serialize)]
pub struct ExposedSchema {
    /// The schema's comment.
    pub description: Option<String>,
    /// Tables, views, materialized views, foreign and partitioned tables by name.
    #[serde(serialize_with = "dump::sorted")]
    pub relations: HashMap<Box<str>, Relation>,
    /// Functions by name; overloads side by side.
    #[serde(serialize_with = "dump::sorted")]
    pub routines: HashMap<Box<str>, Vec<Routine>>,
    #[serde(skip)]
    indexes: Indexes,
}

/// Where the names nearest to misspelt ones are found.
#[derive(Debug, Default)]
struct Indexes {
    relations: LazyIndex,
    related: LazyIndex,
    routines: LazyIndex,
}

impl ExposedSchema {
    /// A schema with these relations and functions.
    pub fn new(
        description: Option<String>,
        relations: HashMap<Box<str>, Relation>,
        routines: HashMap<Box<str>, Vec<Routine>>,
    ) -> Self {
        Self { description, relations, routines, indexes: Indexes::default() }
    }

    /// The relation whose name is nearest to `name`.
    pub fn nearest_relation(&self, name: &str, min_score: MinScore) -> Option<&str> {
        let index = self.indexes.relations.get_or_init(|| sorted_index(self.relations.keys()));
        index.nearest(name, min_score)
    }

    /// The relation with relationships whose name is nearest to `name`.
    pub fn nearest_related(&self, name: &str, min_score: MinScore) -> Option<&str> {
        let index = self.indexes.related.get_or_init(|| {
            let relations = self.relations.iter();
            sorted_index(relations.filter(|(_, r)| !r.relationships.is_empty()).map(|(n, _)| n))
        });
        index.nearest(name, min_score)
    }

    /// The function whose name is nearest to `name`.
    pub fn nearest_routine(&self, name: &str, min_score: MinScore) -> Option<&str> {
        let index = self.indexes.routines.get_or_init(|| sorted_index(self.routines.keys()));
        index.nearest(name, min_score)
    }
}

/// An index of names in their order, whatever the order they come in.
fn sorted_index<'n>(names: impl Iterator<Item = &'n Box<str>>) -> NameIndex {
    let mut names: Vec<&str> = names.map(|name| &**name).collect();
    names.sort_unstable();
    NameIndex::new(names)
}

/// Settings that a role brings to its transactions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RoleSettings {
    /// `default_transaction_isolation` of the role.
    pub isolation: Option<IsolationLevel>,
    /// All other settings that the login role may set, as name and value.
    pub settings: Vec<(Box<str>, Box<str>)>,
}

/// Casts that present a domain otherwise than PostgreSQL does. Types are written as
/// `format_type` writes them with an empty search path.
#[derive(Debug, Default, Serialize)]
pub struct Representations {
    /// Function from the type to `json`, for results.
    #[serde(serialize_with = "dump::sorted")]
    pub to_json: HashMap<Box<str>, QualifiedName>,
    /// Function from `json` to the type, for bodies.
    #[serde(serialize_with = "dump::sorted")]
    pub from_json: HashMap<Box<str>, QualifiedName>,
    /// Function from `text` to the type, for filter values.
    #[serde(serialize_with = "dump::sorted")]
    pub from_text: HashMap<Box<str>, QualifiedName>,
}

/// A function or aggregate that gives a response body of a media type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MediaHandler {
    /// The relation whose rows it takes; `None` for any row type (`anyelement`).
    pub target: Option<QualifiedName>,
    /// The aggregate to call.
    pub function: QualifiedName,
    /// Whether the domain is `*/*`, so that the response names its media type itself.
    pub any_media_type: bool,
    /// Whether the domain is over `bytea`: the body is no text.
    pub binary: bool,
}

impl Serialize for QualifiedName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl SchemaCache {
    /// A relation of an exposed schema.
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.schemas.get(schema)?.relations.get(name)
    }

    /// The overloads of a function of an exposed schema; empty when there is none.
    pub fn routines(&self, schema: &str, name: &str) -> &[Routine] {
        self.schemas.get(schema).and_then(|s| s.routines.get(name)).map_or(&[], Vec::as_slice)
    }
}
