//! Functions that can be called.

use super::QualifiedName;
use serde::Serialize;

/// A function of an exposed schema.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Routine {
    /// Its name.
    pub name: QualifiedName,
    /// Its comment.
    pub description: Option<String>,
    /// The input parameters in order (`IN`, `INOUT`, `VARIADIC`).
    pub parameters: Vec<Parameter>,
    /// What it returns.
    pub returns: ReturnType,
    /// Its volatility.
    pub volatility: Volatility,
    /// Whether the last parameter is variadic.
    pub variadic: bool,
    /// `default_transaction_isolation` among its own settings.
    pub isolation: Option<IsolationLevel>,
    /// Its own settings (`SET name = value`) that `db-hoisted-tx-settings` names.
    pub settings: Vec<(Box<str>, Box<str>)>,
}

/// An input parameter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parameter {
    /// Its name; empty when it has none.
    pub name: Box<str>,
    /// Its type as `format_type` writes it with an empty search path; for a variadic
    /// parameter the array type.
    pub data_type: Box<str>,
    /// The same with `varchar` and `char` written so that a cast does not cut the value.
    pub cast_type: Box<str>,
    /// Whether it has no default.
    pub required: bool,
    /// Whether it is variadic.
    pub variadic: bool,
}

/// What a routine returns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReturnType {
    /// Whether it returns a set of them.
    pub is_set: bool,
    /// One of them.
    pub returned: Returned,
}

/// The shape of one returned value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Returned {
    /// Nothing.
    Void,
    /// A scalar of this type; a domain by its own name, so that a media type is seen.
    Scalar(QualifiedName),
    /// A row. With a name it is that relation's row type (or composite type's), without
    /// one it is made by `OUT` parameters or `RETURNS TABLE`. A bare `record`, whose columns
    /// are known only when it is there, is a scalar `pg_catalog.record`.
    Composite(Option<QualifiedName>),
}

/// Volatility of a function (`pg_proc.provolatile`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

/// Isolation level of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum IsolationLevel {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl IsolationLevel {
    /// The level that a value of `default_transaction_isolation` names.
    pub fn from_setting(value: &str) -> Option<Self> {
        match &*value.to_ascii_lowercase() {
            // PostgreSQL treats the weakest level like the next one.
            "read committed" | "read uncommitted" => Some(Self::ReadCommitted),
            "repeatable read" => Some(Self::RepeatableRead),
            "serializable" => Some(Self::Serializable),
            _ => None,
        }
    }
}
