//! `Server-Timing`: how long each phase of a request took.
//!
//! <https://docs.postgrest.org/en/v16/references/observability.html#server-timing-header>

use std::time::{Duration, Instant};

/// A stopwatch with a hand for each phase; it stands still when nobody looks.
pub struct Timing(Option<Running>);

struct Running {
    last: Instant,
    phases: [Duration; 5],
}

const NAMES: [&str; 5] = ["jwt", "parse", "plan", "transaction", "response"];

impl Timing {
    /// Starts, when the header is wanted.
    pub fn start(wanted: bool) -> Self {
        Timing(wanted.then(|| Running { last: Instant::now(), phases: Default::default() }))
    }

    /// The token has been verified.
    pub fn jwt(&mut self) {
        self.lap(0);
    }

    /// The request has been read.
    pub fn parse(&mut self) {
        self.lap(1);
    }

    /// The statement has been written.
    pub fn plan(&mut self) {
        self.lap(2);
    }

    /// The transaction has ended.
    pub fn transaction(&mut self) {
        self.lap(3);
    }

    /// The response is there.
    pub fn response(&mut self) {
        self.lap(4);
    }

    fn lap(&mut self, phase: usize) {
        if let Some(running) = &mut self.0 {
            let now = Instant::now();
            running.phases[phase] += now - running.last;
            running.last = now;
        }
    }

    /// The header's value, durations in milliseconds.
    pub fn finish(&self) -> Option<String> {
        let running = self.0.as_ref()?;
        let phases = NAMES.iter().zip(running.phases);
        let entries: Vec<String> = phases
            .map(|(name, phase)| format!("{name};dur={:.1}", phase.as_secs_f64() * 1000.0))
            .collect();
        Some(entries.join(", "))
    }
}
