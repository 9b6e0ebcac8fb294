//! What a core is made of: sockets that are bound, the state that outlives configurations, and how one is built.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use arc_swap::ArcSwap;
use twinplane_engine::balancer::HealthBook;
use twinplane_engine::build::{BuildInput, build};
use twinplane_engine::limiter::Limiter;
use twinplane_engine::limiter::store::CounterStores;
use twinplane_engine::plugin::PluginTable;
use twinplane_engine::response_cache::ResponseCache;
use twinplane_engine::snapshot::{NodeState, Snapshot};
use twinplane_engine::visit::Host;
use twinplane_model::ConfigTable;

use crate::clock::Clock;
use crate::error::{ApplyError, StartError};
use crate::listener::{Bound, bind};
use crate::node::Node;
use crate::recorder::{Ledger, LedgerLimits};
use crate::settings::{ListenerSettings, Settings};
use crate::tls::certificates::CertificateTable;
use crate::tls::downstream::Downstream;

/// What a configuration is built with.
pub(super) fn build_input<'a>(
    settings: &Settings,
    state: &'a Arc<NodeState>,
    plugins: &'a PluginTable,
    previous: Option<&'a Snapshot>,
) -> BuildInput<'a> {
    BuildInput {
        plugins,
        node: state,
        rules: settings.router_rules(),
        previous,
        is_edge: settings.start.edge.is_some(),
    }
}

/// A configuration as it crosses the door.
pub(super) fn read(payload: &[u8]) -> Result<ConfigTable, ApplyError> {
    // A list would be taken for the table's members in their order.
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApplyError::unreadable("a configuration is a JSON object"));
    }
    serde_json::from_slice(payload).map_err(ApplyError::unreadable)
}

/// The sockets of these listeners, or every one that cannot be had.
pub(super) fn bind_all(
    listeners: &[ListenerSettings],
    workers: usize,
) -> Result<Vec<Bound>, StartError> {
    let mut bound = Vec::new();
    let mut faults = Vec::new();
    for listener in listeners {
        match bind(listener, workers) {
            Ok(one) => bound.push(one),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(bound)
    } else {
        Err(StartError { faults })
    }
}

/// What all workers share, with an empty configuration.
pub(super) fn node(
    settings: Arc<Settings>,
    plugins: &PluginTable,
    host: Option<Arc<dyn Host>>,
) -> Result<Arc<Node>, StartError> {
    let certificates = Arc::new(ArcSwap::from_pointee(CertificateTable::default()));
    let workers = settings.start.workers;
    // Each worker holds its share; connections spread evenly over workers.
    let limits = LedgerLimits {
        records: settings.start.records_max.div_ceil(workers),
        logs: settings.start.log_entries_max.div_ceil(workers),
        access_lines: settings.start.access_lines_max.div_ceil(workers),
        access_format: settings.start.access_format.clone().map(Arc::new),
        is_recording: settings.start.edge.is_none(),
    };
    let state = NodeState {
        node_id: settings.start.node_id.as_str().into(),
        allows_ambiguous_paths: settings.start.ambiguous_paths == "allow",
        hostname: settings
            .start
            .hostname
            .as_deref()
            .unwrap_or_default()
            .into(),
        changed_body_bytes_max: settings.start.changed_body_bytes_max,
        limiter: Arc::new(Limiter::with_entries_max(settings.start.limit_windows_max)),
        counter_stores: CounterStores::default(),
        cache: ResponseCache::with_bytes_max(settings.start.cache_bytes_max),
        health: HealthBook::default(),
        host,
    };
    let state = Arc::new(state);
    // Until a configuration is applied, an empty one is served: nothing matches.
    let empty = build(
        ConfigTable::default(),
        build_input(&settings, &state, plugins, None),
    );
    let empty = empty.map_err(|_| StartError::of("the empty configuration cannot be built"))?;
    Ok(Arc::new(Node {
        downstream_tls: ArcSwap::from_pointee(Downstream::new(&settings, &certificates)?),
        clock: Clock::start(),
        state,
        snapshot: ArcSwap::from_pointee(empty),
        generation: AtomicU64::new(0),
        is_ready: AtomicBool::new(false),
        certificates,
        ledgers: (0..workers)
            .map(|_| Arc::new(Ledger::new(limits.clone())))
            .collect(),
        connections: AtomicUsize::new(0),
        udp_sessions: AtomicUsize::new(0),
        bytes_ahead: AtomicUsize::new(0),
        dns: Arc::default(),
        settings: ArcSwap::new(settings),
    }))
}
