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
mod error;
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
pub use error::ConnectionError;
pub use settings::{ConnectionSettings, TargetSession};
pub use socket::SessionSocket;
pub use tls::SslMode;
