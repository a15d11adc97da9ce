//! The tutorial's configuration file: written once, then the user's to change.

use super::folder::Folder;
use crate::cli::Failure;
use crate::cli::serve::ConfigSource;
use crate::cli::token::random_secret;
use crate::config::Environment;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::Path;

/// The port of PostgREST and of its tutorial.
const DEFAULT_PORT: u16 = 3000;

/// What a path in a database URI may hold as it is; enough that it needs no quoting in the
/// configuration file either.
const URI_ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// Writes the configuration file with a new secret, unless there is one, and says how to
/// read it. A given port wins over the file's; the variables of this process do not count,
/// since they are meant for another database.
///
/// # Errors
/// When the file cannot be written.
pub fn prepare(folder: &Folder, port: Option<u16>) -> Result<ConfigSource, Failure> {
    let path = folder.configuration();
    if !path.exists() {
        let secret = random_secret()?;
        let text = text(folder.sockets(), &secret, port.unwrap_or(DEFAULT_PORT))?;
        folder.write_private(&path, &text)?;
    }
    let environment = match port {
        Some(port) => Environment::from([("PGRST_SERVER_PORT", port.to_string().as_str())]),
        None => Environment::default(),
    };
    Ok(ConfigSource { path: Some(path), environment })
}

fn text(sockets: &Path, secret: &str, port: u16) -> Result<String, Failure> {
    let sockets =
        sockets.to_str().ok_or_else(|| "the data folder's path is not UTF-8".to_owned())?;
    let host = utf8_percent_encode(sockets, URI_ESCAPED);
    Ok(format!(
        r#"# Written by `goldenkey tutorial`, which keeps it as it is from now on: try things out.

db-uri = "postgres://authenticator@/postgres?host={host}"
db-schemas = "api"
db-anon-role = "web_anon"

# Whoever knows it can sign tokens for every role.
jwt-secret = "{secret}"

# Runs before each request; turns the bearer of the revoked token away.
db-pre-request = "auth.check_token"

# Only for this machine.
server-host = "127.0.0.1"
server-port = {port}

# A line for each request.
log-level = "info"
"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_written_configuration_is_read_without_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tutorial.conf");
        let sockets = Path::new("/home/josé/my $(data) \"folder\"/sockets");
        let secret = random_secret().unwrap();
        std::fs::write(&path, text(sockets, &secret, 8080).unwrap()).unwrap();

        let (config, warnings) = Config::load(Some(&path), &Environment::default(), &[]).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(config.jwt_secret.as_deref(), Some(secret.as_bytes()));
        assert_eq!(config.server_port, 8080);
        assert_eq!(
            config.db_uri,
            "postgres://authenticator@/postgres?host=/home/jos%C3%A9/my%20%24%28data%29%20%22folder%22/sockets"
        );
    }
}
