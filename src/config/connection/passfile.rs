//! Passwords from a file with lines of `host:port:database:user:password`.
//!
//! <https://www.postgresql.org/docs/current/libpq-pgpass.html>

use super::super::environment::Environment;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Permissions of others, with which the file does not count.
const OTHERS: u32 = 0o077;

/// The user's home folder.
pub(super) fn home(environment: &Environment) -> Option<PathBuf> {
    environment.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// The lines of the file at `path`, or of the one in the home folder; none when there is
/// no file, or when others may read it.
pub(super) fn read(path: Option<&str>, environment: &Environment) -> String {
    let path = match path {
        Some(path) => Some(PathBuf::from(path)),
        None => home(environment).map(|home| home.join(".pgpass")),
    };
    path.filter(|path| is_private(path))
        .and_then(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default()
}

fn is_private(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    let private = metadata.permissions().mode() & OTHERS == 0;
    if metadata.is_file() && !private {
        log::warn!("password file {} has group or world access; it does not count", path.display());
    }
    metadata.is_file() && private
}

/// The password of the first line that matches host, port, database and user.
pub(super) fn find(lines: &str, wanted: [&str; 4]) -> Option<String> {
    lines.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for wanted in wanted {
            let (field, after) = field(rest)?;
            if rest.starts_with("*:") || field == wanted {
                rest = after;
            } else {
                return None;
            }
        }
        // In the last field a backslash escapes too, but a colon ends nothing.
        Some(unescape(rest))
    })
}

/// The field at the start of the line, and what follows its colon.
fn field(line: &str) -> Option<(String, &str)> {
    let mut escaped = false;
    let end = line.bytes().position(|byte| {
        let ends = byte == b':' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((unescape(&line[..end]), &line[end + 1..]))
}

fn unescape(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        value.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_matches_has_the_password() {
        let lines = "# all\nh:5432:db:bob:one\n*:*:*:ann:t\\:wo\\\\\nh:*:*:bob:three:x\n";
        let password = |host, user| find(lines, [host, "5432", "db", user]);
        assert_eq!(password("h", "bob").as_deref(), Some("one"));
        assert_eq!(password("any", "ann").as_deref(), Some("t:wo\\"));
        assert_eq!(password("any", "bob"), None);
        assert_eq!(find(lines, ["h", "1", "x", "bob"]).as_deref(), Some("three:x"));
    }

    #[test]
    fn a_file_that_others_may_read_does_not_count() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "*:*:*:*:pw\n").unwrap();
        let path = file.path().to_str().unwrap();
        let with_mode = |mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            read(Some(path), &Environment::default())
        };
        assert_eq!(with_mode(0o644), "");
        assert_eq!(with_mode(0o600), "*:*:*:*:pw\n");
    }
}
