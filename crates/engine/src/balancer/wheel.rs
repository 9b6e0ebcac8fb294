//! Weighted round robin: a wheel with as many places for a peer as its weight says, in an order shuffled once.
use std::cell::Cell;

use super::Peer;

/// No wheel has more places; larger weights are scaled down, each peer keeping at least one place.
const PLACES_MAX: u64 = 100_000;

/// One worker's wheel of one upstream.
#[derive(Debug)]
pub struct Wheel {
    peers: Vec<Peer>,
    places: Vec<u32>,
    /// Percentage of the weight that must be available, 0 to 100; at or under it no peer is given out.
    threshold_percent: f64,
    total_weight: u64,
    turn: Cell<usize>,
}

impl Wheel {
    /// A wheel of these peers. The same seed gives the same order.
    pub fn build(peers: Vec<Peer>, threshold_percent: f64, seed: u64) -> Self {
        let divisor = peers
            .iter()
            .map(|peer| u64::from(peer.weight))
            .fold(0, greatest_common_divisor)
            .max(1);
        let total_weight: u64 = peers.iter().map(|peer| u64::from(peer.weight)).sum();
        let places_wanted = total_weight / divisor;
        let mut places = Vec::new();
        for (index, peer) in (0u32..).zip(&peers) {
            let own = u64::from(peer.weight) / divisor;
            let fitting = if places_wanted > PLACES_MAX {
                (own * PLACES_MAX / places_wanted).max(u64::from(own > 0))
            } else {
                own
            };
            places.extend(std::iter::repeat_n(
                index,
                usize::try_from(fitting).unwrap_or(usize::MAX),
            ));
        }
        shuffle(&mut places, seed);
        Self {
            peers,
            places,
            threshold_percent,
            total_weight,
            turn: Cell::new(0),
        }
    }

    /// All peers, those without weight too.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The peer whose turn it is. Peers that are out and those in `tried` are passed over; where all that are in have
    /// been tried, one of them is given again, so that a retry is possible with a single peer.
    pub fn pick(&self, tried: &[(std::net::IpAddr, u16)]) -> Option<&Peer> {
        if !self.is_healthy() {
            return None;
        }
        let is_untried = |peer: &Peer| !tried.contains(&(peer.address, peer.port));
        self.next(|peer| peer.health.is_available() && is_untried(peer))
            .or_else(|| {
                if tried.is_empty() {
                    None
                } else {
                    self.next(|peer| peer.health.is_available())
                }
            })
    }

    /// Whether enough of the weight is available.
    pub fn is_healthy(&self) -> bool {
        let available: u64 = self
            .peers
            .iter()
            .filter(|peer| peer.health.is_available())
            .map(|peer| u64::from(peer.weight))
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "weights are small")]
        let percent = available as f64 / self.total_weight.max(1) as f64 * 100.0;
        percent > self.threshold_percent
    }

    fn next(&self, is_usable: impl Fn(&Peer) -> bool) -> Option<&Peer> {
        let count = self.places.len();
        for step in 0..count {
            let place = (self.turn.get() + step) % count;
            let peer = &self.peers[self.places[place] as usize];
            if is_usable(peer) {
                self.turn.set((place + 1) % count);
                return Some(peer);
            }
        }
        None
    }
}

fn greatest_common_divisor(left: u64, right: u64) -> u64 {
    if right == 0 {
        left
    } else {
        greatest_common_divisor(right, left % right)
    }
}

/// Fisher and Yates, fed by splitmix64.
fn shuffle(places: &mut [u32], seed: u64) {
    let mut state = seed;
    for end in (1..places.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let other = usize::try_from(mixed % (end as u64 + 1)).unwrap_or(0);
        places.swap(end, other);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::super::{PeerHealth, Report, Thresholds};
    use super::*;

    fn peer(last: u8, weight: u32) -> Peer {
        let address = IpAddr::from([10, 0, 0, last]);
        Peer {
            target: u32::from(last),
            address,
            port: 80,
            weight,
            health: Arc::new(PeerHealth::default()),
        }
    }

    fn counted(wheel: &Wheel, picks: usize) -> Vec<usize> {
        let mut counts = vec![0; wheel.peers().len()];
        for _ in 0..picks {
            let picked = wheel.pick(&[]).unwrap();
            counts[wheel
                .peers()
                .iter()
                .position(|each| each.address == picked.address)
                .unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn requests_follow_the_weights_exactly_in_each_turn() {
        let wheel = Wheel::build(vec![peer(1, 30), peer(2, 10), peer(3, 0)], 0.0, 7);
        assert_eq!(counted(&wheel, 8), [6, 2, 0]);
    }

    #[test]
    fn the_order_depends_on_the_seed_alone() {
        let order = |seed| {
            let wheel = Wheel::build((1..=9).map(|last| peer(last, 1)).collect(), 0.0, seed);
            (0..9)
                .map(|_| wheel.pick(&[]).unwrap().target)
                .collect::<Vec<_>>()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn a_retry_goes_to_another_peer_while_there_is_one() {
        let wheel = Wheel::build(vec![peer(1, 1), peer(2, 1)], 0.0, 1);
        let first = wheel.pick(&[]).unwrap();
        let tried = [(first.address, first.port)];
        assert_ne!(wheel.pick(&tried).unwrap().address, first.address);
        let single = Wheel::build(vec![peer(1, 1)], 0.0, 1);
        assert_eq!(
            single
                .pick(&[(IpAddr::from([10, 0, 0, 1]), 80)])
                .unwrap()
                .target,
            1
        );
    }

    #[test]
    fn peers_that_are_out_get_nothing_and_the_threshold_closes_the_upstream() {
        let out = peer(2, 60);
        let thresholds = Thresholds {
            tcp_failures: 1,
            ..Thresholds::default()
        };
        out.health.report(Report::TcpFailure, &thresholds);
        let peers = vec![peer(1, 40), out];
        assert_eq!(counted(&Wheel::build(peers.clone(), 0.0, 1), 10), [10, 0]);
        assert!(Wheel::build(peers.clone(), 39.0, 1).pick(&[]).is_some());
        assert!(Wheel::build(peers, 40.0, 1).pick(&[]).is_none());
    }

    #[test]
    fn nothing_with_weight_means_no_peer() {
        assert!(Wheel::build(vec![peer(1, 0)], 0.0, 1).pick(&[]).is_none());
        assert!(Wheel::build(vec![], 0.0, 1).pick(&[]).is_none());
    }

    #[test]
    fn large_weights_make_no_large_wheel() {
        let wheel = Wheel::build(vec![peer(1, 65_535), peer(2, 65_534), peer(3, 1)], 0.0, 1);
        assert!(wheel.places.len() <= 100_001);
        assert!(wheel.places.contains(&2));
    }
}
