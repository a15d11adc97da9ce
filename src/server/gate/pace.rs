//! How many requests are worked on at once while no core is idle.
//!
//! Where PostgreSQL shares the cores, more transactions at once than cores make none of them
//! faster: each wake-up waits behind the others' work, and the unlucky ones for long. So while
//! the cores are all busy, only as many requests go to the workers as there are cores and three,
//! and the others wait here. What takes long does not count: it waits for something else.
//! While some core is idle, as with a database on another machine, there is no such bound.

use std::time::{Duration, Instant};

/// Requests at once beside one a core.
const BESIDE_CORES: usize = 3;
/// From when on a request counts as waiting for something else than a core.
pub(super) const SLOW: Duration = Duration::from_millis(5);
/// Between two looks at how busy the cores are.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// The part of the cores' time that is idle when one counts as idle.
const IDLE_PERCENT: u64 = 8;

/// The bound in force.
#[derive(Debug)]
pub(super) struct Pace {
    bound: usize,
    cores: Cores,
    busy: bool,
    next_look: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        let cores = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
        Pace {
            bound: cores.saturating_add(BESIDE_CORES),
            cores: Cores::new(),
            busy: false,
            next_look: now,
        }
    }

    /// Looks at the cores now and then; called while requests come.
    pub(super) fn look(&mut self, now: Instant) {
        if now >= self.next_look {
            self.next_look = now + LOOK_INTERVAL;
            self.busy = self.cores.are_busy();
        }
    }

    /// How many requests that are not slow may be with the workers.
    pub(super) fn bound(&self) -> Option<usize> {
        self.busy.then_some(self.bound)
    }
}

/// The time that all cores of the system have spent, from `/proc/stat` (proc(5)); where that
/// cannot be read, no core counts as busy.
#[derive(Debug)]
struct Cores {
    file: Option<std::fs::File>,
    seen: Option<(u64, u64)>,
}

impl Cores {
    fn new() -> Cores {
        Cores { file: std::fs::File::open("/proc/stat").ok(), seen: None }
    }

    fn are_busy(&mut self) -> bool {
        let now = self.read();
        let before = std::mem::replace(&mut self.seen, now);
        let (Some((idle, total)), Some((idle_before, total_before))) = (now, before) else {
            return false;
        };
        let total = total.saturating_sub(total_before);
        total > 0 && idle.saturating_sub(idle_before) * 100 < total * IDLE_PERCENT
    }

    fn read(&self) -> Option<(u64, u64)> {
        use std::os::unix::fs::FileExt;
        let mut bytes = [0; 256];
        let length = self.file.as_ref()?.read_at(&mut bytes, 0).ok()?;
        times(std::str::from_utf8(&bytes[..length]).ok()?)
    }
}

/// The idle time and all time in the first line of `/proc/stat`.
fn times(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    // User, nice, system, idle, iowait, irq, softirq, steal; guests' time is among the user's.
    let times: Vec<u64> = fields.take(8).map_while(|field| field.parse().ok()).collect();
    Some((times.get(3)? + times.get(4)?, times.iter().sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_cores_is_read() {
        let stat = "cpu  10 1 20 300 40 5 6 7 8 9\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(times(stat), Some((340, 389)));
        for broken in ["", "cpu", "cpu  1 2 3", "intr 1 2 3 4 5"] {
            assert_eq!(times(broken), None, "{broken}");
        }
    }

    #[test]
    fn without_two_looks_at_the_cores_there_is_no_bound() {
        let mut pace = Pace::new(Instant::now());
        assert_eq!(pace.bound(), None);
        pace.look(Instant::now());
        assert_eq!(pace.bound(), None);
        pace.cores = Cores { file: None, seen: Some((0, 0)) };
        pace.look(Instant::now() + LOOK_INTERVAL);
        assert_eq!(pace.bound(), None);
    }
}
