//! What a node counts by itself between two visits to a store of shared counters: what the store told last, and what it
//! has not been told yet.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::shared::{Counted, SharedWindow};
use super::store::CounterStore;
use super::{Key, Limit, Limiter, Moment, Period, Shard, Use, Uses};

/// Windows of a store as this node knows them.
#[derive(Debug)]
pub struct Tally {
    /// The store.
    pub store: Arc<CounterStore>,
    /// Time between two visits, microseconds.
    pub every_us: u64,
    limiter: Limiter,
    due_us: AtomicU64,
    is_being_told: AtomicBool,
}

impl Tally {
    pub(super) fn new(store: Arc<CounterStore>, every_us: u64, entries_max: usize) -> Self {
        Self {
            store,
            every_us,
            limiter: Limiter::with_entries_max(entries_max),
            due_us: AtomicU64::new(0),
            is_being_told: AtomicBool::new(false),
        }
    }

    /// Whether a visit to the store begins now; [`Tally::end`] ends it.
    pub fn begin(&self, now_us: u64) -> bool {
        if self.due_us() > now_us || self.is_being_told.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.due_us
            .store(now_us.saturating_add(self.every_us), Ordering::Relaxed);
        true
    }

    /// The visit is over.
    pub fn end(&self) {
        self.is_being_told.store(false, Ordering::Relaxed);
    }

    /// When the next visit begins, on the monotonic clock.
    pub fn due_us(&self) -> u64 {
        self.due_us.load(Ordering::Relaxed)
    }

    /// Takes one request from each limit, or from none where one is spent, by what is known here; none where a window is
    /// not known yet.
    pub fn take(&self, key: Key, limits: &[Limit], moment: Moment) -> Option<(bool, Uses)> {
        let mut shard = self.limiter.shard(key);
        if !limits
            .iter()
            .all(|limit| shard.is_open(key, limit.period, moment))
        {
            return None;
        }
        let found = shard.uses(key, limits, moment);
        if found.iter().any(Use::is_spent) {
            return Some((false, found));
        }
        for limit in limits {
            shard.note(key, limit.period, moment, 1);
        }
        Some((true, found))
    }

    /// Opens the windows of a caller without having asked the store.
    pub fn open(&self, key: Key, limits: &[Limit], moment: Moment) {
        let mut shard = self.limiter.shard(key);
        self.limiter.add_all(&mut shard, key, limits, moment, 0);
    }

    /// Opens the windows of a caller with what the store answered.
    pub fn learn(&self, key: Key, limits: &[Limit], moment: Moment, counted: &Counted) {
        self.open(key, limits, moment);
        let mut shard = self.limiter.shard(key);
        for (limit, before) in limits.iter().zip(&counted.before) {
            let start = limit.period.start(moment.second());
            let total = before + u64::from(counted.is_added);
            shard.learn(key, limit.period, start, total);
        }
    }

    /// What the store has not been told yet.
    pub fn untold(&self, second: u64) -> Vec<SharedWindow> {
        let mut all = Vec::new();
        for shard in &self.limiter.shards {
            let mut shard = super::lock(shard);
            let mut noted = std::mem::take(&mut shard.noted);
            noted.sort_unstable();
            noted.dedup();
            for at in noted {
                let Some(window) = shard.windows.get(at as usize).filter(|it| it.untold > 0) else {
                    continue;
                };
                let (key, period) = window.key;
                let limit = Limit {
                    period,
                    requests: 0.0,
                };
                let kept = SharedWindow {
                    start: window.start,
                    ..SharedWindow::of(key, &limit, second.max(window.start))
                };
                all.push(kept.adding(window.untold));
            }
        }
        all
    }

    /// The store has been told of these, and answered with what had been counted before.
    pub fn told(&self, windows: &[SharedWindow], counted: &Counted) {
        for (window, before) in windows.iter().zip(&counted.before) {
            let mut shard = self.limiter.shard(window.key);
            shard.told(window);
            let total = before + window.amount;
            shard.learn(window.key, window.period, window.start, total);
        }
    }

    /// The store could not be told: these wait for the next visit.
    pub fn keep(&self, windows: &[SharedWindow]) {
        for window in windows {
            self.limiter.shard(window.key).note_again(window);
        }
    }

    /// How many windows were forgotten before their end because there was no room.
    pub fn evicted(&self) -> u64 {
        self.limiter.evicted.load(Ordering::Relaxed)
    }
}

impl Shard {
    // Whether the window around a moment is there.
    fn is_open(&self, key: Key, period: Period, moment: Moment) -> bool {
        let at = self.index.get(&(key, period));
        at.is_some_and(|at| self.windows[*at as usize].start >= period.start(moment.second()))
    }

    fn note(&mut self, key: Key, period: Period, moment: Moment, amount: u64) {
        let Some(window) = self.current(key, period, moment) else {
            return;
        };
        window.used = window.used.saturating_add(amount);
        let is_first = window.untold == 0;
        window.untold = window.untold.saturating_add(amount);
        if is_first {
            self.noted.extend(self.index.get(&(key, period)).copied());
        }
    }

    // A total of the store can be older than another one: counts only rise.
    fn learn(&mut self, key: Key, period: Period, start: u64, total: u64) {
        if let Some(at) = self.index.get(&(key, period)) {
            let window = &mut self.windows[*at as usize];
            if window.start == start {
                window.used = window.used.max(total.saturating_add(window.untold));
            }
        }
    }

    fn told(&mut self, told: &SharedWindow) {
        let Some(at) = self.index.get(&(told.key, told.period)) else {
            return;
        };
        let window = &mut self.windows[*at as usize];
        if window.start == told.start {
            window.untold = window.untold.saturating_sub(told.amount);
            if window.untold > 0 {
                self.noted.push(*at);
            }
        }
    }

    fn note_again(&mut self, kept: &SharedWindow) {
        if let Some(at) = self.index.get(&(kept.key, kept.period))
            && self.windows[*at as usize].start == kept.start
        {
            self.noted.push(*at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::store::{CounterStores, StorePlace};

    fn tally() -> Arc<Tally> {
        let stores = CounterStores::default();
        let store = stores.at(StorePlace {
            host: "a".into(),
            port: 1,
            timeout_ms: 1,
            username: None,
            password: None,
            database: 0,
            tls: None,
        });
        stores.tally(&store, 1_000_000, 512)
    }

    fn at(second: u64) -> Moment {
        Moment {
            now_us: second * 1_000_000,
            wall_us: second * 1_000_000,
        }
    }

    const LIMITS: [Limit; 2] = [
        Limit {
            period: Period::Minute,
            requests: 5.0,
        },
        Limit {
            period: Period::Hour,
            requests: 50.0,
        },
    ];

    fn counted(before: [u64; 2], is_added: bool) -> Counted {
        Counted {
            before: before.to_vec(),
            is_added,
        }
    }

    #[test]
    fn an_unknown_window_is_asked_for_and_a_known_one_is_not() {
        let tally = tally();
        let key = Key::shared(&[b"a"]);
        assert!(tally.take(key, &LIMITS, at(600)).is_none());
        tally.learn(key, &LIMITS, at(600), &counted([2, 30], true));
        let (passed, uses) = tally.take(key, &LIMITS, at(601)).expect("known");
        assert!(passed);
        assert!((uses[0].remaining - 2.0).abs() < f64::EPSILON);
        assert!(tally.take(key, &LIMITS, at(602)).expect("known").0);
        assert!(!tally.take(key, &LIMITS, at(603)).expect("known").0);
        assert!(tally.take(key, &LIMITS, at(660)).is_none(), "a new minute");
    }

    #[test]
    fn what_the_store_is_told_counts_once() {
        let tally = tally();
        let key = Key::shared(&[b"a"]);
        tally.open(key, &LIMITS, at(600));
        for _ in 0..3 {
            assert!(tally.take(key, &LIMITS, at(600)).expect("open").0);
        }
        let untold = tally.untold(601);
        assert_eq!(untold.len(), 2);
        assert!(untold.iter().all(|window| window.amount == 3));
        assert_eq!(tally.untold(601), [], "on its way");
        // One more comes while the store is being told; others have counted one.
        assert!(tally.take(key, &LIMITS, at(601)).expect("open").0);
        tally.told(&untold, &counted([1, 1], true));
        let (passed, uses) = tally.take(key, &LIMITS, at(602)).expect("open");
        assert!(
            !passed,
            "three told, one of others, one not yet told: {uses:?}"
        );
        let untold = tally.untold(602);
        assert!(untold.iter().all(|window| window.amount == 1));
        tally.keep(&untold);
        assert_eq!(tally.untold(602), untold, "kept for the next visit");
    }

    #[test]
    fn a_window_that_is_over_is_not_told() {
        let tally = tally();
        let key = Key::shared(&[b"a"]);
        tally.open(key, &LIMITS[..1], at(600));
        assert!(tally.take(key, &LIMITS[..1], at(600)).expect("open").0);
        tally.open(key, &LIMITS[..1], at(660));
        assert_eq!(tally.untold(660), []);
    }
}
