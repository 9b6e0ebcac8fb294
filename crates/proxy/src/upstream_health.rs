//! How the targets of the configuration fare, for status and metrics. Reads; judges nothing.
use serde_json::{Value, json};
use twinplane_engine::balancer::{HealthBook, PeerHealth, Thresholds};
use twinplane_engine::snapshot::{Snapshot, TargetEntry, UpstreamEntry};

/// One row for each address of each target; for a target that nobody has asked for yet, one under its own name.
pub(crate) fn rows(snapshot: &Snapshot, book: &HealthBook) -> Vec<Value> {
    let mut rows = Vec::new();
    for upstream in &snapshot.upstreams {
        let peers = book.peers_of(&upstream.model.name);
        for target in &upstream.targets {
            let own = peers
                .iter()
                .filter(|(key, _)| *key.host == *target.host && key.port == target.port);
            let before = rows.len();
            rows.extend(own.map(|(key, health)| {
                let address = std::net::SocketAddr::new(key.address, key.port).to_string();
                row(upstream, target, &address, health)
            }));
            if rows.len() == before {
                let name = format!("{}:{}", target.host, target.port);
                rows.push(row(upstream, target, &name, &PeerHealth::default()));
            }
        }
    }
    rows
}

fn row(upstream: &UpstreamEntry, target: &TargetEntry, address: &str, known: &PeerHealth) -> Value {
    let health = match (
        upstream.policy.passive == Thresholds::default(),
        known.is_available(),
    ) {
        (true, true) => "healthchecks_off",
        (_, true) => "healthy",
        (_, false) => "unhealthy",
    };
    json!({
        "upstream": &*upstream.model.name,
        "upstream_id": &*upstream.model.id,
        "target": format!("{}:{}", target.host, target.port),
        "target_id": &*target.id,
        "weight": target.weight,
        "address": address,
        "health": health,
        "rests_total": known.load.rests_total(),
    })
}
