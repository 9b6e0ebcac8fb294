//! Weighted round robin: a wheel with as many places for a peer as its weight says, in an order shuffled once.
use std::cell::Cell;

/// No wheel has more places; larger weights are scaled down, each peer keeping at least one place.
const PLACES_MAX: u64 = 100_000;

/// One worker's wheel of one upstream.
#[derive(Debug)]
pub(super) struct Wheel {
    /// Indices of peers.
    places: Box<[u32]>,
    turn: Cell<usize>,
}

impl Wheel {
    /// A wheel for peers of these weights. The same seed gives the same order.
    pub(super) fn build(weights: impl Iterator<Item = u32> + Clone, seed: u64) -> Self {
        let divisor = weights
            .clone()
            .map(u64::from)
            .fold(0, greatest_common_divisor)
            .max(1);
        let wanted = weights.clone().map(u64::from).sum::<u64>() / divisor;
        let mut places = Vec::new();
        for (index, weight) in (0u32..).zip(weights) {
            let own = u64::from(weight) / divisor;
            let fitting = if wanted > PLACES_MAX {
                (own * PLACES_MAX / wanted).max(u64::from(own > 0))
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
            places: places.into(),
            turn: Cell::new(0),
        }
    }

    /// Whose turn it is, to be given back to [`Self::turn_back`].
    pub(super) const fn turn(&self) -> usize {
        self.turn.get()
    }

    /// Takes turns back.
    pub(super) fn turn_back(&self, turn: usize) {
        self.turn.set(turn);
    }

    /// The next peer that is usable; its turn is then over.
    pub(super) fn next(&self, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.places.len();
        for step in 0..count {
            let place = (self.turn.get() + step) % count;
            let peer = self.places[place] as usize;
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

/// The next number of a sequence that its state determines (splitmix64).
pub(super) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Fisher and Yates.
fn shuffle(places: &mut [u32], seed: u64) {
    let mut state = seed;
    for end in (1..places.len()).rev() {
        let other = usize::try_from(next_random(&mut state) % (end as u64 + 1)).unwrap_or(0);
        places.swap(end, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_depends_on_the_seed_alone() {
        let order = |seed| {
            let wheel = Wheel::build([1; 9].into_iter(), seed);
            (0..9).map(|_| wheel.next(|_| true)).collect::<Vec<_>>()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    fn places_are_weights_by_their_greatest_common_divisor() {
        let places = |weights: &[u32]| Wheel::build(weights.iter().copied(), 1).places.len();
        assert_eq!(places(&[200, 100, 0, 50]), 7);
        assert_eq!(places(&[]), 0);
        assert_eq!(places(&[0]), 0);
    }

    #[test]
    fn large_weights_make_no_large_wheel() {
        let wheel = Wheel::build([65_535, 65_534, 1].into_iter(), 1);
        assert!(wheel.places.len() <= 100_001);
        assert!(wheel.places.contains(&2));
    }
}
