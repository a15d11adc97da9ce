//! What is read when somebody asks: what others count or hold.

use super::ReasonLabel;
use crate::observe::process;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// The metrics that are read.
#[derive(Clone, Default)]
pub(super) struct Read {
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

impl Read {
    pub(super) fn register(&self, to: &mut Registry) {
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

    pub(super) fn take(&self, readings: &Readings) {
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
