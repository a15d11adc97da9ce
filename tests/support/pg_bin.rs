//! Finds PostgreSQL's server programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The variable that names the folder of the programs.
pub const VARIABLE: &str = "GOLDENKEY_PG_BIN";

const TOOLS: [&str; 3] = ["initdb", "postgres", "psql"];

/// The folder of `initdb`, `postgres` and `psql`.
///
/// # Panics
/// With what to install, when there is none.
pub fn folder() -> &'static Path {
    static FOLDER: LazyLock<Result<PathBuf, String>> =
        LazyLock::new(|| find(std::env::var_os(VARIABLE).map(PathBuf::from)));
    match &*FOLDER {
        Ok(folder) => folder,
        Err(message) => panic!("{message}"),
    }
}

/// The folder that is `given`, or the first of the usual places that has all programs.
pub fn find(given: Option<PathBuf>) -> Result<PathBuf, String> {
    if let Some(folder) = given {
        return if is_complete(&folder) {
            Ok(folder)
        } else {
            Err(format!("{VARIABLE} is {}, which lacks one of {TOOLS:?}", folder.display()))
        };
    }
    let candidates = on_path().into_iter().chain(from_pg_config()).chain(debian());
    candidates.into_iter().find(|folder| is_complete(folder)).ok_or_else(|| {
        format!(
            "PostgreSQL's server programs were not found. Install them (Debian, Ubuntu: \
             `apt install postgresql`; Fedora: `dnf install postgresql-server`; macOS: \
             `brew install postgresql`), or name their folder in {VARIABLE}."
        )
    })
}

fn is_complete(folder: &Path) -> bool {
    TOOLS.iter().all(|tool| folder.join(tool).exists())
}

fn on_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect()
}

fn from_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// Debian's folders, the newest version first.
fn debian() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin")))
        })
        .collect();
    versions.sort_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, path)| path).collect()
}
