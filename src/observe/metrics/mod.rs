//! The numbers for Prometheus: what events add up to, and what is read when somebody asks.
//!
//! Names that begin with `pgrst_` are PostgREST's
//! (<https://docs.postgrest.org/en/v16/references/observability.html#metrics>), those with
//! `goldenkey_` are ours, those with `process_` are what Prometheus's own libraries give.

mod counted;
mod readings;

pub use readings::Readings;

use super::event::Event;
use counted::Counted;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use readings::Read;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// All numbers.
pub struct Metrics {
    registry: Registry,
    events: Counted,
    read: Read,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let events = Counted::default();
        events.register(&mut registry);
        let read = Read::default();
        read.register(&mut registry);
        let build = Family::<VersionLabel, Gauge>::default();
        build.get_or_create(&VersionLabel { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("goldenkey_build_info", "The version that runs", build);
        Metrics { registry, events, read }
    }
}

impl Metrics {
    pub(in crate::observe) fn count(&self, event: &Event<'_>) {
        self.events.count(event);
    }

    /// All numbers in Prometheus's text format 0.0.4.
    ///
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/>
    pub fn to_text(&self, readings: &Readings) -> String {
        self.read.take(readings);
        let mut open_metrics = String::new();
        text::encode_registry(&mut open_metrics, &self.registry)
            .expect("writing to a string does not fail");
        classic(&open_metrics)
    }
}

/// Rewrites OpenMetrics text: there a counter `x` has samples `x_total`, in the older format
/// both have the same name.
fn classic(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len() + 1024);
    // The help of a metric comes before its type.
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = Some(text);
            continue;
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|t| t.split_once(' ')) {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, text)) = help.take().and_then(|help| help.split_once(' ')) {
                out += &format!("# HELP {name}{suffix} {text}\n");
            }
            out += &format!("# TYPE {name}{suffix} {kind}\n");
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::event::Access;
    use super::*;
    use std::time::Duration;

    fn access(method: &str, status: u16) -> Access<'_> {
        Access {
            peer: None,
            role: None,
            method,
            target: "/",
            version: 1,
            status,
            body_bytes: 0,
            duration: Duration::from_millis(3),
            waited: Duration::from_millis(1),
            user_agent: None,
        }
    }

    #[test]
    fn requests_are_counted_by_method_and_status() {
        let metrics = Metrics::default();
        for (method, status) in [("GET", 200), ("GET", 200), ("BREW", 405)] {
            metrics.count(&Event::Answered(&access(method, status)));
        }
        let text = metrics.to_text(&Readings::default());
        for line in [
            "# TYPE goldenkey_requests_total counter",
            "goldenkey_requests_total{method=\"GET\",status=\"200\"} 2",
            "goldenkey_requests_total{method=\"other\",status=\"405\"} 1",
            "goldenkey_request_duration_seconds_bucket{le=\"0.0025\",method=\"GET\",status=\"200\"} 0",
            "goldenkey_request_duration_seconds_bucket{le=\"0.005\",method=\"GET\",status=\"200\"} 2",
            "goldenkey_request_duration_seconds_count{method=\"GET\",status=\"200\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nin\n{text}");
        }
    }

    #[test]
    fn all_metrics_of_postgrest_are_there_by_name_with_type_and_help() {
        let metrics = Metrics::default();
        metrics.count(&Event::SchemaCacheQueried(Duration::from_millis(16)));
        metrics.count(&Event::SchemaCacheLoaded(&"1 Relations"));
        let readings = Readings {
            pool_max: 10,
            pool_available: 4,
            token_cache_hits: 5,
            token_cache_misses: 2,
            ..Readings::default()
        };
        let text = metrics.to_text(&readings);
        for (name, kind, sample) in [
            ("pgrst_schema_cache_query_time_seconds", "gauge", " 0.016"),
            ("pgrst_schema_cache_loads_total", "counter", "{status=\"SUCCESS\"} 1"),
            ("pgrst_db_pool_timeouts_total", "counter", " 0"),
            ("pgrst_db_pool_available", "gauge", " 4"),
            ("pgrst_db_pool_waiting", "gauge", " 0"),
            ("pgrst_db_pool_max", "gauge", " 10"),
            ("pgrst_jwt_cache_requests_total", "counter", " 7"),
            ("pgrst_jwt_cache_hits_total", "counter", " 5"),
            ("pgrst_jwt_cache_evictions_total", "counter", " 0"),
        ] {
            assert!(text.contains(&format!("# HELP {name} ")), "{name}\nin\n{text}");
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}\nin\n{text}");
            assert!(text.contains(&format!("\n{name}{sample}\n")), "{name}\nin\n{text}");
        }
    }
}
