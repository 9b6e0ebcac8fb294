//! The health of one peer: four counters and a state, packed into one word so that workers share it without a lock.
//!
//! A success clears the failure counters, a failure clears the success counter; a counter that reaches its limit sets
//! the state and a partial count sets a "mostly" state, which is served as before.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How a peer fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerState {
    /// Gets requests.
    #[default]
    Healthy,
    /// Gets requests; some failures were seen.
    MostlyHealthy,
    /// Gets none; some successes were seen.
    MostlyUnhealthy,
    /// Gets none.
    Unhealthy,
}

/// What was seen of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// An answer with a status that counts as healthy.
    Success,
    /// An answer with a status that counts as a failure.
    HttpFailure,
    /// The connection failed.
    TcpFailure,
    /// No answer in time, or 504.
    Timeout,
}

/// How many of each make up a change of state; 0 turns the rule off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// Successes until a peer is healthy again.
    pub successes: u8,
    /// Answers that count as failures.
    pub http_failures: u8,
    /// Failed connections.
    pub tcp_failures: u8,
    /// Answers that came too late.
    pub timeouts: u8,
}

/// The shared health of one peer.
#[derive(Debug, Default)]
pub struct PeerHealth(AtomicU64);

#[derive(Clone, Copy)]
struct Packed {
    state: PeerState,
    successes: u8,
    http_failures: u8,
    tcp_failures: u8,
    timeouts: u8,
}

impl Packed {
    fn unpack(word: u64) -> Self {
        let [state, successes, http_failures, tcp_failures, timeouts, ..] = word.to_le_bytes();
        let state = match state {
            0 => PeerState::Healthy,
            1 => PeerState::MostlyHealthy,
            2 => PeerState::MostlyUnhealthy,
            _ => PeerState::Unhealthy,
        };
        Self {
            state,
            successes,
            http_failures,
            tcp_failures,
            timeouts,
        }
    }

    fn pack(self) -> u64 {
        let state = self.state as u8;
        u64::from_le_bytes([
            state,
            self.successes,
            self.http_failures,
            self.tcp_failures,
            self.timeouts,
            0,
            0,
            0,
        ])
    }

    /// The state after a report.
    fn after(mut self, report: Report, limits: Thresholds) -> Self {
        let is_out = matches!(
            self.state,
            PeerState::Unhealthy | PeerState::MostlyUnhealthy
        );
        if report == Report::Success {
            if limits.successes == 0 || self.state == PeerState::Healthy {
                // Without a limit nothing brings a peer back, but failures must still be in a row to count.
                return if is_out {
                    self
                } else {
                    Self {
                        state: self.state,
                        ..Self::unpack(0)
                    }
                    .settled()
                };
            }
            self = Self {
                state: self.state,
                successes: self.successes.saturating_add(1),
                ..Self::unpack(0)
            };
            self.state = match (self.successes >= limits.successes, is_out) {
                (true, _) => PeerState::Healthy,
                (false, true) => PeerState::MostlyUnhealthy,
                (false, false) => PeerState::MostlyHealthy,
            };
            return if self.state == PeerState::Healthy {
                Self::unpack(0)
            } else {
                self
            };
        }
        let limit = match report {
            Report::HttpFailure => limits.http_failures,
            Report::TcpFailure => limits.tcp_failures,
            Report::Timeout | Report::Success => limits.timeouts,
        };
        if limit == 0 || self.state == PeerState::Unhealthy {
            return self;
        }
        self.successes = 0;
        let counter = match report {
            Report::HttpFailure => &mut self.http_failures,
            Report::TcpFailure => &mut self.tcp_failures,
            Report::Timeout | Report::Success => &mut self.timeouts,
        };
        *counter = counter.saturating_add(1);
        self.state = match (*counter >= limit, is_out) {
            (true, _) => PeerState::Unhealthy,
            (false, true) => PeerState::MostlyUnhealthy,
            (false, false) => PeerState::MostlyHealthy,
        };
        self
    }

    fn settled(self) -> Self {
        Self {
            state: PeerState::Healthy,
            ..self
        }
    }
}

impl PeerHealth {
    /// Takes a report into account. True where it put the peer in or out.
    pub fn report(&self, report: Report, limits: &Thresholds) -> bool {
        let was_available = self.is_available();
        let update = |word| Some(Packed::unpack(word).after(report, *limits).pack());
        // The closure never refuses, so the update always happens.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        self.is_available() != was_available
    }

    /// Puts the peer in or out by hand.
    pub fn set(&self, is_healthy: bool) {
        let state = if is_healthy {
            PeerState::Healthy
        } else {
            PeerState::Unhealthy
        };
        self.0.store(
            Packed {
                state,
                ..Packed::unpack(0)
            }
            .pack(),
            Ordering::Relaxed,
        );
    }

    /// How it fares.
    pub fn state(&self) -> PeerState {
        Packed::unpack(self.0.load(Ordering::Relaxed)).state
    }

    /// Whether it gets requests.
    pub fn is_available(&self) -> bool {
        matches!(self.state(), PeerState::Healthy | PeerState::MostlyHealthy)
    }
}

/// Which peer of which upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerKey {
    /// Name of the upstream.
    pub upstream: Box<str>,
    /// Host of the target as configured.
    pub host: Box<str>,
    /// Address that it resolved to.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

/// The health of every peer that the node has had. Looked up when a wheel is built, never for a request.
#[derive(Debug, Default)]
pub struct HealthBook(Mutex<HashMap<PeerKey, Arc<PeerHealth>, ahash::RandomState>>);

impl HealthBook {
    /// The peer's health, which is the same for as long as anyone holds it.
    pub fn of(&self, key: PeerKey) -> Arc<PeerHealth> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(book.entry(key).or_default())
    }

    /// Peers of an upstream with their health.
    pub fn peers_of(&self, upstream: &str) -> Vec<(PeerKey, Arc<PeerHealth>)> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = book.iter().filter(|(key, _)| &*key.upstream == upstream);
        found
            .map(|(key, health)| (key.clone(), Arc::clone(health)))
            .collect()
    }

    /// Forgets peers that no wheel holds any more. Called after a swap.
    pub fn forget_unused(&self) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.retain(|_, health| Arc::strong_count(health) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Thresholds = Thresholds {
        successes: 2,
        http_failures: 3,
        tcp_failures: 2,
        timeouts: 1,
    };

    #[test]
    fn failures_in_a_row_put_a_peer_out() {
        let peer = PeerHealth::default();
        assert!(!peer.report(Report::HttpFailure, &LIMITS));
        assert!(!peer.report(Report::HttpFailure, &LIMITS));
        assert_eq!(peer.state(), PeerState::MostlyHealthy);
        assert!(peer.report(Report::HttpFailure, &LIMITS));
        assert_eq!(peer.state(), PeerState::Unhealthy);
    }

    #[test]
    fn a_success_clears_the_failures_but_not_other_way_round() {
        let peer = PeerHealth::default();
        peer.report(Report::TcpFailure, &LIMITS);
        peer.report(Report::Success, &LIMITS);
        peer.report(Report::Success, &LIMITS);
        assert_eq!(peer.state(), PeerState::Healthy);
        peer.report(Report::TcpFailure, &LIMITS);
        assert!(peer.is_available());
        peer.report(Report::TcpFailure, &LIMITS);
        assert!(!peer.is_available());
    }

    #[test]
    fn failures_of_two_kinds_count_apart() {
        let peer = PeerHealth::default();
        peer.report(Report::TcpFailure, &LIMITS);
        peer.report(Report::HttpFailure, &LIMITS);
        peer.report(Report::HttpFailure, &LIMITS);
        assert!(peer.is_available());
    }

    #[test]
    fn successes_bring_a_peer_back_where_the_rule_is_on() {
        let peer = PeerHealth::default();
        peer.report(Report::Timeout, &LIMITS);
        assert!(!peer.is_available());
        peer.report(Report::Success, &LIMITS);
        assert_eq!(peer.state(), PeerState::MostlyUnhealthy);
        assert!(peer.report(Report::Success, &LIMITS));
        assert_eq!(peer.state(), PeerState::Healthy);
    }

    #[test]
    fn passive_rules_without_successes_never_bring_a_peer_back() {
        let limits = Thresholds {
            successes: 0,
            ..LIMITS
        };
        let peer = PeerHealth::default();
        peer.report(Report::Timeout, &limits);
        for _ in 0..300 {
            peer.report(Report::Success, &limits);
        }
        assert_eq!(peer.state(), PeerState::Unhealthy);
        peer.set(true);
        assert!(peer.is_available());
    }

    #[test]
    fn a_rule_of_zero_is_off() {
        let peer = PeerHealth::default();
        for _ in 0..300 {
            peer.report(Report::HttpFailure, &Thresholds::default());
        }
        assert_eq!(peer.state(), PeerState::Healthy);
    }

    #[test]
    fn the_book_gives_the_same_health_until_nobody_holds_it() {
        let book = HealthBook::default();
        let key = PeerKey {
            upstream: "u".into(),
            host: "h".into(),
            address: IpAddr::from([10, 0, 0, 1]),
            port: 80,
        };
        let held = book.of(key.clone());
        held.set(false);
        book.forget_unused();
        assert!(!book.of(key.clone()).is_available());
        drop(held);
        book.forget_unused();
        assert!(book.of(key).is_available());
    }
}
