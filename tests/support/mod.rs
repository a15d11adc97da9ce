//! What the black-box tests share: a private PostgreSQL cluster, the real binary, an HTTP
//! client that sends exactly what it is told, and tokens.
//!
//! Tests run in parallel, need no network and no fixed port, and leave nothing behind, also
//! when they panic or are killed: see [`janitor`].

#![allow(dead_code, unused_imports, reason = "each test binary uses only a part of this")]

pub mod cluster;
pub mod http;
pub mod janitor;
pub mod jwt;
pub mod pg_bin;
pub mod port;
pub mod process;
pub mod server;

pub use cluster::{Cluster, Database};
pub use http::{Connection, Request, Response};
pub use server::{Server, Settings};

use std::time::{Duration, Instant};

/// Waits until `condition` gives a value; `None` after `limit`.
pub fn wait_for<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
