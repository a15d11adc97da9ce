//! The numbers for Prometheus: what events add up to, and what is read when somebody asks.
//!
//! Names that begin with `pgrst_` are PostgREST's
//! (<https://docs.postgrest.org/en/v16/references/observability.html#metrics>), those with
//! `goldenkey_` are ours, those with `process_` are what Prometheus's own libraries give.

use super::event::{Access, ConnectionEnd, Event};
use super::process;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the buckets for durations, in seconds.
const DURATION_BUCKETS: [f64; 11] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

type FloatGauge = Gauge<f64, AtomicU64>;
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

/// What others count or hold, read when the metrics are asked for.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// The most connections of the pool.
    pub pool_max: u64,
    /// Those that are open.
    pub pool_open: u64,
    /// Those that are not in use.
    pub pool_available: u64,
    /// Requests that wait for one.
    pub pool_waiting: u64,
    /// Lookups in the token cache that found something.
    pub token_cache_hits: u64,
    /// Those that did not.
    pub token_cache_misses: u64,
    /// Tokens that had to make room.
    pub token_cache_evictions: u64,
    /// Tokens in the cache.
    pub token_cache_entries: u64,
    /// Claims on the deny list.
    pub denied_claims: u64,
    /// Whether requests can be answered.
    pub ready: bool,
    /// Lines of the log that were lost.
    pub dropped_log_lines: u64,
    /// Client connections.
    pub client_connections: u64,
    /// The most that there may be.
    pub client_connections_max: u64,
    /// Requests that wait for a worker.
    pub waiting: u64,
    /// The most that may.
    pub waiting_max: u64,
    /// What was refused or given up at the front, by reason.
    pub refusals: Vec<(&'static str, u64)>,
}

/// All numbers.
pub struct Metrics {
    registry: Registry,
    events: Counted,
    read: Read,
}

/// What events add up to.
#[derive(Clone)]
struct Counted {
    requests: Family<RequestLabels, Counter>,
    request_durations: Histograms<RequestLabels>,
    in_flight: Gauge,
    queue_waits: Histogram,
    pool_waits: Histogram,
    pool_timeouts: Counter,
    connections_opened: Counter,
    connections_closed: Family<ReasonLabel, Counter>,
    connections_failed: Counter,
    schema_loads: Family<StatusLabel, Counter>,
    schema_query_time: FloatGauge,
    config_loads: Family<StatusLabel, Counter>,
    notifications: Counter,
    listening: Gauge,
}

/// What is read when the metrics are asked for.
#[derive(Clone, Default)]
struct Read {
    pool_max: Gauge,
    pool_open: Gauge,
    pool_available: Gauge,
    pool_waiting: Gauge,
    token_cache_requests: Counter,
    token_cache_hits: Counter,
    token_cache_misses: Counter,
    token_cache_evictions: Counter,
    token_cache_entries: Gauge,
    denied_claims: Gauge,
    ready: Gauge,
    dropped_log_lines: Counter,
    client_connections: Gauge,
    client_connections_max: Gauge,
    waiting: Gauge,
    waiting_max: Gauge,
    refusals: Family<ReasonLabel, Counter>,
    cpu_seconds: Counter<f64, AtomicU64>,
    resident_bytes: Gauge,
    open_descriptors: Gauge,
    threads: Gauge,
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

impl Default for Counted {
    fn default() -> Self {
        Counted {
            requests: Family::default(),
            request_durations: Family::new_with_constructor(durations as fn() -> Histogram),
            in_flight: Gauge::default(),
            queue_waits: durations(),
            pool_waits: durations(),
            pool_timeouts: Counter::default(),
            connections_opened: Counter::default(),
            connections_closed: Family::default(),
            connections_failed: Counter::default(),
            schema_loads: Family::default(),
            schema_query_time: FloatGauge::default(),
            config_loads: Family::default(),
            notifications: Counter::default(),
            listening: Gauge::default(),
        }
    }
}

fn durations() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

impl Counted {
    fn register(&self, to: &mut Registry) {
        let all = self.clone();
        to.register("goldenkey_requests", "Requests answered", all.requests);
        to.register(
            "goldenkey_request_duration_seconds",
            "From the arrival of a request to its answer",
            all.request_durations,
        );
        to.register(
            "goldenkey_request_queue_seconds",
            "How long requests waited for a worker",
            all.queue_waits,
        );
        to.register("goldenkey_requests_in_flight", "Requests being worked on", all.in_flight);
        to.register(
            "goldenkey_db_pool_wait_seconds",
            "How long requests waited for a connection to the database",
            all.pool_waits,
        );
        to.register(
            "pgrst_db_pool_timeouts",
            "The total number of pool connection timeouts",
            all.pool_timeouts,
        );
        to.register(
            "goldenkey_db_connections_opened",
            "Connections of the pool that were opened",
            all.connections_opened,
        );
        to.register(
            "goldenkey_db_connections_closed",
            "Connections of the pool that were closed, by reason",
            all.connections_closed,
        );
        to.register(
            "goldenkey_db_connections_failed",
            "Connections of the pool that could not be opened",
            all.connections_failed,
        );
        to.register(
            "pgrst_schema_cache_loads",
            "The total number of times the schema cache was loaded",
            all.schema_loads,
        );
        to.register(
            "pgrst_schema_cache_query_time_seconds",
            "The query time in seconds of the last schema cache load",
            all.schema_query_time,
        );
        to.register(
            "goldenkey_config_loads",
            "How often the configuration was read again",
            all.config_loads,
        );
        to.register(
            "goldenkey_notifications",
            "Notifications that asked for a reload",
            all.notifications,
        );
        to.register(
            "goldenkey_listening",
            "Whether notifications of the database are heard",
            all.listening,
        );
    }

    fn answered(&self, access: &Access<'_>) {
        let labels = RequestLabels { method: method_label(access.method), status: access.status };
        self.requests.get_or_create(&labels).inc();
        self.queue_waits.observe(access.waited.as_secs_f64());
        self.request_durations.get_or_create(&labels).observe(access.duration.as_secs_f64());
    }

    fn loaded(loads: &Family<StatusLabel, Counter>, success: bool) {
        let status = if success { "SUCCESS" } else { "FAIL" };
        loads.get_or_create(&StatusLabel { status }).inc();
    }

    fn closed(&self, end: ConnectionEnd) {
        self.connections_closed.get_or_create(&ReasonLabel { reason: end.as_str() }).inc();
    }

    fn count(&self, event: &Event<'_>) {
        match event {
            Event::Answered(access) => self.answered(access),
            Event::RequestBegun => drop(self.in_flight.inc()),
            Event::RequestEnded => drop(self.in_flight.dec()),
            Event::PoolWaited(time) => self.pool_waits.observe(time.as_secs_f64()),
            Event::PoolTimeout => drop(self.pool_timeouts.inc()),
            Event::ConnectionOpened => drop(self.connections_opened.inc()),
            Event::ConnectionClosed(end) => self.closed(*end),
            Event::ConnectionFailed(_) => drop(self.connections_failed.inc()),
            Event::SchemaCacheQueried(took) => {
                self.schema_query_time.set(took.as_secs_f64());
            }
            Event::SchemaCacheLoaded(_) => Self::loaded(&self.schema_loads, true),
            Event::SchemaCacheFailed(_) => Self::loaded(&self.schema_loads, false),
            Event::ConfigReloaded => Self::loaded(&self.config_loads, true),
            Event::ConfigFailed(_) => Self::loaded(&self.config_loads, false),
            Event::SchemaNotified(_) | Event::ConfigNotified(_) => drop(self.notifications.inc()),
            Event::ListenerStarted(_) => drop(self.listening.set(1)),
            Event::ListenerFailed(..) => drop(self.listening.set(0)),
            _ => {}
        }
    }
}

impl Read {
    fn register(&self, to: &mut Registry) {
        let all = self.clone();
        to.register("pgrst_db_pool_max", "Max pool connections", all.pool_max);
        to.register(
            "pgrst_db_pool_available",
            "Available connections in the pool",
            all.pool_available,
        );
        to.register(
            "pgrst_db_pool_waiting",
            "Requests waiting to acquire a pool connection",
            all.pool_waiting,
        );
        to.register("goldenkey_db_pool_open", "Open connections of the pool", all.pool_open);
        to.register(
            "pgrst_jwt_cache_requests",
            "The total number of JWT cache lookups",
            all.token_cache_requests,
        );
        to.register(
            "pgrst_jwt_cache_hits",
            "The total number of JWT cache hits",
            all.token_cache_hits,
        );
        to.register(
            "goldenkey_jwt_cache_misses",
            "JWT cache lookups that found nothing",
            all.token_cache_misses,
        );
        to.register(
            "pgrst_jwt_cache_evictions",
            "The total number of JWT cache evictions",
            all.token_cache_evictions,
        );
        to.register("goldenkey_jwt_cache_entries", "Tokens in the cache", all.token_cache_entries);
        to.register("goldenkey_denied_claims", "Claims on the deny list", all.denied_claims);
        to.register("goldenkey_ready", "Whether requests can be answered", all.ready);
        to.register(
            "goldenkey_log_lines_dropped",
            "Log lines that were lost because the log was not read fast enough",
            all.dropped_log_lines,
        );
        to.register(
            "goldenkey_client_connections",
            "Open connections of clients",
            all.client_connections,
        );
        to.register(
            "goldenkey_client_connections_max",
            "The most connections of clients that there may be",
            all.client_connections_max,
        );
        to.register("goldenkey_requests_waiting", "Requests that wait for a worker", all.waiting);
        to.register(
            "goldenkey_requests_waiting_max",
            "The most requests that may wait for a worker",
            all.waiting_max,
        );
        to.register(
            "goldenkey_refusals",
            "Connections and requests that were refused or given up at the front, by reason",
            all.refusals,
        );
        to.register("process_cpu_seconds", "User and system CPU time", all.cpu_seconds);
        to.register("process_resident_memory_bytes", "Resident memory", all.resident_bytes);
        to.register("process_open_fds", "Open file descriptors", all.open_descriptors);
        to.register("process_threads", "Threads", all.threads);
    }

    fn take(&self, readings: &Readings) {
        let gauge = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        // These only grow where they are counted, so setting them lets them only grow here.
        let counter = |counter: &Counter, value| counter.inner().store(value, Ordering::Relaxed);
        gauge(&self.pool_max, readings.pool_max);
        gauge(&self.pool_open, readings.pool_open);
        gauge(&self.pool_available, readings.pool_available);
        gauge(&self.pool_waiting, readings.pool_waiting);
        let lookups = readings.token_cache_hits + readings.token_cache_misses;
        counter(&self.token_cache_requests, lookups);
        counter(&self.token_cache_hits, readings.token_cache_hits);
        counter(&self.token_cache_misses, readings.token_cache_misses);
        counter(&self.token_cache_evictions, readings.token_cache_evictions);
        gauge(&self.token_cache_entries, readings.token_cache_entries);
        gauge(&self.denied_claims, readings.denied_claims);
        gauge(&self.ready, readings.ready.into());
        counter(&self.dropped_log_lines, readings.dropped_log_lines);
        gauge(&self.client_connections, readings.client_connections);
        gauge(&self.client_connections_max, readings.client_connections_max);
        gauge(&self.waiting, readings.waiting);
        gauge(&self.waiting_max, readings.waiting_max);
        for (reason, count) in &readings.refusals {
            counter(&self.refusals.get_or_create(&ReasonLabel { reason }), *count);
        }
        let usage = process::usage();
        self.cpu_seconds.inner().store(usage.cpu.as_secs_f64().to_bits(), Ordering::Relaxed);
        gauge(&self.resident_bytes, usage.resident_bytes);
        gauge(&self.open_descriptors, usage.open_descriptors);
        gauge(&self.threads, usage.threads);
    }
}

impl Metrics {
    pub(super) fn count(&self, event: &Event<'_>) {
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

/// The method as a label: clients cannot make up new ones.
fn method_label(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

#[cfg(test)]
mod tests {
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
