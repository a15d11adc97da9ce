//! Named groups of parameters in a service file.
//!
//! <https://www.postgresql.org/docs/current/libpq-pgservice.html>

use super::super::environment::Environment;
use super::super::input;
use super::error::ConnectionError;
use super::passfile;
use ini::{Ini, ParseOption};
use std::path::PathBuf;

/// The parameters of a service. The user's file comes before the system's.
pub(super) fn read(
    service: &str,
    environment: &Environment,
) -> Result<Vec<(String, String)>, ConnectionError> {
    let own = match environment.get("PGSERVICEFILE") {
        Some(path) => Some(PathBuf::from(path)),
        None => passfile::home(environment).map(|home| home.join(".pg_service.conf")),
    };
    let directory = environment.get("PGSYSCONFDIR").unwrap_or("/etc/postgresql-common");
    let files = own.into_iter().chain([PathBuf::from(directory).join("pg_service.conf")]);
    for path in files.filter(|path| path.exists()) {
        let options =
            ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
        let failed = |error: &dyn std::fmt::Display| {
            ConnectionError::new(format!("service file {}: {error}", path.display()))
        };
        let text = String::from_utf8(input::read(&path).map_err(|error| failed(&error))?)
            .map_err(|_| failed(&"it is not UTF-8"))?;
        let file = Ini::load_from_str_opt(&text, options).map_err(|error| failed(&error))?;
        if let Some(group) = file.section(Some(service)) {
            return Ok(group.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect());
        }
    }
    Err(ConnectionError::new(format!("definition of service \"{service}\" not found")))
}
