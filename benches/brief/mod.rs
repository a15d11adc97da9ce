//! Criterion for somebody on a small machine who wants the answer soon: short rounds, no
//! plots. Its options still count, such as `-- --measurement-time 5`.

use criterion::Criterion;
use std::path::{Path, PathBuf};
use std::time::Duration;

const WARM_UP: Duration = Duration::from_millis(200);
const MEASUREMENT: Duration = Duration::from_millis(800);
const SAMPLES: usize = 20;
const RESAMPLES: usize = 5_000;

/// Criterion with short rounds.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(WARM_UP)
        .measurement_time(MEASUREMENT)
        .sample_size(SAMPLES)
        .nresamples(RESAMPLES)
        .output_directory(&folder())
        .configure_from_args()
}

/// Where the results are written.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion")
}

/// The mean time of a bench in nanoseconds, when it has been measured.
#[allow(dead_code)]
pub fn nanoseconds(group: &str, name: &str) -> Option<f64> {
    // As Criterion makes a folder's name of a bench's.
    let name = name.replace([':', '/', '\\', '*', '?', '"', '<', '>', '|'], "_");
    let file = folder().join(group).join(name).join("new/estimates.json");
    let estimates: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    estimates["mean"]["point_estimate"].as_f64()
}
