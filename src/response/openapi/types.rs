//! PostgreSQL's types as JSON has them.

/// A type of JSON values, by the names of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    String,
    Boolean,
    Integer,
    Number,
    Array,
    /// Any JSON value.
    Any,
}

impl JsonType {
    /// How values of a type of that name are written in JSON.
    pub fn of(data_type: &str) -> Self {
        match data_type {
            "boolean" => Self::Boolean,
            "smallint" | "integer" | "bigint" => Self::Integer,
            "numeric" | "real" | "double precision" => Self::Number,
            "json" | "jsonb" => Self::Any,
            array if array.ends_with("[]") => Self::Array,
            _ => Self::String,
        }
    }

    /// The name; `None` for any type.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::String => Some("string"),
            Self::Boolean => Some("boolean"),
            Self::Integer => Some("integer"),
            Self::Number => Some("number"),
            Self::Array => Some("array"),
            Self::Any => None,
        }
    }
}

/// The type of an array's elements.
pub fn element(data_type: &str) -> &str {
    data_type.strip_suffix("[]").unwrap_or(data_type)
}
