//! What leaves the core once a second: records, usage, log entries as JSON lines, metrics as one JSON object. Never waits
//! for a worker longer than a pointer swap takes.
use std::str::FromStr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use ahash::AHashMap;
use serde_json::{Map, Value, json};
use twinplane_engine::balancer::HealthBook;
use twinplane_engine::limiter::store::StoreHealth;
use twinplane_engine::record::{Usage, UsageKey};
use twinplane_engine::snapshot::Snapshot;

use crate::recorder::{Counter, Metric, Ring};
use crate::server::Server;
use crate::upstream_health;

/// What is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Access records.
    Records,
    /// Usage counters since the last drain.
    Usage,
    /// Entries of log plugins.
    Logs,
    /// The access log.
    Access,
    /// Everything that is counted, since the start.
    Metrics,
    /// Whom to probe.
    Probes,
    /// How the targets fare.
    Health,
    /// Those of them that get no requests.
    Troubles,
    /// The upstreams that there are, with or without targets.
    Upstreams,
    /// How the stores of shared counters fare.
    CounterStores,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "records" => Ok(Self::Records),
            "usage" => Ok(Self::Usage),
            "logs" => Ok(Self::Logs),
            "access" => Ok(Self::Access),
            "metrics" => Ok(Self::Metrics),
            "probes" => Ok(Self::Probes),
            "health" => Ok(Self::Health),
            "troubles" => Ok(Self::Troubles),
            "upstreams" => Ok(Self::Upstreams),
            "counter_stores" => Ok(Self::CounterStores),
            other => Err(format!("nothing to drain under the name {other}")),
        }
    }
}

impl Server {
    /// Takes away what has gathered.
    pub fn drain(&self, kind: Kind) -> Vec<u8> {
        self.forget_replaced();
        match kind {
            Kind::Records => self.lines(|pages| pages.records.take().collect()),
            Kind::Logs => self.lines(|pages| pages.logs.take().collect()),
            Kind::Access => self.lines(|pages| {
                let access = pages.access.as_mut();
                access.map_or_else(Vec::new, |access| access.take().collect())
            }),
            Kind::Usage => self.usage(),
            Kind::Metrics => self.metrics().to_string().into_bytes(),
            Kind::Probes => self.of_targets(upstream_health::probes),
            Kind::Health => self.of_targets(upstream_health::rows),
            Kind::Troubles => self.of_targets(upstream_health::troubles),
            Kind::Upstreams => self.of_targets(|snapshot, _| upstream_health::names(snapshot)),
            Kind::CounterStores => self.counter_stores().to_string().into_bytes(),
        }
    }

    fn of_targets(&self, read: impl Fn(&Snapshot, &HealthBook) -> Vec<Value>) -> Vec<u8> {
        let snapshot = self.node.snapshot.load_full();
        Value::from(read(&snapshot, &self.node.state.health))
            .to_string()
            .into_bytes()
    }

    fn counter_stores(&self) -> Value {
        let told = |store: StoreHealth| {
            json!({
                "store": store.name,
                "is_in_trouble": store.is_in_trouble,
                "failures": store.failures,
                "reason": store.reason,
            })
        };
        let stores = self.node.state.counter_stores.health();
        stores.into_iter().map(told).collect()
    }

    fn lines(&self, take: impl Fn(&mut crate::recorder::Pages) -> Vec<Vec<u8>>) -> Vec<u8> {
        let taken: Vec<Vec<u8>> = self
            .node
            .ledgers
            .iter()
            .flat_map(|ledger| take(&mut ledger.pages()))
            .collect();
        taken.concat()
    }

    fn usage(&self) -> Vec<u8> {
        let mut totals: AHashMap<UsageKey, Usage> = AHashMap::new();
        for ledger in &self.node.ledgers {
            let taken = ledger.pages().take_usage();
            for (key, usage) in taken {
                let total = totals.entry(key).or_default();
                total.count += usage.count;
                total.request_bytes += usage.request_bytes;
                total.response_bytes += usage.response_bytes;
            }
        }
        let mut lines = Vec::new();
        for (key, usage) in &totals {
            key.write_line(usage, &mut lines);
        }
        lines
    }

    fn metrics(&self) -> Value {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut records_lost, mut logs_lost, mut access_lost) = (0, 0, 0);
        for ledger in &self.node.ledgers {
            let mut pages = ledger.pages();
            let differences = std::mem::take(&mut pages.metrics);
            records_lost += pages.records.lost();
            logs_lost += pages.logs.lost();
            access_lost += pages.access.as_ref().map_or(0, Ring::lost);
            drop(pages);
            totals.add(differences);
        }
        let snapshot = self.node.snapshot.load();
        let cache = self.node.state.cache.facts();
        json!({
            "connections": {
                "accepted": self.sum(Counter::ConnectionsAccepted),
                "active": self.sum(Counter::ConnectionsActive),
                "idle": self.sum(Counter::ConnectionsIdle),
                "refused": self.sum(Counter::ConnectionsRefused),
                "handshakes_failed": self.sum(Counter::HandshakesFailed),
                "accept_pauses": self.sum(Counter::AcceptPauses),
            },
            "streams": {
                "accepted": self.sum(Counter::StreamsAccepted),
                "active": self.sum(Counter::StreamsActive),
                "refused": self.sum(Counter::StreamsRefused),
                "total": self.sum(Counter::Streams),
                "datagrams_lost": self.sum(Counter::DatagramsLost),
            },
            "upstream_http2": {
                "connections": self.sum(Counter::UpstreamH2Connections),
                "streams": self.sum(Counter::UpstreamH2Streams),
            },
            "responses_ahead": {
                "bytes": self.node.bytes_ahead.load(Ordering::Relaxed),
                "refused": self.sum(Counter::ResponsesNotAhead),
            },
            "requests_total": self.sum(Counter::Requests),
            "requests_active": self.sum(Counter::RequestsActive),
            "limits_broken": self.sum(Counter::LimitsBroken),
            "invariant_broken": self.sum(Counter::InvariantBroken),
            "prometheus": totals.sorted().into_iter().map(series).collect::<Vec<_>>(),
            "shows_target_health": snapshot.plugins.iter().any(|plugin| plugin.filter.shows_target_health()),
            "upstream_health": upstream_health::rows(&snapshot, &self.node.state.health),
            "dns": self.node.dns.named().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "lost": {
                "records": records_lost,
                "logs": logs_lost,
                "access": access_lost,
                "metrics": totals.lost(),
                "limits": self.node.state.limiter.evicted(),
            },
            "counter_stores": self.counter_stores(),
            "cache": {"entries": cache.entries, "bytes": cache.bytes, "evicted": cache.evicted, "refused": cache.refused},
            "snapshot": {
                "generation": self.status().snapshots_total,
                "routes": snapshot.routes.len(),
                "services": snapshot.services.len(),
                "plugins": snapshot.plugins.len(),
            },
        })
    }
}

/// A counter as name, labels and value; a histogram with cumulative buckets, as the exposition wants them.
fn series((name, labels, metric): (&str, Vec<(&str, &str)>, &Metric)) -> Value {
    let labels: Map<String, Value> = labels
        .into_iter()
        .map(|(label, value)| (label.into(), value.into()))
        .collect();
    match metric {
        Metric::Counter(value) => json!({"name": name, "labels": labels, "value": value}),
        Metric::Histogram {
            bounds,
            counts,
            sum,
        } => {
            let mut below = 0;
            let buckets: Vec<Value> = bounds
                .iter()
                .zip(counts)
                .map(|(bound, count)| {
                    below += count;
                    json!([bound, below])
                })
                .collect();
            let count: u64 = counts.iter().sum();
            json!({"name": name, "labels": labels, "buckets": buckets, "sum": sum, "count": count})
        }
    }
}
