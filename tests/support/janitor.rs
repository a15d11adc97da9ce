//! Leaves nothing behind: a small shell process that outlives the test process, however that
//! ends, and then stops the processes it was told of and removes the temporary folder.
//!
//! The shell reads from a pipe whose other end only the test process holds, so it wakes up
//! on a normal exit, on Ctrl-C, and on `kill -9`. Statics, which Rust never drops, need no
//! care of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

/// `$1` is the temporary folder; `pids/` in it holds a file for each process, named by its
/// id, with the signal that ends it.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
cat >/dev/null
cd "$1/pids" || exit
for pid in *; do
    [ -e "$pid" ] && kill -s "$(cat "$pid")" "$pid" 2>/dev/null
done
for pid in *; do
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ $tries -lt 50 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    [ -e "$pid" ] && kill -s KILL "$pid" 2>/dev/null
done
cd /
# A child that nobody watched, such as initdb, may still be writing.
tries=0
until rm -rf "$1" 2>/dev/null || [ $tries -ge 50 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
"#;

/// The shell; closing its standard input is the signal.
static SHELL: Mutex<Option<Child>> = Mutex::new(None);

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = tempfile::Builder::new()
        .prefix("goldenkey-test-")
        .tempdir()
        .expect("a temporary folder can be made")
        .keep();
    // PostgreSQL runs as another user when the tests run as root.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("the folder is ours");
    fs::create_dir(folder.join("pids")).expect("the folder is ours");
    let shell = Command::new("sh")
        .args(["-c", SCRIPT, "janitor"])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("sh can be run");
    *SHELL.lock().expect("nothing panics with it") = Some(shell);
    // SAFETY: the handler is a plain function that stays valid.
    unsafe { libc::atexit(finish) };
    folder
});

/// At a normal exit: lets the shell work, and waits until every child has ended.
extern "C" fn finish() {
    // SAFETY: signal() touches no memory of ours. Ignoring SIGCHLD makes wait() return only
    // once all children are gone, and keeps them from staying as zombies until then.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    if let Ok(mut shell) = SHELL.lock()
        && let Some(mut shell) = shell.take()
    {
        // Closes the pipe first. The error is that there is no child left.
        let _ = shell.wait();
    }
}

/// A new empty folder, removed at the end.
pub fn new_folder(prefix: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = FOLDER.join(format!("{prefix}{number}"));
    fs::create_dir(&folder).expect("the temporary folder is ours");
    folder
}

/// A process that is ended with the test process unless this is dropped before.
#[derive(Debug)]
pub struct Watched(PathBuf);

/// Has the process ended by the signal of that name (`KILL`, `QUIT`) at the latest when the
/// test process ends.
pub fn watch(pid: u32, signal: &str) -> Watched {
    let ticket = FOLDER.join("pids").join(pid.to_string());
    fs::write(&ticket, signal).expect("the temporary folder is ours");
    Watched(ticket)
}

impl Drop for Watched {
    fn drop(&mut self) {
        // A failure only means that the janitor signals a process that is gone.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes a folder before the end, to keep disk use low.
pub fn remove_folder(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}
