//! Answers of upstreams kept to be given again, for all workers of the node together. Bounded in bytes; no clock is read
//! here: times are handed in, monotonic.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::headers::Headers;

/// Bytes kept on a node unless told otherwise.
pub const BYTES_MAX: usize = 128 * 1_024 * 1_024;
const SHARDS: usize = 16;
// What an answer costs beside its texts.
const OVERHEAD: usize = 512;

/// An answer as it came from the upstream.
#[derive(Debug)]
pub struct Kept {
    /// Status code.
    pub status: u16,
    /// Its header fields, without those of the connection.
    pub headers: Headers,
    /// Its body.
    pub body: Bytes,
    /// When it was kept, monotonic microseconds.
    pub kept_us: u64,
    /// For how many seconds it is fresh.
    pub fresh_s: u64,
    /// When it goes, monotonic microseconds.
    pub ends_us: u64,
    /// What clients are told that its key is.
    pub shown_key: Box<str>,
}

/// What the cache holds and what it had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFacts {
    /// Answers held.
    pub entries: usize,
    /// Bytes they take.
    pub bytes: usize,
    /// Answers that had to go before their time.
    pub evicted: u64,
    /// Answers that were too large to be kept.
    pub refused: u64,
}

/// The node's answers.
#[derive(Debug)]
pub struct ResponseCache {
    shards: Box<[Mutex<Shard>]>,
    shard_bytes_max: usize,
    hasher: ahash::RandomState,
    evicted: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    index: HashMap<Arc<[u8]>, usize, ahash::RandomState>,
    bytes: usize,
    cursor: usize,
}

#[derive(Debug)]
struct Slot {
    key: Arc<[u8]>,
    kept: Arc<Kept>,
    bytes: usize,
    // Asked for since the cursor was last here.
    is_wanted: bool,
}

impl Default for ResponseCache {
    fn default() -> Self {
        Self::with_bytes_max(BYTES_MAX)
    }
}

impl ResponseCache {
    /// A cache that takes so many bytes at most; none keeps nothing.
    pub fn with_bytes_max(bytes_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shard_bytes_max: bytes_max / SHARDS,
            hasher: ahash::RandomState::new(),
            evicted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The longest body that may be kept.
    pub const fn body_bytes_max(&self) -> usize {
        self.shard_bytes_max.saturating_sub(OVERHEAD)
    }

    /// The answer under a key, unless its time is over.
    pub fn find(&self, key: &[u8], now_us: u64) -> Option<Arc<Kept>> {
        let mut shard = self.shard(key);
        let at = *shard.index.get(key)?;
        let slot = shard.slots[at].as_mut()?;
        if slot.kept.ends_us <= now_us {
            shard.remove(at);
            return None;
        }
        slot.is_wanted = true;
        Some(Arc::clone(&slot.kept))
    }

    /// Keeps an answer under a key, in place of the one before; others give way to it.
    pub fn keep(&self, key: &[u8], kept: Kept) {
        let headers = kept.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| name.len() + value.len() + 64)
            .sum();
        let bytes = OVERHEAD + key.len() + kept.shown_key.len() + headers + kept.body.len();
        let mut shard = self.shard(key);
        if let Some(at) = shard.index.get(key).copied() {
            shard.remove(at);
        }
        if bytes > self.shard_bytes_max {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        while shard.bytes + bytes > self.shard_bytes_max {
            if shard.make_room(kept.kept_us) {
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
        }
        shard.add(key, kept, bytes);
    }

    /// The answer that clients know under a shown key, unless its time is over. Looks through everything: not for requests.
    pub fn find_shown(&self, shown_key: &str, now_us: u64) -> Option<Arc<Kept>> {
        self.shards.iter().find_map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let mut held = shard.slots.iter().flatten();
            let found =
                held.find(|slot| *slot.kept.shown_key == *shown_key && slot.kept.ends_us > now_us);
            found.map(|slot| Arc::clone(&slot.kept))
        })
    }

    /// Forgets what clients know under a shown key; how many answers that were. Not for requests, either.
    pub fn forget_shown(&self, shown_key: &str) -> usize {
        self.forget_where(|kept| *kept.shown_key == *shown_key)
    }

    /// Forgets everything; how many answers that were.
    pub fn clear(&self) -> usize {
        self.forget_where(|_| true)
    }

    fn forget_where(&self, is_meant: impl Fn(&Kept) -> bool) -> usize {
        let mut forgotten = 0;
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for at in 0..shard.slots.len() {
                if shard.slots[at]
                    .as_ref()
                    .is_some_and(|slot| is_meant(&slot.kept))
                {
                    shard.remove(at);
                    forgotten += 1;
                }
            }
        }
        forgotten
    }

    /// Counts an answer that was not kept because it is too large.
    pub fn note_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// What it holds.
    pub fn facts(&self) -> CacheFacts {
        let mut facts = CacheFacts {
            evicted: self.evicted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            ..CacheFacts::default()
        };
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            facts.entries += shard.index.len();
            facts.bytes += shard.bytes;
        }
        facts
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        #[expect(clippy::cast_possible_truncation, reason = "taken modulo the shards")]
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn add(&mut self, key: &[u8], kept: Kept, bytes: usize) {
        let key: Arc<[u8]> = key.into();
        let slot = Slot {
            key: Arc::clone(&key),
            kept: Arc::new(kept),
            bytes,
            is_wanted: false,
        };
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[at] = Some(slot);
        self.index.insert(key, at);
        self.bytes += bytes;
    }

    fn remove(&mut self, at: usize) {
        if let Some(slot) = self.slots[at].take() {
            self.index.remove(&slot.key);
            self.bytes -= slot.bytes;
            self.free.push(at);
        }
    }

    // Removes the next answer that is over, or that nobody has asked for since the cursor last came by; says whether it
    // went before its time. Where there is none left to remove, the shard is empty and the count of its bytes wrong.
    fn make_room(&mut self, now_us: u64) -> bool {
        for _ in 0..=2 * self.slots.len() {
            self.cursor = (self.cursor + 1) % self.slots.len().max(1);
            let Some(Some(slot)) = self.slots.get_mut(self.cursor) else {
                continue;
            };
            let is_over = slot.kept.ends_us <= now_us;
            if is_over || !slot.is_wanted {
                self.remove(self.cursor);
                return !is_over;
            }
            slot.is_wanted = false;
        }
        debug_assert!(self.index.is_empty(), "an answer was not found");
        self.bytes = 0;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(body: &[u8], kept_us: u64, ends_us: u64) -> Kept {
        Kept {
            status: 200,
            headers: Headers::new(),
            body: Bytes::copy_from_slice(body),
            kept_us,
            fresh_s: 1,
            ends_us,
            // Named after its body, where that is a word.
            shown_key: String::from_utf8_lossy(&body[..body.len().min(8)]).into(),
        }
    }

    #[test]
    fn answers_are_found_and_forgotten_by_what_clients_call_them() {
        let cache = ResponseCache::default();
        cache.keep(b"a", kept(b"one", 0, 100));
        cache.keep(b"b", kept(b"one", 0, 100));
        cache.keep(b"c", kept(b"other", 0, 100));
        assert_eq!(&cache.find_shown("one", 99).unwrap().body[..], b"one");
        assert!(cache.find_shown("one", 100).is_none());
        assert!(cache.find_shown("none", 1).is_none());
        assert_eq!(
            (cache.forget_shown("one"), cache.forget_shown("one")),
            (2, 0)
        );
        assert!(cache.find(b"a", 1).is_none());
        assert_eq!(&cache.find(b"c", 1).unwrap().body[..], b"other");
        assert_eq!((cache.clear(), cache.clear()), (1, 0));
        assert_eq!(cache.facts(), CacheFacts::default());
    }

    #[test]
    fn an_answer_is_found_until_its_time_is_over() {
        let cache = ResponseCache::default();
        cache.keep(b"a", kept(b"one", 0, 100));
        assert_eq!(&cache.find(b"a", 99).unwrap().body[..], b"one");
        assert!(cache.find(b"b", 99).is_none());
        assert!(cache.find(b"a", 100).is_none());
        assert_eq!(cache.facts(), CacheFacts::default());
    }

    #[test]
    fn a_later_answer_takes_the_place_of_the_one_before() {
        let cache = ResponseCache::default();
        cache.keep(b"a", kept(b"one", 0, 100));
        let before = cache.find(b"a", 1).unwrap();
        cache.keep(b"a", kept(b"other", 1, 100));
        assert_eq!(&before.body[..], b"one", "whoever reads it reads on");
        assert_eq!(&cache.find(b"a", 2).unwrap().body[..], b"other");
        assert_eq!(cache.facts().entries, 1);
    }

    #[test]
    fn bytes_are_bounded_and_what_is_asked_for_stays() {
        let cache = ResponseCache::with_bytes_max(SHARDS * 64 * 1_024);
        let body = [0; 8 * 1_024];
        cache.keep(b"wanted", kept(&body, 0, u64::MAX));
        for number in 0..5_000_u32 {
            assert!(cache.find(b"wanted", 1).is_some(), "{number}");
            cache.keep(&number.to_be_bytes(), kept(&body, 1, u64::MAX));
        }
        let facts = cache.facts();
        assert!(facts.bytes <= SHARDS * 64 * 1_024, "{facts:?}");
        assert!(facts.entries > SHARDS * 4, "{facts:?}");
        assert_eq!(facts.evicted, 5_001 - facts.entries as u64);
    }

    #[test]
    fn what_is_over_goes_without_being_counted_as_evicted() {
        let cache = ResponseCache::with_bytes_max(SHARDS * 64 * 1_024);
        for number in 0..5_000_u64 {
            cache.keep(
                &number.to_be_bytes(),
                kept(&[0; 8 * 1_024], number, number + 1),
            );
        }
        assert_eq!(cache.facts().evicted, 0);
    }

    #[test]
    fn an_answer_larger_than_a_share_is_not_kept_nor_the_one_before() {
        let cache = ResponseCache::with_bytes_max(SHARDS * 1_024);
        cache.keep(b"a", kept(b"small", 0, 100));
        cache.keep(b"a", kept(&[0; 1_024], 0, 100));
        assert!(cache.find(b"a", 1).is_none());
        assert_eq!(cache.facts().refused, 1);
        let none = ResponseCache::with_bytes_max(0);
        none.keep(b"a", kept(b"", 0, 100));
        assert!(none.find(b"a", 1).is_none());
    }

    #[test]
    fn workers_together_keep_and_find_whole_answers() {
        let cache = ResponseCache::with_bytes_max(SHARDS * 32 * 1_024);
        std::thread::scope(|scope| {
            for worker in 0..4_u8 {
                let cache = &cache;
                scope.spawn(move || {
                    for round in 0..2_000_u64 {
                        let key = (round % 50).to_be_bytes();
                        cache.keep(&key, kept(&[worker; 4_096], round, u64::MAX));
                        if let Some(found) = cache.find(&key, round) {
                            let first = found.body[0];
                            assert!(
                                found.body.len() == 4_096
                                    && found.body.iter().all(|byte| *byte == first)
                            );
                        }
                    }
                });
            }
        });
        let facts = cache.facts();
        assert!(
            facts.bytes <= SHARDS * 32 * 1_024 && facts.entries <= 50,
            "{facts:?}"
        );
    }
}
