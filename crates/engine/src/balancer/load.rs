//! How busy a peer is and how fast it answers, for all workers together.
//!
//! Its speed is an average that forgets within seconds; average and time of the last sample lie in one word, so that
//! workers share it without a lock.
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// After this long a sample weighs 1/e.
const DECAY_MS: f32 = 10_000.0;

/// Open requests and recent latency of one peer.
#[derive(Debug, Default)]
pub struct PeerLoad {
    active: AtomicU32,
    /// Average in microseconds (single precision) above, milliseconds of the last sample (wrapping) below; 0: no sample.
    latency: AtomicU64,
    /// Answers since the peer last came back from a rest.
    samples: AtomicU32,
    /// Monotonic microsecond up to which it is passed over for being slow.
    rests_until_us: AtomicU64,
    rests_total: AtomicU32,
}

fn pack(average_us: f32, at_ms: u32) -> u64 {
    u64::from(average_us.to_bits()) << 32 | u64::from(at_ms)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the two halves of the word"
)]
fn unpack(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}

#[expect(clippy::cast_possible_truncation, reason = "wraps on purpose")]
fn milliseconds(now_us: u64) -> u32 {
    (now_us / 1000) as u32
}

/// Which share of an average is left after the time between.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn share_left(from_ms: u32, to_ms: u32) -> f32 {
    // A sample of another worker may be a little newer than our own time.
    let passed = to_ms.wrapping_sub(from_ms).cast_signed().max(0);
    (-(passed as f32) / DECAY_MS).exp()
}

impl PeerLoad {
    /// A request goes there.
    pub fn begin(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
    }

    /// That request is over.
    pub fn end(&self) {
        let less = |active: u32| Some(active.saturating_sub(1));
        // The closure never refuses, so the update always happens.
        let _ = self
            .active
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Open requests.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }

    /// The peer answered after so long.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn sample(&self, latency_us: u64, now_us: u64) {
        let sampled_at = milliseconds(now_us);
        let latency = latency_us as f32;
        let update = |word: u64| {
            let (average, at_ms) = unpack(word);
            let share = if word == 0 {
                0.0
            } else {
                share_left(at_ms, sampled_at)
            };
            Some(pack(average * share + latency * (1.0 - share), sampled_at))
        };
        // The closure never refuses, so the update always happens.
        let _ = self
            .latency
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// Counts an answer towards those that a judgement of slowness needs.
    pub(super) fn count_sample(&self) {
        self.samples.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers since the last rest.
    pub(super) fn samples(&self) -> u32 {
        self.samples.load(Ordering::Relaxed)
    }

    /// The peer is passed over until then.
    pub(super) fn rest_until(&self, until_us: u64) {
        self.rests_until_us.store(until_us, Ordering::Relaxed);
        self.samples.store(0, Ordering::Relaxed);
        self.rests_total.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it is passed over now.
    pub fn rests(&self, now_us: u64) -> bool {
        now_us < self.rests_until_us.load(Ordering::Relaxed)
    }

    /// How often it was sent to rest.
    pub fn rests_total(&self) -> u32 {
        self.rests_total.load(Ordering::Relaxed)
    }

    /// A new peer begins where the others are, so that it is not flooded.
    pub fn start_at(&self, average_us: f32, now_us: u64) {
        let word = pack(average_us, milliseconds(now_us));
        // Somebody's sample is better than our guess.
        let _ = self
            .latency
            .compare_exchange(0, word, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The average as it stands now; none before the first sample.
    pub fn latency_us(&self, now_us: u64) -> Option<f32> {
        let word = self.latency.load(Ordering::Relaxed);
        let (average, at_ms) = unpack(word);
        (word != 0).then(|| average * share_left(at_ms, milliseconds(now_us)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_requests_are_counted_and_never_negative() {
        let load = PeerLoad::default();
        load.begin();
        load.begin();
        load.end();
        assert_eq!(load.active(), 1);
        load.end();
        load.end();
        assert_eq!(load.active(), 0);
    }

    #[test]
    fn the_average_follows_samples_and_forgets() {
        let load = PeerLoad::default();
        assert!(load.latency_us(0).is_none());
        load.sample(1000, 1_000_000);
        assert!((999.0..1001.0).contains(&load.latency_us(1_000_000).unwrap()));
        let later = load.latency_us(11_000_000).unwrap();
        assert!((360.0..375.0).contains(&later), "{later}");
        load.sample(9000, 11_000_000);
        let moved = load.latency_us(11_000_000).unwrap();
        assert!((6000.0..6200.0).contains(&moved), "{moved}");
    }

    #[test]
    fn a_guess_never_replaces_a_sample() {
        let load = PeerLoad::default();
        load.sample(10, 5_000);
        load.start_at(900.0, 5_000);
        assert!(load.latency_us(5_000).unwrap() < 11.0);
    }
}
