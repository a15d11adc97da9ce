//! Connections to the database as `db-uri` means them: libpq's connection strings,
//! environment variables, password file and TLS modes, on top of the `postgres` crate,
//! whose own connection strings are another dialect.
//!
//! <https://www.postgresql.org/docs/current/libpq-connect.html>
//!
//! ```
//! use goldenkey::config::Environment;
//! use goldenkey::config::connection::ConnectionSettings;
//!
//! let environment = Environment::from([("PGUSER", "authenticator")]);
//! let settings = ConnectionSettings::parse("postgres://db.example.com/shop", &environment)?;
//! assert_eq!(settings.to_string(), "authenticator@db.example.com:5432/shop");
//! # Ok::<(), goldenkey::config::connection::ConnectionError>(())
//! ```
//!
//! Differences from libpq: a connection attempt ends after 10 seconds unless
//! `connect_timeout` says otherwise, a silent peer is noticed after two minutes unless
//! `keepalives_*` say otherwise, a server's certificate must name the host in its subject
//! alternative names, and parameters for Kerberos, revocation lists and encrypted keys are
//! refused.

mod aside;
mod connector;
mod keyword;
mod parameters;
mod passfile;
mod service;
mod settings;
mod socket;
#[cfg(test)]
mod tests;
mod tls;
mod uri;

pub use aside::close_aside;
pub use connector::{ConnectError, Connector, SessionDefaults};
pub use settings::{ConnectionSettings, TargetSession};
pub use socket::SessionSocket;
pub use tls::SslMode;

use std::fmt;

/// A connection string that cannot be used. It never shows a password.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionError(String);

impl ConnectionError {
    fn new(text: impl Into<String>) -> Self {
        ConnectionError(text.into())
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConnectionError {}
