//! `goldenkey tutorial`: the todo list of PostgREST's tutorials, served from a private
//! PostgreSQL cluster that is made on the first run and kept for the next.

mod account;
mod cluster;
mod configuration;
mod database;
mod folder;
mod place;
mod programs;
mod steps;

use super::serve::Service;
use super::{Failure, print, token};
use crate::auth;
use cluster::Cluster;
use folder::Folder;
use programs::Programs;
use serde_json::{Map, Value, json};
use std::env;
use std::path::PathBuf;
use steps::Steps;

/// When the expiring token of the tutorial expires, in seconds from the start.
const EXPIRY_SECONDS: i64 = 5 * 60;

/// What `goldenkey tutorial` is asked for.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// The port to serve on; without it the configuration's, at first 3000.
    pub port: Option<u16>,
    /// The data folder; without it one among the user's data.
    pub data: Option<PathBuf>,
}

/// Serves the tutorial until SIGINT or SIGTERM ends it, and prints its steps.
///
/// # Errors
/// When PostgreSQL is missing or does not start, or folder or port cannot be used.
pub fn run(options: Options) -> Result<(), Failure> {
    let folder = Folder::open(options.data)?;
    let programs = Programs::find(folder.cluster_major())?;
    let source = configuration::prepare(&folder, options.port)?;
    // Before the cluster, which takes longer: the port may be in use.
    let service = Service::bind(source)?;
    eprintln!("goldenkey: starting PostgreSQL in {}", folder.path().display());
    let cluster = Cluster::start(&programs, &folder)?;
    database::load(&mut cluster.connect()?)?;
    // Who is quick to paste them waits until the schema is loaded.
    print(&steps(&service, &folder)?)?;
    service.run()?;
    cluster.stop();
    eprintln!("goldenkey: stopped; the todos stay in {}", folder.path().display());
    Ok(())
}

/// The tutorial's steps, with tokens that hold.
fn steps(service: &Service, folder: &Folder) -> Result<String, Failure> {
    let config = service.config();
    let secret = config.jwt_secret.as_deref().unwrap_or_default();
    let sign = |claims: Value| {
        let claims: Map<String, Value> = serde_json::from_value(claims).unwrap_or_default();
        auth::sign(secret, &claims).map_err(|error| Failure::from(error.to_string()))
    };
    let steps = Steps {
        version: env!("CARGO_PKG_VERSION"),
        port: config.server_port,
        program: &env::current_exe().unwrap_or_else(|_| PathBuf::from("goldenkey")),
        data: folder.path(),
        configuration: &folder.configuration(),
        sockets: folder.sockets(),
        token: &sign(json!({"role": "todo_user"}))?,
        expiring_token: &sign(
            json!({"role": "todo_user", "exp": token::unix_seconds() + EXPIRY_SECONDS}),
        )?,
        wayward_token: &sign(json!({"role": "todo_user", "email": "disgruntled@mycompany.com"}))?,
    };
    Ok(steps.text())
}
