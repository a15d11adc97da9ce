//! What the gate costs, and what it holds off.
//!
//! `cargo bench --bench gate` prints the CPU time of the server a request, with tiny_http alone
//! and with the gate in front of it; `-- crowd` prints what ten thousand idle connections
//! cost, and what fifteen hundred slow clients do to a normal one. A number changes the length
//! of a round in seconds. The server is a process of its own.

mod cost;
mod crowd;
mod server;

use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let seconds = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(3);
    let round = Duration::from_secs(seconds);
    match arguments.first().map(String::as_str) {
        Some("serve") => server::serve(&arguments[1]),
        Some("crowd") => crowd::report(round),
        _ => cost::compare(round),
    }
}
