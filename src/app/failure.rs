//! Why something could not be loaded, and what stops the start.

use crate::config::connection::ConnectError;
use postgres::error::SqlState;
use std::fmt;

/// What stops the start, or ends a service that cannot go on.
#[derive(Debug, Clone)]
pub struct StartError(String);

impl StartError {
    pub(super) fn new(error: impl fmt::Display) -> Self {
        StartError(error.to_string())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// Why something could not be loaded. The text never shows a password.
#[derive(Debug)]
pub struct LoadError {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The database knows the client and will not have it, or is not one to work with.
    Refused,
    /// The database cannot be reached, or went away.
    Loss,
    /// The database has no connection to spare now.
    Busy,
    /// The database answered with an error.
    Query,
}

impl LoadError {
    pub(super) fn connecting(error: ConnectError) -> Self {
        let kind = match error.code() {
            Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                Kind::Refused
            }
            Some(&SqlState::TOO_MANY_CONNECTIONS) => Kind::Busy,
            _ => Kind::Loss,
        };
        LoadError { text: error.to_string(), kind }
    }

    pub(super) fn reading(error: postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) if matches!(db.severity(), "FATAL" | "PANIC") => {
                LoadError { text: db.message().to_owned(), kind: Kind::Loss }
            }
            Some(db) => LoadError {
                text: format!("{} ({})", db.message(), db.code().code()),
                kind: Kind::Query,
            },
            None => LoadError { text: error.to_string(), kind: Kind::Loss },
        }
    }

    pub(super) fn too_old(version: &str, needed: i32) -> Self {
        let text = format!("cannot run with {version}: at least PostgreSQL {needed} is needed");
        LoadError { text, kind: Kind::Refused }
    }

    /// The same, with what it is about.
    pub(super) fn about(mut self, what: &str) -> Self {
        self.text.insert_str(0, ": ");
        self.text.insert_str(0, what);
        self
    }

    /// Whether trying again is of no use: user, password or version must change first.
    pub fn is_refusal(&self) -> bool {
        self.kind == Kind::Refused
    }

    /// Whether the database cannot be reached or went away.
    pub fn is_loss(&self) -> bool {
        self.kind == Kind::Loss
    }

    /// Whether the database has no connection to spare now.
    pub fn is_busy(&self) -> bool {
        self.kind == Kind::Busy
    }

    /// Whether the database answered with an error.
    pub fn is_query(&self) -> bool {
        self.kind == Kind::Query
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for LoadError {}
