//! What this process uses, as the system tells it.

use std::fs;
use std::time::Duration;

/// What the process uses; zero where the system does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// User and system time since the start.
    pub cpu: Duration,
    /// Memory in RAM.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_descriptors: u64,
    /// Threads.
    pub threads: u64,
}

/// Reads it from `/proc`, see proc(5).
pub fn usage() -> Usage {
    // SAFETY: sysconf has no preconditions.
    let (ticks, page_bytes) =
        unsafe { (libc::sysconf(libc::_SC_CLK_TCK), libc::sysconf(libc::_SC_PAGESIZE)) };
    let open_descriptors = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count());
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    Usage { open_descriptors: open_descriptors as u64, ..of_stat(&stat, ticks, page_bytes) }
}

fn of_stat(stat: &str, ticks_per_second: i64, page_bytes: i64) -> Usage {
    // The second field, the command in parentheses, may hold anything.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<u64> = rest.split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
    // Numbers of proc(5), which counts from 1 and has two before these.
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    let ticks = field(14) + field(15);
    Usage {
        cpu: Duration::from_secs_f64(ticks as f64 / ticks_per_second.max(1) as f64),
        resident_bytes: field(24) * page_bytes.unsigned_abs(),
        open_descriptors: 0,
        threads: field(20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_is_read_whatever_the_name_of_the_command() {
        let stat = "7 (a b) 1) S 1 7 7 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 12 0 99 1000000 2000 1";
        let usage = of_stat(stat, 100, 4096);
        assert_eq!(usage.cpu, Duration::from_secs(2));
        assert_eq!((usage.resident_bytes, usage.threads), (2000 * 4096, 12));
        assert_eq!(of_stat("", 100, 4096), Usage::default());
    }

    #[test]
    fn this_process_uses_something() {
        let usage = usage();
        assert!(usage.resident_bytes > 0 && usage.open_descriptors > 0 && usage.threads > 0);
    }
}
