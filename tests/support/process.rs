//! Child processes: signals, waiting with a limit, and the user that PostgreSQL may run as.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// The signals that tests send.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    Continue,
    Interrupt,
    Kill,
    Quit,
    Stop,
    Terminate,
    User1,
    User2,
}

/// Sends a signal; a process that is already gone is fine.
pub fn send(pid: u32, signal: Signal) {
    let number = match signal {
        Signal::Continue => libc::SIGCONT,
        Signal::Interrupt => libc::SIGINT,
        Signal::Kill => libc::SIGKILL,
        Signal::Quit => libc::SIGQUIT,
        Signal::Stop => libc::SIGSTOP,
        Signal::Terminate => libc::SIGTERM,
        Signal::User1 => libc::SIGUSR1,
        Signal::User2 => libc::SIGUSR2,
    };
    let pid = libc::pid_t::try_from(pid).expect("a process id fits pid_t");
    // SAFETY: kill() touches no memory of ours.
    unsafe { libc::kill(pid, number) };
}

/// Waits for the process to end; `None` if it still runs after `limit`.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    super::wait_for(limit, || child.try_wait().expect("a child can be waited for"))
}

/// Sets how many files a process may have open, from now on.
pub fn limit_open_files(pid: u32, count: u64) {
    let pid = libc::pid_t::try_from(pid).expect("a process id fits pid_t");
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both pointers are to structures of the type that prlimit() takes.
    let done = unsafe {
        libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &mut limit);
        limit.rlim_cur = count;
        libc::prlimit(pid, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut())
    };
    assert_eq!(done, 0, "the limit can be set");
}

/// The direct children of a process.
pub fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("/proc is readable");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| stat_field(pid, 4) == Some(u64::from(parent))).collect()
}

/// A numeric field of `/proc/PID/stat`, counted from 1 as in proc(5).
pub fn stat_field(pid: u32, field: usize) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the command in parentheses, may hold spaces.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(field - 3)?.parse().ok()
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    // SAFETY: geteuid() has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// The user and group that root hands PostgreSQL to, which refuses to run as root.
/// `None` when this process is not root.
pub fn unprivileged_user() -> Option<(u32, u32)> {
    if !is_root() {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    let find = |name: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2);
        Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
    };
    let user = find("postgres").or_else(|| find("nobody"));
    Some(user.expect("running as root, and neither the user postgres nor nobody exists"))
}

/// A command that runs as the unprivileged user when this process is root. Supplementary
/// groups are dropped with the user id.
pub fn unprivileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = unprivileged_user() {
        command.uid(user).gid(group);
    }
    command.current_dir("/");
    command
}
