//! One coarse timer wheel per worker: arming a deadline for each request costs a few stores, not a timer of the runtime.
//! Deadlines come late by up to two ticks, never early.
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;

const TICK_MS: u64 = 32;
/// One turn of the wheel: about eight seconds. What lies further ahead is looked at once a turn.
const SLOTS: u64 = 256;
const NEVER: u64 = u64::MAX;

/// The wheel of a worker. Cheap to clone.
#[derive(Clone)]
pub struct Timers {
    wheel: Rc<Wheel>,
}

struct Wheel {
    clock: Clock,
    slots: RefCell<Vec<Vec<Rc<Entry>>>>,
    // The tick that was looked at last.
    tick: Cell<u64>,
    queued: Cell<usize>,
    is_draining: Cell<bool>,
    busy: Notify,
}

struct Entry {
    deadline: Cell<u64>,
    // The tick at which this entry will be looked at.
    looked_at: Cell<u64>,
    is_idle: Cell<bool>,
    has_elapsed: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Entry {
    fn elapse(&self) {
        self.has_elapsed.set(true);
        self.deadline.set(NEVER);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The time given is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// A deadline that is armed again and again, one per connection.
pub struct Timer {
    wheel: Rc<Wheel>,
    entry: Rc<Entry>,
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers")
            .field("queued", &self.wheel.queued.get())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("has_elapsed", &self.entry.has_elapsed.get())
            .finish_non_exhaustive()
    }
}

impl Timers {
    /// A wheel; [`Timers::run`] turns it.
    pub fn new(clock: Clock) -> Self {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        let wheel = Wheel {
            clock,
            slots: RefCell::new(slots),
            tick: Cell::new(clock.now_ms() / TICK_MS),
            queued: Cell::new(0),
            is_draining: Cell::new(false),
            busy: Notify::new(),
        };
        Self {
            wheel: Rc::new(wheel),
        }
    }

    /// A timer that is not armed.
    pub fn timer(&self) -> Timer {
        let entry = Entry {
            deadline: Cell::new(NEVER),
            looked_at: Cell::new(NEVER),
            is_idle: Cell::new(false),
            has_elapsed: Cell::new(false),
            waker: Cell::new(None),
        };
        Timer {
            wheel: Rc::clone(&self.wheel),
            entry: Rc::new(entry),
        }
    }

    /// Lets every idle timer elapse, now and from now on: connections without a request are to end.
    pub fn drain(&self) {
        self.wheel.is_draining.set(true);
        let slots = self.wheel.slots.borrow();
        for entry in slots.iter().flatten() {
            if entry.is_idle.get() && entry.deadline.get() != NEVER {
                entry.elapse();
            }
        }
    }

    /// Turns the wheel for as long as the worker lives; sleeps while nothing is armed.
    pub async fn run(self) {
        loop {
            if self.wheel.queued.get() == 0 {
                self.wheel.busy.notified().await;
                continue;
            }
            tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
            self.wheel.turn();
        }
    }
}

impl Wheel {
    fn queue(&self, entry: &Rc<Entry>, deadline: u64) {
        let tick = if self.queued.get() == 0 {
            // Nothing was armed, so nobody looked at the clock for a while.
            let now = self.clock.now_ms() / TICK_MS;
            self.tick.set(now);
            self.busy.notify_one();
            now
        } else {
            self.tick.get()
        };
        let at = deadline.clamp(tick + 1, tick + SLOTS - 1);
        entry.looked_at.set(at);
        self.slots.borrow_mut()[slot(at)].push(Rc::clone(entry));
        self.queued.set(self.queued.get() + 1);
    }

    fn turn(&self) {
        let now = self.clock.now_ms() / TICK_MS;
        // After a pause longer than a turn every slot is looked at once.
        let first = self.tick.get().max(now.saturating_sub(SLOTS)) + 1;
        for tick in first..=now {
            self.tick.set(tick);
            let due = std::mem::take(&mut self.slots.borrow_mut()[slot(tick)]);
            self.queued.set(self.queued.get() - due.len());
            for entry in due {
                // Other ticks: the entry was armed again and is queued elsewhere too.
                if entry.looked_at.get() > tick {
                    continue;
                }
                entry.looked_at.set(NEVER);
                match entry.deadline.get() {
                    NEVER => {}
                    deadline if deadline <= tick => entry.elapse(),
                    deadline => self.queue(&entry, deadline),
                }
            }
        }
    }
}

/// The first tick that begins no earlier than `ms` after `now_ms`.
fn tick_after(now_ms: u64, ms: u64) -> u64 {
    now_ms.saturating_add(ms) / TICK_MS + 1
}

fn slot(tick: u64) -> usize {
    usize::try_from(tick % SLOTS).unwrap_or(0)
}

impl Timer {
    /// Lets the timer elapse in `ms` milliseconds; replaces the deadline before.
    pub fn arm(&self, ms: u64) {
        self.arm_from(self.wheel.clock.now_ms(), ms);
    }

    /// The same, counted from a time that the caller has just read.
    pub fn arm_from(&self, now_ms: u64, ms: u64) {
        self.arm_for(now_ms, ms, false);
    }

    /// The same, for a wait that a drain ends at once: between two requests.
    pub fn arm_idle(&self, ms: u64) {
        self.arm_idle_from(self.wheel.clock.now_ms(), ms);
    }

    /// The same, counted from a time that the caller has just read.
    pub fn arm_idle_from(&self, now_ms: u64, ms: u64) {
        let ms = if self.wheel.is_draining.get() { 0 } else { ms };
        self.arm_for(now_ms, ms, true);
    }

    fn arm_for(&self, now_ms: u64, ms: u64, is_idle: bool) {
        let entry = &self.entry;
        let deadline = tick_after(now_ms, ms);
        entry.is_idle.set(is_idle);
        entry.has_elapsed.set(false);
        entry.deadline.set(deadline);
        // An entry that is looked at earlier is moved on then.
        if entry.looked_at.get() > deadline {
            self.wheel.queue(entry, deadline);
        }
    }

    /// Whether a deadline is set, or has passed and was not taken back.
    pub fn is_armed(&self) -> bool {
        self.entry.deadline.get() != NEVER || self.entry.has_elapsed.get()
    }

    /// Takes the deadline back.
    pub fn disarm(&self) {
        self.entry.deadline.set(NEVER);
        self.entry.is_idle.set(false);
        self.entry.has_elapsed.set(false);
    }

    /// Ready once the deadline has passed.
    pub fn poll_elapsed(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.entry.has_elapsed.get() {
            return Poll::Ready(());
        }
        let waker = match self.entry.waker.take() {
            Some(waker) if waker.will_wake(context.waker()) => waker,
            _ => context.waker().clone(),
        };
        self.entry.waker.set(Some(waker));
        Poll::Pending
    }

    /// Waits for the deadline.
    pub async fn elapsed(&self) {
        poll_fn(|context| self.poll_elapsed(context)).await;
    }

    /// Waits for a future, or until the deadline that is armed. The future is handed in by its address (`pin!`), so that
    /// it lies in memory once.
    pub fn unless_elapsed<F: Future + Unpin>(&self, future: F) -> Unless<'_, F> {
        Unless {
            timer: self,
            future,
        }
    }

    /// Waits for a future, `ms` milliseconds at most; the timer is not armed afterwards.
    pub fn within<F: Future + Unpin>(&self, ms: u64, future: F) -> Within<'_, F> {
        self.arm(ms);
        Within(self.unless_elapsed(future))
    }
}

/// See [`Timer::unless_elapsed`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Unless<'a, F> {
    timer: &'a Timer,
    future: F,
}

impl<F: Future + Unpin> Future for Unless<'_, F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // What is ready is not late, whatever the time.
        match Pin::new(&mut self.future).poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.timer.poll_elapsed(context).map(|()| Err(Elapsed)),
        }
    }
}

/// See [`Timer::within`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Within<'a, F>(Unless<'a, F>);

impl<F: Future + Unpin> Future for Within<'_, F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<F> Drop for Within<'_, F> {
    fn drop(&mut self) {
        self.0.timer.disarm();
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // The wheel lets go of the entry when it comes by.
        self.entry.deadline.set(NEVER);
        self.entry.waker.set(None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn run<F: Future>(test: impl FnOnce(Timers) -> F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let timers = Timers::new(Clock::start());
            tokio::task::spawn_local(timers.clone().run());
            test(timers).await
        })
    }

    #[test]
    fn a_deadline_comes_late_but_never_early() {
        run(async |timers| {
            let timer = timers.timer();
            let started = Instant::now();
            assert_eq!(
                timer.within(50, std::future::pending::<()>()).await,
                Err(Elapsed)
            );
            let took = started.elapsed().as_millis();
            assert!((50..500).contains(&took), "{took}");
        });
    }

    #[test]
    fn arming_again_moves_the_deadline_both_ways() {
        run(async |timers| {
            let timer = timers.timer();
            let started = Instant::now();
            timer.arm(60_000);
            timer.arm(40);
            timer.elapsed().await;
            assert!(started.elapsed().as_millis() < 1_000);
            timer.arm(10);
            timer.arm(150);
            timer.elapsed().await;
            assert!(started.elapsed().as_millis() >= 190);
        });
    }

    #[test]
    fn what_is_ready_is_not_late() {
        run(async |timers| {
            let timer = timers.timer();
            assert_eq!(timer.within(0, std::future::ready(7)).await, Ok(7));
        });
    }

    #[test]
    fn a_drain_ends_idle_waits_only() {
        run(async |timers| {
            let (idle, busy) = (timers.timer(), timers.timer());
            idle.arm_idle(60_000);
            busy.arm(60_000);
            timers.drain();
            idle.elapsed().await;
            let pending =
                poll_fn(|context| Poll::Ready(busy.poll_elapsed(context).is_pending())).await;
            assert!(pending);
            idle.arm_idle(60_000);
            idle.elapsed().await;
        });
    }

    #[test]
    fn dropped_timers_leave_the_wheel() {
        run(async |timers| {
            for _ in 0..100 {
                timers.timer().arm(10);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(timers.wheel.queued.get(), 0);
        });
    }
}
