//! Finds PostgreSQL's server programs.

use crate::cli::Failure;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The environment variable that names the folder of `initdb` and `postgres`.
pub const BIN_VARIABLE: &str = "GOLDENKEY_PG_BIN";

/// The oldest major version whose catalogs and error texts the server knows.
const OLDEST_MAJOR: u32 = 14;

/// Where distributions keep the programs of each version, outside of `PATH`: the folder of
/// the versions, and what leads from a version to its programs.
const VERSION_FOLDERS: [(&str, &str); 2] = [("/usr/lib/postgresql", "bin"), ("/usr", "bin")];

/// The server programs of one PostgreSQL version.
#[derive(Debug)]
pub struct Programs {
    folder: PathBuf,
    major: u32,
}

impl Programs {
    /// The programs to use; with `wanted_major`, those of the version that a cluster
    /// was made with. Looks at `GOLDENKEY_PG_BIN`, then `PATH`, then `pg_config --bindir`,
    /// then where Debian and Red Hat keep them.
    ///
    /// # Errors
    /// When there are none, or none of that version; the text says what to install.
    pub fn find(wanted_major: Option<u32>) -> Result<Programs, Failure> {
        let found = match env::var_os(BIN_VARIABLE) {
            Some(folder) => {
                vec![Programs::at(Path::new(&folder)).ok_or_else(|| {
                    let folder = Path::new(&folder).display();
                    format!("{BIN_VARIABLE} names {folder}, where initdb and postgres do not run")
                })?]
            }
            None => candidates().iter().filter_map(|folder| Programs::at(folder)).collect(),
        };
        choose(found, wanted_major)
    }

    /// The path of `initdb`.
    pub fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    /// The path of `postgres`.
    pub fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// The programs in `folder`, if both are there and `postgres` tells its version.
    fn at(folder: &Path) -> Option<Programs> {
        if !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let major = major_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Programs { folder: folder.to_owned(), major })
    }
}

fn choose(found: Vec<Programs>, wanted_major: Option<u32>) -> Result<Programs, Failure> {
    let newest = found.iter().map(|programs| programs.major).max();
    let fits = |programs: &Programs| match wanted_major {
        Some(major) => programs.major == major,
        None => programs.major >= OLDEST_MAJOR,
    };
    found.into_iter().find(fits).ok_or_else(|| missing(newest, wanted_major))
}

fn missing(newest: Option<u32>, wanted_major: Option<u32>) -> Failure {
    let problem = match (newest, wanted_major) {
        (None, _) => "PostgreSQL's server programs (initdb, postgres) were not found".to_owned(),
        (Some(newest), Some(wanted)) => format!(
            "the data folder was made by PostgreSQL {wanted}, but only {newest} was found; \
             a new folder (--data) works with it"
        ),
        (Some(newest), None) => {
            format!("PostgreSQL {newest} was found, but {OLDEST_MAJOR} or newer is needed")
        }
    };
    format!(
        "{problem}\n\
         install them:       apt-get install postgresql    (Debian, Ubuntu)\n\
         \x20                   dnf install postgresql-server (Fedora, Red Hat)\n\
         or name the folder: {BIN_VARIABLE}=/path/to/postgresql/bin"
    )
    .into()
}

/// Folders where the programs may be, best first.
fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()));
    }
    for (versions, bin) in VERSION_FOLDERS {
        let mut installed: Vec<(u32, PathBuf)> = fs::read_dir(versions)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((version_of_folder(&entry.file_name())?, entry.path())))
            .collect();
        installed.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
        folders.extend(installed.into_iter().map(|(_, folder)| folder.join(bin)));
    }
    folders
}

/// The version in a folder name such as `15` or `pgsql-15`.
fn version_of_folder(name: &OsStr) -> Option<u32> {
    let name = name.to_str()?;
    name.strip_prefix("pgsql-").unwrap_or(name).parse().ok()
}

/// The major version in `postgres (PostgreSQL) 15.6 (Debian 15.6-0+deb12u1)`.
fn major_version(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(major: u32) -> Programs {
        Programs { folder: PathBuf::from(format!("/{major}")), major }
    }

    #[test]
    fn versions_of_releases_and_betas_are_read() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0)\n"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_version("not PostgreSQL"), None);
    }

    #[test]
    fn version_folders_of_debian_and_red_hat_are_known() {
        assert_eq!(version_of_folder(OsStr::new("15")), Some(15));
        assert_eq!(version_of_folder(OsStr::new("pgsql-16")), Some(16));
        assert_eq!(version_of_folder(OsStr::new("bin")), None);
    }

    #[test]
    fn a_cluster_keeps_the_version_it_was_made_with() {
        let chosen = choose(vec![programs(17), programs(15)], Some(15)).unwrap();
        assert_eq!(chosen.postgres(), Path::new("/15/postgres"));
        let chosen = choose(vec![programs(13), programs(16), programs(17)], None).unwrap();
        assert_eq!(chosen.initdb(), Path::new("/16/initdb"));
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_install() {
        let text = choose(vec![], None).unwrap_err().to_string();
        assert!(text.contains("apt-get install postgresql"), "{text}");
        let text = choose(vec![programs(17)], Some(15)).unwrap_err().to_string();
        assert!(text.contains("made by PostgreSQL 15, but only 17"), "{text}");
        let text = choose(vec![programs(13)], None).unwrap_err().to_string();
        assert!(text.contains("14 or newer"), "{text}");
    }
}
