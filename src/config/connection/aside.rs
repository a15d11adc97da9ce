//! Closing connections whose peer may not answer any more.

use std::thread;

/// Stack of the thread.
const STACK_BYTES: usize = 128 << 10;

/// Drops a connection, or what holds it, on a thread of its own: `postgres` waits for the
/// answer to what was sent last, and from a peer that died without a word there is none
/// until the keepalives give up.
pub fn close_aside<T: Send + 'static>(connection: T) {
    let closing = thread::Builder::new().name("close".to_owned()).stack_size(STACK_BYTES);
    // Without a thread it has been dropped here, with the closure.
    let _ = closing.spawn(move || drop(connection));
}
