//! What a node counts by itself between two visits to a store of shared counters: what the store told last, and what it
//! has not been told yet. The windows lie in the limiter of the node, under its one bound.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::shared::{Counted, SharedWindow};
use super::store::CounterStore;
use super::{Key, Limit, Limiter, Moment, Period, Shard, Use, Uses, Window};

/// Windows of a store as this node knows them.
#[derive(Debug)]
pub struct Tally {
    /// The store.
    pub store: Arc<CounterStore>,
    /// Time between two visits, microseconds.
    pub every_us: u64,
    limiter: Arc<Limiter>,
    number: u32,
    // Keeps its keys apart from those of others in the limiter.
    salt: Key,
    due_us: AtomicU64,
    is_being_told: AtomicBool,
    // Whether no configuration names it any more, so that the next visit is the last.
    is_leaving: AtomicBool,
    is_done: AtomicBool,
}

impl Tally {
    pub(super) fn new(
        store: Arc<CounterStore>,
        every_us: u64,
        limiter: Arc<Limiter>,
        number: u32,
    ) -> Self {
        Self {
            store,
            every_us,
            number,
            salt: limiter.key(&[&number.to_be_bytes()]),
            limiter,
            due_us: AtomicU64::new(0),
            is_being_told: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            is_done: AtomicBool::new(false),
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
        self.is_done
            .store(self.is_leaving.load(Ordering::Relaxed), Ordering::Relaxed);
        self.is_being_told.store(false, Ordering::Relaxed);
    }

    /// When the next visit begins, on the monotonic clock.
    pub fn due_us(&self) -> u64 {
        self.due_us.load(Ordering::Relaxed)
    }

    /// Whether no configuration names it any more and the last visit is over.
    pub fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Relaxed)
    }

    // No configuration names it any more: the next visit comes at once and is the last.
    pub(super) fn leave(&self) {
        if !self.is_leaving.swap(true, Ordering::Relaxed) {
            self.due_us.store(0, Ordering::Relaxed);
        }
    }

    // A configuration names it again.
    pub(super) fn stay(&self) {
        self.is_leaving.store(false, Ordering::Relaxed);
        self.is_done.store(false, Ordering::Relaxed);
    }

    /// Takes one request from each limit by what is known here, or from none where a window that is known is spent; none
    /// where nothing is spent and a window is not known yet.
    pub fn take(&self, key: Key, limits: &[Limit], moment: Moment) -> Option<(bool, Uses)> {
        let key = self.salted(key);
        let mut shard = self.limiter.shard(key);
        let mut found = Uses::default();
        let mut is_known = true;
        for limit in limits {
            let is_open = shard.is_open(key, limit.period, moment);
            is_known &= is_open;
            let used = if is_open {
                shard.used(key, limit.period, moment)
            } else {
                0
            };
            found.push(limit.after(used));
        }
        if found.iter().any(Use::is_spent) {
            return Some((false, found));
        }
        if !is_known {
            return None;
        }
        for limit in limits {
            shard.note(key, limit.period, moment, self.number);
        }
        Some((true, found))
    }

    /// The same where the store could not be asked: windows that are not known begin here. A request that the store may
    /// have counted is not told to it again.
    pub fn take_alone(
        &self,
        key: Key,
        limits: &[Limit],
        moment: Moment,
        may_be_told: bool,
    ) -> (bool, Uses) {
        let key = self.salted(key);
        let mut shard = self.limiter.shard(key);
        let found = shard.uses(key, limits, moment);
        if found.iter().any(Use::is_spent) {
            return (false, found);
        }
        let amount = u64::from(may_be_told);
        self.limiter
            .add_all(&mut shard, key, limits, moment, amount);
        for limit in limits {
            if may_be_told {
                shard.doubt(key, limit.period, moment);
            } else {
                shard.note(key, limit.period, moment, self.number);
            }
        }
        (true, found)
    }

    /// Takes what the store answered to a request that was to be counted there, and says whether the request passes: not
    /// where what the store has not been told yet says otherwise.
    pub fn settle(
        &self,
        key: Key,
        limits: &[Limit],
        moment: Moment,
        counted: &Counted,
    ) -> (bool, Uses) {
        let key = self.salted(key);
        let mut shard = self.limiter.shard(key);
        self.limiter.add_all(&mut shard, key, limits, moment, 0);
        let asked = || limits.iter().zip(&counted.before);
        let mut found = Uses::default();
        for (limit, before) in asked() {
            let window = shard.window_of(key, limit.period, moment);
            let used = window.map_or(*before, |window| window.used_at(*before));
            // What the store has refused is spent.
            let least = if counted.is_added { 0 } else { *before };
            found.push(limit.after(used.max(least)));
        }
        let passes = counted.is_added && !found.iter().any(Use::is_spent);
        for (limit, before) in asked() {
            if let Some(window) = shard.window_of(key, limit.period, moment) {
                let used = window.used_at(*before) + u64::from(passes);
                window.used = window.used.max(used);
                // The store has counted what does not pass: of the next one it is not told.
                if counted.is_added && !passes {
                    window.untold = window.untold.saturating_sub(1);
                }
            }
        }
        (passes, found)
    }

    /// What the store has not been told yet. It is on its way from now on: each of them is to be [`Tally::told`] or
    /// [`Tally::keep`], or nobody knows whether the store has counted it, and then it is not told again.
    pub fn untold(&self, second: u64) -> Vec<SharedWindow> {
        let mut all = Vec::new();
        for shard in &self.limiter.shards {
            let mut shard = super::lock(shard);
            let Shard { windows, noted, .. } = &mut *shard;
            noted.retain(|at| match windows.get_mut(*at as usize) {
                Some(window) if window.teller == self.number => {
                    all.extend(self.send(window, second));
                    false
                }
                Some(window) => window.untold > 0,
                None => false,
            });
        }
        all
    }

    fn send(&self, window: &mut Window, second: u64) -> Option<SharedWindow> {
        let amount = u64::try_from(window.untold)
            .ok()
            .filter(|amount| *amount > 0)?;
        window.untold = 0;
        window.unsure = window.unsure.saturating_add(amount);
        let (key, period) = window.key;
        let limit = Limit {
            period,
            requests: 0.0,
        };
        let kept = SharedWindow {
            start: window.start,
            ..SharedWindow::of(self.salted(key), &limit, second.max(window.start))
        };
        Some(kept.adding(amount))
    }

    /// The store has been told of these, and answered with what had been counted before.
    pub fn told(&self, windows: &[SharedWindow], counted: &Counted) {
        for (told, before) in windows.iter().zip(&counted.before) {
            self.at(told, |shard, at| {
                let window = &mut shard.windows[at as usize];
                window.unsure = window.unsure.saturating_sub(told.amount);
                let total = before.saturating_add(told.amount);
                let used = total.saturating_add_signed(window.untold);
                window.used = window.used.max(used);
            });
        }
    }

    /// The store surely has not counted these: they wait for the next visit.
    pub fn keep(&self, windows: &[SharedWindow]) {
        for kept in windows {
            self.at(kept, |shard, at| {
                let window = &mut shard.windows[at as usize];
                // A window that has been forgotten and opened again since does not hold them.
                let held = window.unsure.min(kept.amount);
                window.unsure -= held;
                window.used = window.used.saturating_add(kept.amount - held);
                window.untold = window.untold.saturating_add_unsigned(kept.amount);
                window.teller = self.number;
                shard.noted.push(at);
            });
        }
    }

    // A window as it was sent, where it is still there.
    fn at(&self, sent: &SharedWindow, change: impl FnOnce(&mut Shard, u32)) {
        let key = self.salted(sent.key);
        let mut shard = self.limiter.shard(key);
        if let Some(at) = shard.index.get(&(key, sent.period)).copied()
            && shard.windows[at as usize].start == sent.start
        {
            change(&mut shard, at);
        }
    }

    // From the key of a caller to that in the limiter, and back.
    const fn salted(&self, Key(first, second): Key) -> Key {
        Key(first ^ self.salt.0, second ^ self.salt.1)
    }
}

impl Window {
    // What had been counted when the store had counted so much: that, what it has not been told, and what is known here of
    // that which it may have been told. So it is counted once, whether it was told before the store was asked or after.
    fn used_at(&self, before: u64) -> u64 {
        let least = before.saturating_add_signed(self.untold);
        self.used.clamp(least, least.saturating_add(self.unsure))
    }
}

impl Shard {
    // Whether the window around a moment is there.
    fn is_open(&self, key: Key, period: Period, moment: Moment) -> bool {
        let Some(at) = self.index.get(&(key, period)) else {
            return false;
        };
        let window = &self.windows[*at as usize];
        let start = period.start(moment.second());
        window.start == start || (window.start > start && !window.is_over(moment.now_us))
    }

    // The window around a moment, where none that is later has taken its place.
    fn window_of(&mut self, key: Key, period: Period, moment: Moment) -> Option<&mut Window> {
        let start = period.start(moment.second());
        self.current(key, period, moment)
            .filter(|window| window.start == start)
    }

    // Counts a request that is to be told.
    fn note(&mut self, key: Key, period: Period, moment: Moment, teller: u32) {
        let Some(window) = self.current(key, period, moment) else {
            return;
        };
        window.used = window.used.saturating_add(1);
        window.untold = window.untold.saturating_add(1);
        window.teller = teller;
        if window.untold == 1 {
            self.noted.extend(self.index.get(&(key, period)).copied());
            // Windows that are reused again and again stand there again and again.
            if self.noted.len() > 2 * self.windows.len() {
                self.noted.sort_unstable();
                self.noted.dedup();
            }
        }
    }

    // A request that has been counted here may have been counted in the store too.
    fn doubt(&mut self, key: Key, period: Period, moment: Moment) {
        if let Some(window) = self.window_of(key, period, moment) {
            window.unsure = window.unsure.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests;
