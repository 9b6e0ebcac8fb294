//! Counting requests against limits, for all workers of the node together. Windows are those of the calendar (UTC);
//! entries are bounded; no clock is read here: both times are handed in. Of windows that nodes share, `shared` says what
//! is to be counted, `store` where, and `tally` what is known of them here; its windows lie here too, under the same bound.
mod calendar;
pub mod shared;
pub mod store;
pub mod tally;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use calendar::Period;

/// Windows kept on a node unless told otherwise.
pub const ENTRIES_MAX: usize = 131_072;
const SHARDS: usize = 64;
// How many windows are looked at when room for another is wanted.
const CANDIDATES: usize = 8;

/// The time of a request on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic microseconds.
    pub now_us: u64,
    /// Microseconds since the epoch.
    pub wall_us: u64,
}

impl Moment {
    /// Seconds since the epoch.
    pub const fn second(self) -> u64 {
        self.wall_us / 1_000_000
    }
}

/// How many requests a window lets through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// The window.
    pub period: Period,
    /// Requests in it; a fraction lets the request that exceeds it through, as `limit - used > 0` says.
    pub requests: f64,
}

impl Limit {
    // What a request finds where so many have been counted.
    fn after(&self, used: u64) -> Use {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 in any window")]
        let remaining = self.requests - used as f64;
        Use {
            limit: *self,
            remaining,
        }
    }
}

/// What a request found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Use {
    /// The limit.
    pub limit: Limit,
    /// What was left of it before this request.
    pub remaining: f64,
}

impl Use {
    /// Whether nothing was left.
    pub fn is_spent(&self) -> bool {
        self.remaining <= 0.0
    }
}

/// What a request found of each limit, at most one for each kind of window.
#[derive(Clone, Copy, Debug)]
pub struct Uses {
    all: [Use; Period::ALL.len()],
    len: usize,
}

impl Default for Uses {
    fn default() -> Self {
        let limit = Limit {
            period: Period::Second,
            requests: 0.0,
        };
        let none = Use {
            limit,
            remaining: 0.0,
        };
        Self {
            all: [none; Period::ALL.len()],
            len: 0,
        }
    }
}

impl Uses {
    fn push(&mut self, found: Use) {
        if let Some(slot) = self.all.get_mut(self.len) {
            *slot = found;
            self.len += 1;
        }
    }
}

impl std::ops::Deref for Uses {
    type Target = [Use];

    fn deref(&self) -> &[Use] {
        &self.all[..self.len]
    }
}

/// Under what a caller's requests are counted: a keyed hash, so that entries are of one size whatever a caller sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64, u64);

#[derive(Debug)]
struct Window {
    key: (Key, Period),
    start: u64,
    opened_us: u64,
    used: u64,
    // What of it a store that nodes share has not been told; below nothing: what it has counted of requests that were
    // refused here.
    untold: i64,
    // What it may have been told: it is on its way, or no answer came.
    unsure: u64,
    // The tally that tells it; 0: none.
    teller: u32,
}

impl Window {
    fn is_over(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.opened_us) >= self.key.1.seconds_max() * 1_000_000
    }
}

#[derive(Debug, Default)]
struct Shard {
    windows: Vec<Window>,
    index: HashMap<(Key, Period), u32, ahash::RandomState>,
    cursor: usize,
    // Windows with something untold; one that has been reused since may be among them.
    noted: Vec<u32>,
}

/// The node's counters.
#[derive(Debug)]
pub struct Limiter {
    shards: Box<[Mutex<Shard>]>,
    shard_entries_max: usize,
    hashers: (ahash::RandomState, ahash::RandomState),
    evicted: AtomicU64,
}

impl Default for Limiter {
    fn default() -> Self {
        Self::with_entries_max(ENTRIES_MAX)
    }
}

impl Limiter {
    /// A limiter that keeps at most about so many windows.
    pub fn with_entries_max(entries_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shard_entries_max: entries_max.div_ceil(SHARDS).max(CANDIDATES),
            hashers: (ahash::RandomState::new(), ahash::RandomState::new()),
            evicted: AtomicU64::new(0),
        }
    }

    /// The key of a caller: what the limit is attached to, and who calls.
    pub fn key(&self, parts: &[&[u8]]) -> Key {
        Key(
            self.hashers.0.hash_one(parts),
            self.hashers.1.hash_one(parts),
        )
    }

    /// Takes one request from each limit, or from none of them where one is spent; says whether it did, and what was left
    /// before.
    pub fn take(&self, key: Key, limits: &[Limit], moment: Moment) -> (bool, Uses) {
        let mut shard = self.shard(key);
        let found = shard.uses(key, limits, moment);
        if found.iter().any(Use::is_spent) {
            return (false, found);
        }
        self.add_all(&mut shard, key, limits, moment, 1);
        (true, found)
    }

    /// What is left of each limit; takes nothing.
    pub fn look(&self, key: Key, limits: &[Limit], moment: Moment) -> Uses {
        self.shard(key).uses(key, limits, moment)
    }

    /// Takes an amount from each limit, whether or not as much is left.
    pub fn spend(&self, key: Key, limits: &[Limit], moment: Moment, amount: u64) {
        self.add_all(&mut self.shard(key), key, limits, moment, amount);
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        #[expect(clippy::cast_possible_truncation, reason = "taken modulo the shards")]
        let shard = &self.shards[key.0 as usize % SHARDS];
        lock(shard)
    }

    fn add_all(&self, shard: &mut Shard, key: Key, limits: &[Limit], moment: Moment, amount: u64) {
        for limit in limits {
            if shard.add(key, limit.period, moment, amount, self.shard_entries_max) {
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many windows were forgotten before their end because there was no room.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// How many windows are kept.
    pub fn entries(&self) -> usize {
        let count = |shard: &Mutex<Shard>| lock(shard).windows.len();
        self.shards.iter().map(count).sum()
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    // The window in force: a later one by the wall clock opens; after a backward jump the open one stays until it has
    // lasted as long as such a window can.
    fn current(&mut self, key: Key, period: Period, moment: Moment) -> Option<&mut Window> {
        let at = *self.index.get(&(key, period))?;
        let window = &mut self.windows[at as usize];
        let start = period.start(moment.second());
        if start > window.start || (start < window.start && window.is_over(moment.now_us)) {
            window.start = start;
            window.opened_us = moment.now_us;
            window.used = 0;
            window.untold = 0;
            window.unsure = 0;
        }
        Some(window)
    }

    /// What is left of each limit.
    fn uses(&mut self, key: Key, limits: &[Limit], moment: Moment) -> Uses {
        let mut found = Uses::default();
        for limit in limits {
            let used = self.used(key, limit.period, moment);
            found.push(limit.after(used));
        }
        found
    }

    fn used(&mut self, key: Key, period: Period, moment: Moment) -> u64 {
        self.current(key, period, moment)
            .map_or(0, |window| window.used)
    }

    // Counts so many requests; says whether a window had to be forgotten for it.
    fn add(
        &mut self,
        key: Key,
        period: Period,
        moment: Moment,
        amount: u64,
        entries_max: usize,
    ) -> bool {
        if let Some(window) = self.current(key, period, moment) {
            window.used = window.used.saturating_add(amount);
            return false;
        }
        let window = Window {
            key: (key, period),
            start: period.start(moment.second()),
            opened_us: moment.now_us,
            used: amount,
            untold: 0,
            unsure: 0,
            teller: 0,
        };
        let Some((at, evicts)) = self.place(moment.now_us, entries_max) else {
            let at = u32::try_from(self.windows.len()).unwrap_or(u32::MAX);
            self.index.insert(window.key, at);
            self.windows.push(window);
            return false;
        };
        self.index.remove(&self.windows[at].key);
        self.index
            .insert(window.key, u32::try_from(at).unwrap_or(u32::MAX));
        self.windows[at] = window;
        evicts
    }

    // A place to reuse: one that is over, else, where there is no room, the least used of a few. So a caller who floods
    // with ever new names pushes out names used once, not the counter that holds another caller back.
    fn place(&mut self, now_us: u64, entries_max: usize) -> Option<(usize, bool)> {
        let is_full = self.windows.len() >= entries_max;
        let looks = if is_full { CANDIDATES } else { 2 };
        let mut least = None;
        for _ in 0..looks.min(self.windows.len()) {
            self.cursor = (self.cursor + 1) % self.windows.len();
            let window = &self.windows[self.cursor];
            if window.is_over(now_us) {
                return Some((self.cursor, false));
            }
            if least.is_none_or(|least: usize| window.used < self.windows[least].used) {
                least = Some(self.cursor);
            }
        }
        least.filter(|_| is_full).map(|at| (at, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment {
            now_us: second * 1_000_000,
            wall_us: second * 1_000_000,
        }
    }

    fn limit(period: Period, requests: f64) -> Limit {
        Limit { period, requests }
    }

    fn passed(limiter: &Limiter, who: &str, limits: &[Limit], moment: Moment) -> bool {
        limiter
            .take(limiter.key(&[who.as_bytes()]), limits, moment)
            .0
    }

    #[test]
    fn exactly_the_limit_passes_and_a_new_window_opens() {
        let limiter = Limiter::default();
        let limits = [limit(Period::Minute, 2.0), limit(Period::Hour, 3.0)];
        let passes = |second| passed(&limiter, "a", &limits, at(second));
        assert!(passes(600) && passes(601) && !passes(602));
        assert!(passes(660), "a new minute");
        assert!(!passes(661), "the hour is spent");
        assert!(passed(&limiter, "b", &limits, at(661)), "another caller");
    }

    #[test]
    fn a_refused_request_takes_nothing() {
        let limiter = Limiter::default();
        let limits = [limit(Period::Second, 1.0), limit(Period::Hour, 10.0)];
        let key = limiter.key(&[b"a"]);
        assert!(limiter.take(key, &limits, at(0)).0);
        assert!(!limiter.take(key, &limits, at(0)).0);
        let (passed, uses) = limiter.take(key, &limits, at(0));
        assert!(!passed);
        assert!((uses[1].remaining - 9.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_spent_may_be_more_than_is_left_and_looking_takes_nothing() {
        let limiter = Limiter::default();
        let limits = [limit(Period::Minute, 10.0), limit(Period::Hour, 20.0)];
        let key = limiter.key(&[b"a"]);
        let left = |second| {
            limiter
                .look(key, &limits, at(second))
                .iter()
                .map(|found| found.remaining)
                .collect::<Vec<_>>()
        };
        assert_eq!(left(0), [10.0, 20.0]);
        limiter.spend(key, &limits, at(1), 13);
        assert_eq!(left(2), [-3.0, 7.0]);
        assert_eq!(left(60), [10.0, 7.0], "a new minute");
    }

    #[test]
    fn a_backward_jump_never_reopens_a_spent_window() {
        let limiter = Limiter::default();
        let limits = [limit(Period::Minute, 1.0)];
        let passes = |now: u64, wall: u64| {
            let moment = Moment {
                now_us: now * 1_000_000,
                wall_us: wall * 1_000_000,
            };
            passed(&limiter, "a", &limits, moment)
        };
        assert!(passes(1_000, 90_000));
        assert!(!passes(1_010, 90_010));
        assert!(!passes(1_020, 86_420), "an hour back");
        assert!(!passes(1_059, 86_459));
        assert!(passes(1_060, 86_460), "a minute has really passed");
        assert!(!passes(1_061, 86_461));
        assert!(passes(1_062, 172_862), "a day ahead");
    }

    #[test]
    fn entries_are_bounded_and_a_flood_of_names_frees_nobody() {
        let limiter = Limiter::with_entries_max(1_024);
        let limits = [limit(Period::Hour, 5.0)];
        for _ in 0..5 {
            assert!(passed(&limiter, "greedy", &limits, at(10)));
        }
        for name in 0..20_000 {
            passed(&limiter, &name.to_string(), &limits, at(11));
        }
        assert!(limiter.entries() <= 1_024);
        assert!(limiter.evicted() > 10_000);
        assert!(!passed(&limiter, "greedy", &limits, at(12)));
    }

    #[test]
    fn windows_that_are_over_are_reused_before_more_room_is_taken() {
        let limiter = Limiter::default();
        let limits = [limit(Period::Second, 1.0)];
        for second in 0..2_000 {
            passed(&limiter, &second.to_string(), &limits, at(second));
        }
        assert!(limiter.entries() < 500, "{}", limiter.entries());
        assert_eq!(limiter.evicted(), 0);
    }

    #[test]
    fn workers_together_pass_exactly_the_limit() {
        let limiter = Limiter::default();
        let limits = [limit(Period::Day, 1_000.0)];
        let passed_in_all: usize = std::thread::scope(|scope| {
            let work = || {
                (0..500)
                    .filter(|_| passed(&limiter, "a", &limits, at(5)))
                    .count()
            };
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(passed_in_all, 1_000);
    }
}
