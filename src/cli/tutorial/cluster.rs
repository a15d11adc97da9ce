//! A private PostgreSQL cluster as a child process: made, started, stopped.
//!
//! It listens on a Unix socket in a folder of mode 0700 and nowhere else, so whoever can
//! connect owns it already, and it asks for no password. It never outlives this process.

use super::folder::Folder;
use super::programs::Programs;
use crate::cli::Failure;
use postgres::{Client, NoTls};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a start may take; recovery after a crash is part of it.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a clean stop may take before the server is stopped without a checkpoint.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a starting or stopping server is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How much of PostgreSQL's log a failure shows, in lines.
const LOG_TAIL_LINES: usize = 5;

/// Settings of a cluster that serves one person. Memory in PostgreSQL's own units.
const SETTINGS: [&str; 5] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "shared_buffers=16MB",
    "max_connections=40",
    "logging_collector=off",
];

/// A running cluster. Dropping it stops it.
pub struct Cluster<'a> {
    folder: &'a Folder,
    postgres: Child,
    stopped: bool,
}

impl<'a> Cluster<'a> {
    /// Starts the cluster of `folder`, making it first if need be, and returns once it
    /// accepts connections. Call it on a thread that lives as long as the process: the
    /// kernel stops the cluster when that thread ends.
    ///
    /// # Errors
    /// When a program fails; the text ends with the last lines of its log.
    pub fn start(programs: &Programs, folder: &'a Folder) -> Result<Self, Failure> {
        if !folder.cluster().exists() {
            make(programs, folder)?;
        }
        folder.remove_stale_pid_file()?;
        let mut command = Command::new(programs.postgres());
        command.arg("-D").arg(folder.cluster()).arg("-k").arg(folder.sockets());
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        // A group of its own keeps the terminal's Ctrl-C from it: requests in flight end
        // first, then the cluster is stopped.
        command.process_group(0);
        let postgres = log_to(&mut command, folder)?
            .spawn()
            .map_err(|error| Failure::io("cannot start PostgreSQL", error))?;
        let mut cluster = Cluster { folder, postgres, stopped: false };
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let folder = self.folder;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Ok(Some(status)) = self.postgres.try_wait() {
                self.stopped = true;
                return Err(failure(&format!("PostgreSQL did not start ({status})"), folder));
            }
            match self.try_connect() {
                Ok(_) => return Ok(()),
                Err(_) if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
                Err(error) => {
                    let seconds = START_TIMEOUT.as_secs();
                    let text = format!("PostgreSQL was not ready in {seconds} s ({error})");
                    return Err(failure(&text, folder));
                }
            }
        }
    }

    /// A connection as the cluster's superuser.
    ///
    /// # Errors
    /// When PostgreSQL refuses it; the text ends with the last lines of its log.
    pub fn connect(&self) -> Result<Client, Failure> {
        self.try_connect().map_err(|error| {
            failure(&format!("cannot connect to the tutorial's database: {error}"), self.folder)
        })
    }

    fn try_connect(&self) -> Result<Client, postgres::Error> {
        postgres::Config::new()
            .host_path(self.folder.sockets())
            .user("postgres")
            .dbname("postgres")
            .connect(NoTls)
    }

    /// Stops the cluster: open connections are closed, everything is written to disk.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        // PostgreSQL's fast shutdown, then its immediate one, then the kernel's.
        for (signal, patience) in [
            (libc::SIGINT, STOP_TIMEOUT),
            (libc::SIGQUIT, STOP_TIMEOUT),
            (libc::SIGKILL, STOP_TIMEOUT),
        ] {
            if self.stopped {
                return;
            }
            signal_child(&self.postgres, signal);
            let deadline = Instant::now() + patience;
            while !self.stopped && Instant::now() < deadline {
                self.stopped = !matches!(self.postgres.try_wait(), Ok(None));
                if !self.stopped {
                    thread::sleep(POLL_INTERVAL);
                }
            }
        }
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Makes the cluster's files. They get their final name when they are complete, so that an
/// interrupted attempt is not taken for a cluster.
fn make(programs: &Programs, folder: &Folder) -> Result<(), Failure> {
    let (unfinished, finished) = (folder.unfinished_cluster(), folder.cluster());
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .map_err(|error| Failure::io("cannot remove an unfinished cluster", error))?;
    }
    let mut command = Command::new(programs.initdb());
    command.arg("-D").arg(&unfinished);
    command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]);
    let status = log_to(&mut command, folder)?
        .status()
        .map_err(|error| Failure::io("cannot run initdb", error))?;
    if !status.success() {
        return Err(failure(&format!("initdb failed ({status})"), folder));
    }
    fs::rename(&unfinished, &finished)
        .map_err(|error| Failure::io("cannot name the new cluster", error))
}

/// Prepares a program of PostgreSQL: a clean environment (`PG*` variables would change
/// what it does), output into the log, and an end when this process ends.
fn log_to<'a>(command: &'a mut Command, folder: &Folder) -> Result<&'a mut Command, Failure> {
    let log = folder.log();
    let attempt = || format!("cannot write {}", log.display());
    let output = File::create(&log).map_err(|error| Failure::io(attempt(), error))?;
    let errors = output.try_clone().map_err(|error| Failure::io(attempt(), error))?;
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    end_with_this_process(command);
    Ok(command)
}

/// Has the kernel send SIGINT, a clean stop for PostgreSQL's programs, when the thread that
/// starts the command ends, however it ends.
#[cfg(target_os = "linux")]
fn end_with_this_process(command: &mut Command) {
    let parent = std::process::id();
    let in_child = move || {
        // SAFETY: both are plain system calls, allowed between fork and exec.
        let parent_now = unsafe {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGINT) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            libc::getppid()
        };
        // The parent may have ended before the kernel was told.
        if u32::try_from(parent_now) != Ok(parent) {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        Ok(())
    };
    // SAFETY: the closure only makes system calls and compares integers; it does not
    // allocate or take locks.
    unsafe { command.pre_exec(in_child) };
}

#[cfg(not(target_os = "linux"))]
fn end_with_this_process(_command: &mut Command) {}

fn signal_child(child: &Child, signal: libc::c_int) {
    if let Ok(pid) = libc::pid_t::try_from(child.id()) {
        // SAFETY: kill touches no memory of ours. The child was not waited for, so the
        // number is still its own.
        unsafe { libc::kill(pid, signal) };
    }
}

fn failure(problem: &str, folder: &Folder) -> Failure {
    format!("{problem}{}", log_tail(&folder.log())).into()
}

/// The end of a log, each line indented; empty when there is none.
fn log_tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
    tail.iter().map(|line| format!("\n    {line}")).collect()
}
