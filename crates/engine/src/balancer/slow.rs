//! Slow peers are passed over for a while: those whose average time to an answer is a multiple of the median of all.
//! Only where a node's settings ask for it; a peer is never passed over where no other is left.
use super::Peer;

/// Answers that a peer must have given before it is called slow.
const SAMPLES_MIN: u32 = 5;
/// Differences below this are noise, whatever the multiple.
const DIFFERENCE_US_MIN: f32 = 10_000.0;

/// When a peer is slow, and for how long it then rests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowRule {
    /// Multiple of the median.
    pub factor: f32,
    /// How long it gets no requests.
    pub pause_us: u64,
}

impl SlowRule {
    /// Lets the peer rest if it is slow among its fellows, and not yet half of them rest.
    pub(super) fn judge(&self, peers: &[Peer], at: usize, now_us: u64) {
        let load = &peers[at].health.load;
        let Some(own) = load.latency_us(now_us) else {
            return;
        };
        if load.samples() < SAMPLES_MIN || own < DIFFERENCE_US_MIN {
            return;
        }
        let resting = peers.iter().filter(|peer| peer.health.load.rests(now_us));
        if (resting.count() + 1) * 2 > peers.len() {
            return;
        }
        let others = peers.iter().enumerate().filter(|(other, _)| *other != at);
        let mut averages: Vec<f32> = others
            .filter_map(|(_, peer)| peer.health.load.latency_us(now_us))
            .collect();
        averages.sort_unstable_by(f32::total_cmp);
        // Of an even number the slower of the two in the middle: doubts are for the peer.
        let Some(median) = averages.get(averages.len() / 2) else {
            return;
        };
        if own > median * self.factor && own - median > DIFFERENCE_US_MIN {
            load.rest_until(now_us.saturating_add(self.pause_us));
        }
    }
}
