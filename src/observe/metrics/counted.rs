//! What events add up to.

use super::ReasonLabel;
use crate::observe::event::{Access, ConnectionEnd, Event};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

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

impl StatusLabel {
    fn of(success: bool) -> Self {
        StatusLabel { status: if success { "SUCCESS" } else { "FAIL" } }
    }
}

impl ReasonLabel {
    fn of(end: ConnectionEnd) -> Self {
        ReasonLabel { reason: end.as_str() }
    }
}

/// The metrics that are counted.
#[derive(Clone)]
pub(super) struct Counted {
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

impl Default for Counted {
    fn default() -> Self {
        let counted = Counted {
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
        };
        // What can be named is there from the start, as zero.
        for end in ConnectionEnd::ALL {
            let _ = counted.connections_closed.get_or_create(&ReasonLabel::of(end));
        }
        for success in [true, false] {
            let _ = counted.schema_loads.get_or_create(&StatusLabel::of(success));
            let _ = counted.config_loads.get_or_create(&StatusLabel::of(success));
        }
        counted
    }
}

fn durations() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

impl Counted {
    pub(super) fn register(&self, to: &mut Registry) {
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
        loads.get_or_create(&StatusLabel::of(success)).inc();
    }

    fn closed(&self, end: ConnectionEnd) {
        self.connections_closed.get_or_create(&ReasonLabel::of(end)).inc();
    }

    pub(super) fn count(&self, event: &Event<'_>) {
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

/// The method as a label: clients cannot make up new ones.
fn method_label(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}
