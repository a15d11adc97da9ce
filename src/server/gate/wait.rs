//! Waiting for events in one system call.
//!
//! polling arms a timer and its own wake-up anew for each wait, which costs four more calls.
//! On Linux its epoll can be waited on directly; polling still registers the sockets and
//! wakes the loop.

use polling::Poller;
use std::io;
use std::time::Duration;

/// What happened on a socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Happened {
    /// The key under which the poller watches the socket.
    pub(super) key: usize,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// Nothing more can be sent or received.
    pub(super) gone: bool,
}

/// The events of a wait.
pub(super) struct Waiter {
    events: imp::Events,
}

impl Waiter {
    pub(super) fn new() -> Waiter {
        Waiter { events: imp::new_events() }
    }

    /// Waits for events, for that long at most; a notification ends the wait without one.
    ///
    /// # Errors
    /// The poller fails, which it does not do while it is sound.
    pub(super) fn wait(&mut self, poller: &Poller, timeout: Option<Duration>) -> io::Result<()> {
        imp::wait(&mut self.events, poller, timeout)
    }

    /// What happened.
    pub(super) fn events(&self) -> impl Iterator<Item = Happened> + '_ {
        imp::happened(&self.events)
    }
}

#[cfg(target_os = "linux")]
mod imp {
    use super::Happened;
    use polling::Poller;
    use rustix::buffer::spare_capacity;
    use rustix::event::Timespec;
    use rustix::event::epoll::{self, EventFlags};
    use rustix::io::Errno;
    use std::io;
    use std::time::Duration;

    /// Events taken at once; the others come with the next wait.
    const MAX_EVENTS: usize = 1024;

    pub(super) type Events = Vec<epoll::Event>;

    pub(super) fn new_events() -> Events {
        Vec::with_capacity(MAX_EVENTS)
    }

    pub(super) fn wait(
        events: &mut Events,
        poller: &Poller,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        events.clear();
        let timeout = timeout.map(|timeout| {
            // Whole milliseconds, rounded up: every kernel and every seccomp filter has the call
            // for those.
            let millis = u64::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
            Timespec::try_from(Duration::from_millis(millis)).unwrap_or_default()
        });
        match epoll::wait(poller, spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if events.iter().any(|event| key(event) == NOTIFIED) {
            // This takes the notification and arms the next one; the sockets' events that it
            // returns too are level-triggered, so they are among ours or come again.
            poller.wait(&mut polling::Events::new(), Some(Duration::ZERO))?;
        }
        Ok(())
    }

    pub(super) fn happened(events: &Events) -> impl Iterator<Item = Happened> + '_ {
        events.iter().filter(|event| key(event) != NOTIFIED).map(|event| {
            let flags = event.flags;
            let failed = flags.intersects(EventFlags::HUP | EventFlags::ERR);
            Happened {
                key: key(event),
                readable: failed || flags.intersects(EventFlags::IN | EventFlags::PRI),
                writable: failed || flags.intersects(EventFlags::OUT),
                gone: failed,
            }
        })
    }

    /// polling's key for its own wake-up.
    const NOTIFIED: usize = usize::MAX;

    fn key(event: &epoll::Event) -> usize {
        // Copied: the structure is packed.
        let data = event.data;
        // Lossless: polling made it from a usize.
        data.u64() as usize
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::Happened;
    use polling::Poller;
    use std::io;
    use std::time::Duration;

    pub(super) use polling::Events;

    pub(super) fn new_events() -> Events {
        Events::new()
    }

    pub(super) fn wait(
        events: &mut Events,
        poller: &Poller,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        events.clear();
        poller.wait(events, timeout).map(|_| ())
    }

    pub(super) fn happened(events: &Events) -> impl Iterator<Item = Happened> + '_ {
        events.iter().map(|event| Happened {
            key: event.key,
            readable: event.readable,
            writable: event.writable,
            gone: event.is_interrupt() || event.is_err() == Some(true),
        })
    }
}
