//! What the process uses when nothing happens.

use super::SQL;
use crate::support::process::stat_field;
use crate::support::{Cluster, Request, Server, Settings};
use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;

/// Context switches of each thread of a process so far.
fn switches(pid: u32) -> HashMap<OsString, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let of_task = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let lines = status.lines().filter(|line| line.contains("ctxt_switches:"));
        let counts = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        (task.file_name(), counts.sum())
    };
    tasks.filter_map(Result::ok).map(of_task).collect()
}

#[test]
fn an_idle_server_sleeps() {
    let database = Cluster::shared().database(SQL);
    let server = Server::start(&Settings::new(&database));
    assert_eq!(server.send(&Request::get("/todos")).status, 200);
    // What the start and the request have left to do is done.
    std::thread::sleep(Duration::from_secs(2));
    let before = switches(server.pid());
    std::thread::sleep(Duration::from_secs(8));
    // Threads that are not needed after the start end meanwhile.
    let after = switches(server.pid());
    let woken: u64 = after.iter().map(|(task, count)| count - before.get(task).unwrap_or(&0)).sum();
    // A ping and a look at idle connections may fall into this time; a timer of a second
    // would show eight times.
    assert!(woken <= 6, "woken {woken} times in 8 seconds");
    let ticks = stat_field(server.pid(), 14).expect("it runs");
    assert!(ticks < 1000, "{ticks} ticks");
}

#[test]
fn no_temporary_folder_is_needed() {
    let database = Cluster::shared().database(SQL);
    let mut settings = Settings::new(&database);
    settings.environment.push(("TMPDIR".to_owned(), "/nowhere/at/all".to_owned()));
    let server = Server::start(&settings);
    assert_eq!(server.send(&Request::get("/todos")).status, 200);
}
