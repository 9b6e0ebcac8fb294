//! Which peer of an upstream gets a request, and which peers get none for now.
//!
//! A wheel belongs to one worker and is built from resolved addresses; the health of a peer belongs to the node and
//! outlives configurations. Neither reads a clock nor draws a random number: a seed is handed in.
mod health;
mod wheel;

use std::net::IpAddr;
use std::sync::Arc;

use twinplane_model::Upstream;

pub use health::{HealthBook, PeerHealth, PeerKey, PeerState, Report, Thresholds};
pub use wheel::Wheel;

/// One address that requests can go to.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Index of the target in the upstream's list.
    pub target: u32,
    /// Where it is.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Share of requests, relative to the other peers; 0 gets none.
    pub weight: u32,
    /// How it fares, for all workers together.
    pub health: Arc<PeerHealth>,
}

/// Why an upstream's algorithm is not run as configured, if it is not: requests then go round in turn.
pub fn unsupported_algorithm(upstream: &Upstream) -> Option<&str> {
    upstream
        .algorithm
        .as_deref()
        .filter(|algorithm| *algorithm != "round-robin")
}

/// Default port of a target that names none.
pub const TARGET_PORT: u16 = 8000;

/// Host and port of a target as stored: `host:port`, `[v6]:port`.
pub fn parse_target(text: &str) -> (&str, u16) {
    let split = text
        .rsplit_once(':')
        .filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let (host, port) = match split {
        Some((host, port)) => (host, port.parse().unwrap_or(TARGET_PORT)),
        None => (text, TARGET_PORT),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart() {
        for (text, wanted) in [
            ("10.0.0.1:80", ("10.0.0.1", 80)),
            ("orders.internal", ("orders.internal", 8000)),
            (
                "[0000:0000:0000:0000:0000:0000:0000:0001]:9",
                ("0000:0000:0000:0000:0000:0000:0000:0001", 9),
            ),
            ("[::1]", ("::1", 8000)),
        ] {
            assert_eq!(parse_target(text), wanted);
        }
    }
}
