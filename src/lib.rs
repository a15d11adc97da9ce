//! goldenkey: a REST API server for PostgreSQL that speaks PostgREST's HTTP API.
//!
//! The library holds everything; `main` only parses the command line and runs a command of
//! [`cli`]. `ARCHITECTURE.md` is the map of the modules and their direction.

pub mod app;
pub mod auth;
pub mod cancel;
pub mod cli;
pub mod config;
pub mod error;
pub mod http;
pub mod json;
pub mod observe;
pub mod plan;
pub mod pool;
pub mod query;
pub mod request;
pub mod response;
pub mod schema;
pub mod server;
pub mod transaction;
