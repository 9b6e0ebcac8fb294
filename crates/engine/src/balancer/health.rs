//! The health of one peer: four counters and a state, packed into one word so that workers share it without a lock.
//!
//! A success clears the failure counters, a failure clears the success counter; a counter that reaches its limit sets
//! the state and a partial count sets a "mostly" state, which is served as before.
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::PeerLoad;

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

/// What all workers know of one peer.
#[derive(Debug, Default)]
pub struct PeerHealth {
    word: AtomicU64,
    ejections: AtomicU32,
    /// How busy and how fast it is; kept only for algorithms that ask.
    pub load: PeerLoad,
}

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

    fn is_in(self) -> bool {
        matches!(self.state, PeerState::Healthy | PeerState::MostlyHealthy)
    }

    /// The state after a report. A rule of 0 is off altogether: what it would count changes nothing, not even the other
    /// counters. So without a rule for successes failures add up, however many successes lie between them.
    fn after(self, report: Report, limits: Thresholds) -> Self {
        let limit = match report {
            Report::Success => limits.successes,
            Report::HttpFailure => limits.http_failures,
            Report::TcpFailure => limits.tcp_failures,
            Report::Timeout => limits.timeouts,
        };
        let confirmed = if report == Report::Success {
            PeerState::Healthy
        } else {
            PeerState::Unhealthy
        };
        // What is fully held already needs no confirmation.
        if limit == 0 || self.state == confirmed {
            return self;
        }
        let mut next = if report == Report::Success {
            Self {
                state: self.state,
                successes: self.successes,
                ..Self::unpack(0)
            }
        } else {
            Self {
                successes: 0,
                ..self
            }
        };
        let counter = match report {
            Report::Success => &mut next.successes,
            Report::HttpFailure => &mut next.http_failures,
            Report::TcpFailure => &mut next.tcp_failures,
            Report::Timeout => &mut next.timeouts,
        };
        *counter = counter.saturating_add(1);
        next.state = match (*counter >= limit, self.state) {
            (true, _) => confirmed,
            (false, PeerState::Healthy) => PeerState::MostlyHealthy,
            (false, PeerState::Unhealthy) => PeerState::MostlyUnhealthy,
            (false, between) => between,
        };
        next
    }
}

impl PeerHealth {
    /// Takes a report into account. True where it put the peer in or out. A report that changes nothing (most do) writes
    /// nothing, so that workers do not take the word from each other.
    pub fn report(&self, report: Report, limits: &Thresholds) -> bool {
        let update = |word| {
            let next = Packed::unpack(word).after(report, *limits).pack();
            (next != word).then_some(next)
        };
        let changed = self
            .word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        changed.is_ok_and(|before| {
            let after = Packed::unpack(before).after(report, *limits);
            let has_changed = after.is_in() != Packed::unpack(before).is_in();
            if has_changed && !after.is_in() {
                self.ejections.fetch_add(1, Ordering::Relaxed);
            }
            has_changed
        })
    }

    /// How often reports have put the peer out.
    pub fn ejections(&self) -> u32 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// Whether nothing was ever reported that counted.
    pub fn is_untouched(&self) -> bool {
        self.word.load(Ordering::Relaxed) == 0
    }

    /// Puts the peer in or out by hand.
    pub fn set(&self, is_healthy: bool) {
        let state = if is_healthy {
            PeerState::Healthy
        } else {
            PeerState::Unhealthy
        };
        self.word.store(
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
        Packed::unpack(self.word.load(Ordering::Relaxed)).state
    }

    /// Whether it gets requests.
    pub fn is_available(&self) -> bool {
        Packed::unpack(self.word.load(Ordering::Relaxed)).is_in()
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
    fn failures_add_up_where_successes_have_no_rule() {
        let limits = Thresholds {
            successes: 0,
            ..LIMITS
        };
        let peer = PeerHealth::default();
        for _ in 0..3 {
            assert!(peer.is_available());
            peer.report(Report::HttpFailure, &limits);
            peer.report(Report::Success, &limits);
        }
        assert_eq!(peer.state(), PeerState::Unhealthy);
    }

    #[test]
    fn a_success_clears_the_failures() {
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
}
