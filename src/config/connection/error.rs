//! What can be wrong with a connection string.

use std::fmt;

/// A connection string that cannot be used. It never shows a password.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionError(String);

impl ConnectionError {
    pub(super) fn new(text: impl Into<String>) -> Self {
        ConnectionError(text.into())
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConnectionError {}
