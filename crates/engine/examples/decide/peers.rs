//! Questions about peers.
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use twinplane_engine::balancer::{
    Algorithm, Ask, Balancer, Peer, PeerHealth, PeerState, Policy, Report, SlowRule, Thresholds,
};

const SLOW_PAUSE_US: u64 = 30_000_000;

#[derive(Deserialize)]
pub(crate) struct Pick {
    algorithm: String,
    seed: u64,
    slots: u32,
    threshold_percent: f64,
    slow_factor: Option<f32>,
    peers: Vec<GivenPeer>,
    asks: Vec<GivenAsk>,
}

#[derive(Deserialize)]
struct GivenPeer {
    target: u32,
    host: String,
    address: IpAddr,
    port: u16,
    weight: u32,
    is_failover: bool,
    is_healthy: bool,
}

/// A request: the peers that it has tried, what it hashes to (or the peer whose number its cookie holds), when it comes,
/// which earlier request ends before it, and after how long.
#[derive(Deserialize)]
struct GivenAsk {
    tried: Vec<usize>,
    hash: Option<u32>,
    sticks_to: Option<usize>,
    now_us: u64,
    ends: Option<usize>,
    took_us: Option<u64>,
}

impl Pick {
    pub(crate) fn answer(&self) -> Value {
        let policy = Policy {
            algorithm: match &*self.algorithm {
                "consistent-hashing" => Algorithm::ConsistentHashing,
                "least-connections" => Algorithm::LeastConnections,
                "latency" => Algorithm::Latency,
                "sticky-sessions" => Algorithm::StickySessions,
                _ => Algorithm::RoundRobin,
            },
            slots: self.slots,
            threshold_percent: self.threshold_percent,
            ..Policy::default()
        };
        let peers = self.peers.iter().map(GivenPeer::peer).collect();
        let rule = self.slow_factor.map(|factor| SlowRule {
            factor,
            pause_us: SLOW_PAUSE_US,
        });
        let balancer = Balancer::build(peers, &policy, self.seed).with_slow_rule(rule);
        let mut picks: Vec<Option<usize>> = Vec::new();
        for ask in &self.asks {
            let ended = ask.ends.and_then(|at| picks.get(at).copied().flatten());
            if let Some(at) = ended {
                balancer.end(&balancer.peers()[at], ask.took_us, ask.now_us);
            }
            let tried = ask.tried.iter().map(|at| &balancer.peers()[*at]);
            let tried: Vec<(IpAddr, u16)> = tried.map(|peer| (peer.address, peer.port)).collect();
            let picked = balancer.pick(&Ask {
                tried: &tried,
                hash: ask
                    .sticks_to
                    .and_then(|at| balancer.sticky_number(at))
                    .or(ask.hash),
                now_us: ask.now_us,
            });
            if let Some(peer) = picked {
                balancer.begin(peer);
            }
            let is_it = |peer: &Peer| picked.is_some_and(|picked| std::ptr::eq(picked, peer));
            picks.push(balancer.peers().iter().position(is_it));
        }
        json!(picks)
    }
}

impl GivenPeer {
    fn peer(&self) -> Peer {
        let health = PeerHealth::default();
        health.set(self.is_healthy);
        Peer {
            target: self.target,
            host: self.host.as_str().into(),
            address: self.address,
            port: self.port,
            weight: self.weight,
            is_failover: self.is_failover,
            service_name: None,
            health: Arc::new(health),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Health {
    successes: u8,
    http_failures: u8,
    tcp_failures: u8,
    timeouts: u8,
    reports: Vec<String>,
}

impl Health {
    pub(crate) fn answer(&self) -> Value {
        let limits = Thresholds {
            successes: self.successes,
            http_failures: self.http_failures,
            tcp_failures: self.tcp_failures,
            timeouts: self.timeouts,
        };
        let health = PeerHealth::default();
        let states = self.reports.iter().map(|report| {
            match &**report {
                "put_in" => health.set(true),
                "put_out" => health.set(false),
                "success" => drop(health.report(Report::Success, &limits)),
                "http_failure" => drop(health.report(Report::HttpFailure, &limits)),
                "tcp_failure" => drop(health.report(Report::TcpFailure, &limits)),
                _ => drop(health.report(Report::Timeout, &limits)),
            }
            match health.state() {
                PeerState::Healthy => "healthy",
                PeerState::MostlyHealthy => "mostly_healthy",
                PeerState::MostlyUnhealthy => "mostly_unhealthy",
                PeerState::Unhealthy => "unhealthy",
            }
        });
        json!(states.collect::<Vec<_>>())
    }
}
