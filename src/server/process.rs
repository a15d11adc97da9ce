//! What the system allows this process, and what of it the gate may use.

use super::gate;
use super::limits::Limits;
use std::io;

/// Descriptors left for everything but clients and workers: logs, timers, signals, and the
/// connections of other parts of the program.
const RESERVED_DESCRIPTORS: usize = 64;
/// Descriptors that a worker needs: its connection to the database, with some room beside it,
/// and the socket of a client that was closed while the worker had it.
const DESCRIPTORS_PER_WORKER: usize = 3;

/// Allocations from this size on go back to the system when they are freed.
#[cfg(target_env = "gnu")]
const LARGE_ALLOCATION_BYTES: libc::c_int = 128 << 10;

/// Makes the memory of large bodies go back to the system when they are gone. glibc would
/// raise its threshold at the first of them, and keep the memory of all that follow.
pub(super) fn return_large_allocations() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call only sets two numbers of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_ALLOCATION_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE_ALLOCATION_BYTES);
    }
}

/// The limits as far as the system allows them; raises the limit of open files as high as
/// this process may, and says at start what the gate may use.
pub(super) fn fit(mut limits: Limits, workers: usize) -> Limits {
    match raise_open_files() {
        Ok(open_files) => {
            let others = RESERVED_DESCRIPTORS + DESCRIPTORS_PER_WORKER * gate::places(workers);
            let room = open_files.saturating_sub(others).max(1);
            if room < limits.connections_max {
                log::warn!(
                    "the system allows {open_files} open files: at most {room} connections \
                     instead of {}",
                    limits.connections_max
                );
                limits.connections_max = room;
            }
        }
        Err(error) => log::warn!("the limit of open files is not known: {error}"),
    }
    log::info!(
        "the gate takes {} connections, {} from one address, and {} MiB for what waits in \
         its buffers",
        limits.connections_max,
        limits.per_address(),
        limits.buffer_max_bytes >> 20
    );
    limits
}

/// Raises the soft limit of open files to the hard one; returns it.
fn raise_open_files() -> io::Result<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid pointer to a structure of their own type.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return Err(io::Error::last_os_error());
        }
        if limit.rlim_cur < limit.rlim_max {
            let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
                limit = raised;
            }
        }
    }
    Ok(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}
