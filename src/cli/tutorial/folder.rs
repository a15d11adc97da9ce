//! The tutorial's data folder: what is where, who may use it, and who uses it now.
//!
//! ```text
//! DIR/tutorial.conf    configuration with the secret, for its owner's eyes only
//! DIR/tutorial.lock    locked by the running tutorial
//! DIR/cluster/         PostgreSQL's files
//! DIR/sockets/         PostgreSQL's socket; elsewhere when DIR is a long path
//! DIR/postgres.log     what PostgreSQL says
//! ```

use super::account::{self, Account};
use super::place;
use crate::cli::Failure;
use rustix::fs::{Mode, OFlags, openat};
use std::env;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf, absolute};
use std::thread;
use std::time::{Duration, Instant};

/// The longest path of a Unix socket, in bytes (`sun_path` of Linux less the final zero).
const SOCKET_PATH_MAX_BYTES: usize = 107;

/// What the running tutorial locks.
const LOCK: &str = "tutorial.lock";

/// What PostgreSQL calls its socket, for the default port.
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// How long the cluster of a tutorial that crashed may take to end.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(20);

/// The data folder, locked for this process.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    sockets: PathBuf,
    _lock: File,
}

impl Folder {
    /// Opens `wanted`, or the default folder, making it first if need be. A process of
    /// root's is another user's afterwards, and the folder belongs to that user.
    ///
    /// # Errors
    /// When the folder is used by another tutorial, holds something else, or cannot be
    /// written.
    pub fn open(wanted: Option<PathBuf>) -> Result<Folder, Failure> {
        let account = Account::instead_of_root()?;
        let path = match wanted {
            Some(path) => absolute(&path)
                .map_err(|error| Failure::io(format!("--data {}", path.display()), error))?,
            None => default_path(account.is_some())?,
        };
        let folder = place::open(&path, account.as_ref())?;
        if let Some(account) = &account {
            account.assume()?;
        }
        check_reach(&folder, &path)?;
        let lock = lock(&folder, &path)?;
        let sockets = socket_folder(&path);
        make_socket_folder(&sockets)?;
        Ok(Folder { path, sockets, _lock: lock })
    }

    /// The folder itself, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration file.
    pub fn configuration(&self) -> PathBuf {
        self.path.join("tutorial.conf")
    }

    /// PostgreSQL's files.
    pub fn cluster(&self) -> PathBuf {
        self.path.join("cluster")
    }

    /// PostgreSQL's files while `initdb` is at work.
    pub fn unfinished_cluster(&self) -> PathBuf {
        self.path.join("cluster.unfinished")
    }

    /// What PostgreSQL says.
    pub fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// The folder of PostgreSQL's socket; short enough for the kernel.
    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// The major version that made the cluster; `None` when there is no cluster yet.
    pub fn cluster_major(&self) -> Option<u32> {
        fs::read_to_string(self.cluster().join("PG_VERSION")).ok()?.trim().parse().ok()
    }

    /// Writes a file that only its owner may read; it is there as a whole or not at all.
    pub fn write_private(&self, path: &Path, text: &str) -> Result<(), Failure> {
        let unfinished = path.with_extension("unfinished");
        let write = || -> io::Result<()> {
            let mut options = File::options();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, path)
        };
        write().map_err(|error| Failure::io(format!("cannot write {}", path.display()), error))
    }

    /// Deals with the `postmaster.pid` of a tutorial that crashed: waits for a server that
    /// is still on its way out, and removes the file when its process number belongs to
    /// another program by now, which would keep PostgreSQL from starting. The file of a
    /// process that is gone is left to PostgreSQL.
    ///
    /// # Errors
    /// When a server still runs on the cluster.
    pub fn remove_stale_pid_file(&self) -> Result<(), Failure> {
        let file = self.cluster().join("postmaster.pid");
        let deadline = Instant::now() + ORPHAN_TIMEOUT;
        while let Some(pid) = pid_in(&file) {
            match program_of(pid) {
                None => return Ok(()),
                Some(program) if !is_server(&program) => {
                    return fs::remove_file(&file).map_err(|error| {
                        Failure::io("cannot remove a stale postmaster.pid", error)
                    });
                }
                Some(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(50)),
                Some(_) => {
                    let cluster = self.cluster();
                    return Err(format!(
                        "PostgreSQL (process {pid}) still runs on {}; stop it with: kill -INT {pid}",
                        cluster.display()
                    )
                    .into());
                }
            }
        }
        Ok(())
    }
}

/// The folder without `--data`: among the user's data (XDG Base Directory), or the
/// system's for root.
fn default_path(root: bool) -> Result<PathBuf, Failure> {
    let user_data = || {
        let absolute_path = |name| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        absolute_path("XDG_DATA_HOME")
            .or_else(|| absolute_path("HOME").map(|home| home.join(".local/share")))
    };
    let parent = if root { Some(PathBuf::from("/var/lib")) } else { user_data() };
    match parent {
        Some(parent) => Ok(parent.join("goldenkey/tutorial")),
        None => {
            Err("there is no HOME to keep data in: name a folder with --data".to_owned().into())
        }
    }
}

/// Makes sure that the path, which is what PostgreSQL gets, leads to the folder for the user of
/// this process too.
fn check_reach(folder: &OwnedFd, path: &Path) -> Result<(), Failure> {
    let reach = || -> io::Result<bool> {
        let (opened, named) = (rustix::fs::fstat(folder)?, fs::metadata(path)?);
        Ok((opened.st_dev, opened.st_ino) == (named.dev(), named.ino()))
    };
    let path = path.display();
    match reach() {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{path} was exchanged for another folder").into()),
        Err(error) => Err(Failure::io(
            format_args!(
                "cannot reach {path} (PostgreSQL does not run as root, so an unprivileged user \
                 must be able to reach it: try another --data)"
            ),
            error,
        )),
    }
}

/// Locks the folder for this process.
fn lock(folder: &OwnedFd, path: &Path) -> Result<File, Failure> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(folder, LOCK, flags, Mode::RUSR | Mode::WUSR).map(File::from);
    let file = file.map_err(|error| {
        Failure::io(format_args!("cannot write into {}", path.display()), error.into())
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(format!("another `goldenkey tutorial` is using {}", path.display()).into())
        }
        Err(TryLockError::Error(error)) => {
            Err(Failure::io(format!("cannot lock {}", path.display()), error))
        }
    }
}

/// Where the socket goes: beside the cluster, or into a folder of our own among the
/// temporary files when that path would be too long for the kernel.
fn socket_folder(data: &Path) -> PathBuf {
    let beside = data.join("sockets");
    if beside.join(SOCKET_NAME).as_os_str().len() <= SOCKET_PATH_MAX_BYTES {
        return beside;
    }
    let mut hasher = DefaultHasher::new();
    data.as_os_str().as_bytes().hash(&mut hasher);
    Path::new("/tmp").join(format!("goldenkey-{:016x}", hasher.finish()))
}

/// Makes the folder, or makes sure that nobody else can use the one that is there.
fn make_socket_folder(path: &Path) -> Result<(), Failure> {
    let attempt = |error| Failure::io(format!("cannot use {}", path.display()), error);
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(attempt(error)),
        _ => {}
    }
    // Of a link, the link itself: it could lead to somebody else's folder.
    let metadata = fs::symlink_metadata(path).map_err(attempt)?;
    let private = metadata.is_dir()
        && metadata.uid() == account::effective_uid()
        && metadata.mode() & 0o077 == 0;
    if private { Ok(()) } else { Err(format!("{} is not ours alone", path.display()).into()) }
}

/// The process number in the first line of a `postmaster.pid`.
fn pid_in(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
}

/// The name of the program that a process runs; `None` when there is no such process.
fn program_of(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok()
}

fn is_server(program: &str) -> bool {
    matches!(program.trim_end(), "postgres" | "postmaster")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_socket_lies_beside_the_cluster_unless_the_path_is_too_long() {
        assert_eq!(socket_folder(Path::new("/data")), Path::new("/data/sockets"));
        let long = PathBuf::from(format!("/{}", "x".repeat(100)));
        let folder = socket_folder(&long);
        assert!(folder.starts_with("/tmp"), "{}", folder.display());
        assert!(folder.join(SOCKET_NAME).as_os_str().len() <= SOCKET_PATH_MAX_BYTES);
    }

    #[test]
    fn a_socket_folder_that_others_can_enter_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("sockets");
        make_socket_folder(&path).unwrap();
        make_socket_folder(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        assert!(make_socket_folder(&path).unwrap_err().to_string().contains("not ours alone"));
    }

    #[test]
    fn a_link_is_no_socket_folder() {
        let parent = tempfile::tempdir().unwrap();
        let link = parent.path().join("sockets");
        std::os::unix::fs::symlink(parent.path(), &link).unwrap();
        assert!(make_socket_folder(&link).is_err());
    }

    #[test]
    fn a_folder_in_use_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let folder = place::open(data.path(), None).unwrap();
        let lock = || lock(&folder, data.path());
        let held = lock().unwrap();
        let text = lock().unwrap_err().to_string();
        assert!(text.contains("another `goldenkey tutorial`"), "{text}");
        drop(held);
        lock().unwrap();
    }

    #[test]
    fn the_first_line_of_a_pid_file_is_the_process_number() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("postmaster.pid");
        fs::write(&file, "4711\n/data\n1700000000\n").unwrap();
        assert_eq!(pid_in(&file), Some(4711));
        assert_eq!(pid_in(&data.path().join("none")), None);
    }
}
