//! How the targets of upstreams fare, one row for each address, as the scrape and the status API show it.
use serde_json::{Value, json};
use twinplane_engine::balancer::{PeerHealth, PeerState};
use twinplane_engine::snapshot::{NodeState, Snapshot, TargetEntry, UpstreamEntry};

/// The rows of a configuration: upstreams and targets in its order.
pub(crate) fn rows(snapshot: &Snapshot, state: &NodeState) -> Vec<Value> {
    let mut rows = Vec::new();
    for upstream in &snapshot.upstreams {
        let peers = state.health.peers_of(&upstream.model.name);
        for target in &upstream.targets {
            let before = rows.len();
            for (key, health) in &peers {
                if *key.host == *target.host && key.port == target.port {
                    let address = std::net::SocketAddr::new(key.address, key.port);
                    rows.push(row(upstream, target, &address.to_string(), Some(health)));
                }
            }
            // No worker has used it yet.
            if rows.len() == before {
                rows.push(row(upstream, target, &name(target), None));
            }
        }
    }
    rows
}

fn row(
    upstream: &UpstreamEntry,
    target: &TargetEntry,
    address: &str,
    health: Option<&std::sync::Arc<PeerHealth>>,
) -> Value {
    let is_available = health.is_none_or(|health| {
        matches!(
            health.state(),
            PeerState::Healthy | PeerState::MostlyHealthy
        )
    });
    let health = match (is_checked(upstream), is_available) {
        (false, _) => "healthchecks_off",
        (true, true) => "healthy",
        (true, false) => "unhealthy",
    };
    json!({
        "upstream": upstream.model.name,
        "upstream_id": upstream.model.id,
        "target": name(target),
        "target_id": target.id,
        "address": address,
        "weight": target.weight,
        "health": health,
    })
}

fn name(target: &TargetEntry) -> String {
    if target.host.contains(':') {
        format!("[{}]:{}", target.host, target.port)
    } else {
        format!("{}:{}", target.host, target.port)
    }
}

// Whether anything that happens can change the health of a target.
fn is_checked(upstream: &UpstreamEntry) -> bool {
    let (active, passive) = (
        &upstream.model.healthchecks.active,
        &upstream.model.healthchecks.passive,
    );
    let is_set = |count: Option<i64>| count.is_some_and(|count| count > 0);
    let probes = |interval: Option<f64>| interval.is_some_and(|interval| interval > 0.0);
    let failures = &passive.unhealthy;
    probes(active.healthy.interval)
        || probes(active.unhealthy.interval)
        || is_set(failures.http_failures)
        || is_set(failures.tcp_failures)
        || is_set(failures.timeouts)
}
