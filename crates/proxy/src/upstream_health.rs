//! How the targets of the configuration fare, for status and metrics; whom to probe; and what probes and people say of them.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ahash::AHashMap;
use serde::Deserialize;
use serde_json::{Value, json};
use twinplane_engine::balancer::{HealthBook, Outcome, PeerHealth, PeerKey, PeerState};
use twinplane_engine::snapshot::{Snapshot, TargetEntry, UpstreamEntry};

type Known = (PeerKey, Arc<PeerHealth>);

/// What the book knows, by upstream.
struct ByUpstream(AHashMap<Box<str>, Vec<Known>>);

impl ByUpstream {
    fn of(book: &HealthBook) -> Self {
        let mut peers = book.all();
        peers.sort_unstable_by_key(|(key, _)| (key.address, key.port));
        let mut by_upstream: AHashMap<Box<str>, Vec<Known>> = AHashMap::new();
        for peer in peers {
            by_upstream
                .entry(peer.0.upstream.clone())
                .or_default()
                .push(peer);
        }
        Self(by_upstream)
    }

    fn each_target<'a>(
        &'a self,
        upstream: &'a UpstreamEntry,
    ) -> impl Iterator<Item = (&'a TargetEntry, Vec<&'a Known>)> {
        let peers = self
            .0
            .get(&upstream.model.name)
            .map_or([].as_slice(), Vec::as_slice);
        upstream.targets.iter().map(|target| {
            let is_own =
                |key: &PeerKey| *key.host == *target.host && key.target_port == target.port;
            (
                target,
                peers.iter().filter(|(key, _)| is_own(key)).collect(),
            )
        })
    }
}

/// One row for each address of each target; for a target that nobody has asked for yet, one under its own name.
pub(crate) fn rows(snapshot: &Snapshot, book: &HealthBook) -> Vec<Value> {
    rows_where(snapshot, book, |_| true)
}

/// Name and id of every upstream.
pub(crate) fn names(snapshot: &Snapshot) -> Vec<Value> {
    let models = snapshot.upstreams.iter().map(|upstream| &upstream.model);
    models
        .map(|model| json!({"upstream": &*model.name, "upstream_id": &*model.id}))
        .collect()
}

/// The rows of addresses that get no requests, and of targets whose name has no address.
pub(crate) fn troubles(snapshot: &Snapshot, book: &HealthBook) -> Vec<Value> {
    rows_where(snapshot, book, |health| !health.is_available())
}

fn rows_where(
    snapshot: &Snapshot,
    book: &HealthBook,
    is_wanted: impl Fn(&PeerHealth) -> bool,
) -> Vec<Value> {
    let known = ByUpstream::of(book);
    let untouched = PeerHealth::default();
    let mut rows = Vec::new();
    for upstream in &snapshot.upstreams {
        for (target, own) in known.each_target(upstream) {
            if own.is_empty() && book.is_missing(&upstream.model.name, &target.host) {
                let mut row = row(upstream, target, "", &untouched);
                row["health"] = json!("dns_error");
                rows.push(row);
            } else if own.is_empty() && is_wanted(&untouched) {
                let name = format!("{}:{}", target.host, target.port);
                rows.push(row(upstream, target, &name, &untouched));
            }
            for (key, health) in own.into_iter().filter(|(_, health)| is_wanted(health)) {
                let address = SocketAddr::new(key.address, key.port).to_string();
                rows.push(row(upstream, target, &address, health));
            }
        }
    }
    rows
}

fn row(upstream: &UpstreamEntry, target: &TargetEntry, address: &str, known: &PeerHealth) -> Value {
    let health = match (upstream.policy.is_checked(), known.is_available()) {
        (_, false) => "unhealthy",
        (true, true) => "healthy",
        (false, true) => "healthchecks_off",
    };
    json!({
        "upstream": &*upstream.model.name,
        "upstream_id": &*upstream.model.id,
        "target": format!("{}:{}", target.host, target.port),
        "target_id": &*target.id,
        "weight": target.weight,
        "address": address,
        "health": health,
        "state": state_name(known.state()),
        "ejections_total": known.ejections(),
        "rests_total": known.load.rests_total(),
    })
}

fn state_name(state: PeerState) -> &'static str {
    match state {
        PeerState::Healthy => "healthy",
        PeerState::MostlyHealthy => "mostly_healthy",
        PeerState::MostlyUnhealthy => "mostly_unhealthy",
        PeerState::Unhealthy => "unhealthy",
    }
}

/// The upstreams that are probed: how, and which addresses they have now.
pub(crate) fn probes(snapshot: &Snapshot, book: &HealthBook) -> Vec<Value> {
    let known = ByUpstream::of(book);
    let probed = snapshot
        .upstreams
        .iter()
        .filter(|upstream| upstream.policy.is_probed);
    let described = probed.map(|upstream| {
        let mut peers = Vec::new();
        for (target, own) in known.each_target(upstream) {
            for (key, health) in own.iter().filter(|_| target.weight > 0) {
                peers.push(json!({
                    "host": &*key.host,
                    "target_port": key.target_port,
                    "address": key.address,
                    "port": key.port,
                    "is_available": health.is_available(),
                }));
            }
        }
        let certificate = upstream.model.client_certificate.as_ref().and_then(|id| {
            let mut all = snapshot.certificates.iter();
            let found = all.find(|certificate| certificate.id == *id)?;
            Some(json!({"cert": &*found.cert, "key": &*found.key}))
        });
        let model = &upstream.model;
        json!({
            "upstream": &*model.name,
            "host_header": model.host_header.as_deref(),
            "certificate": certificate,
            "active": &model.healthchecks.active,
            "peers": peers,
        })
    });
    described.collect()
}

/// What a probe saw of one address, or what a person wants of a target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Judgement {
    upstream: Box<str>,
    host: Box<str>,
    target_port: u16,
    // None: all of the target.
    #[serde(default)]
    address: Option<IpAddr>,
    #[serde(default)]
    port: Option<u16>,
    verdict: Verdict,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Status(u16),
    Alive,
    Garbage,
    TcpFailure,
    Timeout,
    Set { is_healthy: bool },
}

/// Takes judgements into account; how many peers they were about.
pub(crate) fn judge(snapshot: &Snapshot, book: &HealthBook, judgements: &[Judgement]) -> usize {
    let one = |judgement: &Judgement| {
        let upstream = snapshot
            .upstreams
            .iter()
            .find(|upstream| upstream.model.name == judgement.upstream);
        let Some(upstream) = upstream else { return 0 };
        let peers = judgement.peers(upstream, book);
        for health in &peers {
            let outcome = match judgement.verdict {
                Verdict::Set { is_healthy } => {
                    health.set(is_healthy);
                    continue;
                }
                Verdict::Status(status) => Outcome::Status(status),
                Verdict::Alive => Outcome::Alive,
                Verdict::Garbage => Outcome::Garbage,
                Verdict::TcpFailure => Outcome::ConnectionFailed,
                Verdict::Timeout => Outcome::TimedOut,
            };
            let checks = &upstream.policy.active;
            if let Some(report) = checks.judge(outcome) {
                health.report(report, &checks.thresholds);
            }
        }
        peers.len()
    };
    judgements.iter().map(one).sum()
}

impl Judgement {
    fn peers(&self, upstream: &UpstreamEntry, book: &HealthBook) -> Vec<Arc<PeerHealth>> {
        let is_target =
            |target: &&TargetEntry| *target.host == *self.host && target.port == self.target_port;
        let Some(target) = upstream.targets.iter().find(is_target) else {
            return Vec::new();
        };
        // An address that no request has asked for yet is judged all the same.
        if let Ok(address) = target.host.parse() {
            book.of(PeerKey {
                upstream: self.upstream.clone(),
                host: self.host.clone(),
                target_port: self.target_port,
                address,
                port: target.port,
            });
        }
        let wanted = |key: &PeerKey| {
            key.host == self.host
                && key.target_port == self.target_port
                && self.address.is_none_or(|address| key.address == address)
                && self.port.is_none_or(|port| key.port == port)
        };
        let peers = book.peers_of(&self.upstream).into_iter();
        peers
            .filter(|(key, _)| wanted(key))
            .map(|(_, health)| health)
            .collect()
    }
}
