//! Requests that wait for a plugin in Python, and the threads that wait for requests. Bounded; holds no interpreter lock.
//!
//! One thread at work is the fast way, since only one can run Python at a time. The others help when it is held up: a
//! watcher wakes them for what has waited too long.
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use twinplane_engine::visit::Visit;

/// How often the watcher looks, and how long a request waits for the thread at work before another takes it.
const TICK: Duration = Duration::from_millis(5);
/// Quiet looks after which the watcher sleeps.
const QUIET_TICKS: u32 = 100;
/// Entries of the log phase that one call is given.
const LOG_BATCH_MAX: usize = 200;
/// How long an entry waits for others.
const LOG_DELAY: Duration = Duration::from_millis(200);

/// What a thread is to do next.
pub(crate) enum Task<L> {
    /// Call a plugin.
    Visit(Arc<Visit>),
    /// Hand a plugin its entries.
    Log(Vec<L>),
}

/// A call that outlasts its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overdue {
    /// Which thread.
    pub(crate) thread: u64,
    /// Which of its calls.
    pub(crate) call: u64,
}

struct Busy {
    thread: u64,
    call: u64,
    due: Instant,
    is_interrupted: bool,
}

struct State<L> {
    visits: VecDeque<(Instant, Arc<Visit>)>,
    logs: VecDeque<(Instant, L)>,
    busy: Vec<Busy>,
    calls: u64,
    waiting: usize,
    is_watched: bool,
    is_stopped: bool,
    logs_lost: u64,
    visits_refused: u64,
    interrupted: u64,
}

/// What has become of calls since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) waiting: usize,
    pub(crate) busy: usize,
    pub(crate) refused: u64,
    pub(crate) interrupted: u64,
    pub(crate) logs_waiting: usize,
    pub(crate) logs_lost: u64,
}

/// The queue of a node.
pub(crate) struct Queue<L> {
    visits_max: usize,
    logs_max: usize,
    state: Mutex<State<L>>,
    // What threads at work wait for, and what the watcher does.
    wanted: Condvar,
    watched: Condvar,
}

impl<L> Queue<L> {
    /// An empty queue.
    pub(crate) fn new(visits_max: usize, logs_max: usize) -> Self {
        Self {
            visits_max,
            logs_max,
            state: Mutex::new(State {
                visits: VecDeque::new(),
                logs: VecDeque::new(),
                busy: Vec::new(),
                calls: 0,
                waiting: 0,
                is_watched: false,
                is_stopped: false,
                logs_lost: 0,
                visits_refused: 0,
                interrupted: 0,
            }),
            wanted: Condvar::new(),
            watched: Condvar::new(),
        }
    }

    /// Takes a request in. False where there is no room.
    pub(crate) fn push(&self, visit: &Arc<Visit>) -> bool {
        let mut state = self.lock();
        if state.visits.len() >= self.visits_max || state.is_stopped {
            state.visits_refused += 1;
            return false;
        }
        state.visits.push_back((Instant::now(), Arc::clone(visit)));
        let wakes = state.busy.is_empty() && state.waiting > 0;
        let is_watched = state.is_watched;
        drop(state);
        if wakes {
            self.wanted.notify_one();
        }
        if !is_watched {
            self.watched.notify_one();
        }
        true
    }

    /// Takes an entry of the log phase in; the oldest makes room.
    pub(crate) fn push_log(&self, entry: L) {
        let mut state = self.lock();
        if state.is_stopped {
            state.logs_lost += 1;
            return;
        }
        let lost = (state.logs.len() >= self.logs_max).then(|| state.logs.pop_front());
        state.logs_lost += u64::from(lost.is_some());
        state.logs.push_back((Instant::now(), entry));
        let is_watched = state.is_watched;
        drop(state);
        drop(lost);
        if !is_watched {
            self.watched.notify_one();
        }
    }

    /// What is at hand, without waiting: a request, else nothing.
    pub(crate) fn take_visit(&self, thread: u64) -> Option<Arc<Visit>> {
        let mut state = self.lock();
        let (_, visit) = state.visits.pop_front()?;
        state.begin(thread, &visit);
        Some(visit)
    }

    /// The next task; waits for it. None once the queue has stopped and is empty.
    pub(crate) fn wait(&self, thread: u64, is_same: impl Fn(&L, &L) -> bool) -> Option<Task<L>> {
        let mut state = self.lock();
        loop {
            if state.is_wanted()
                && let Some((_, visit)) = state.visits.pop_front()
            {
                state.begin(thread, &visit);
                return Some(Task::Visit(visit));
            }
            if let Some(batch) = state.log_batch(&is_same) {
                return Some(Task::Log(batch));
            }
            if state.is_stopped {
                return None;
            }
            state.waiting += 1;
            state = self
                .wanted
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// Watches over the threads at work: wakes others for what they keep waiting, and gives the calls that outlast their
    /// time. None once the queue has stopped and no call is left. Sleeps while there is nothing to watch over.
    pub(crate) fn watch(&self) -> Option<Vec<Overdue>> {
        let mut state = self.lock();
        let mut quiet = 0;
        loop {
            let overdue = state.overdue();
            if !overdue.is_empty() {
                return Some(overdue);
            }
            let is_idle = state.busy.is_empty() && state.visits.is_empty() && state.logs.is_empty();
            if state.is_stopped && is_idle {
                return None;
            }
            if state.waiting > 0 && (state.is_wanted() || state.has_ripe_log()) {
                self.wanted.notify_one();
            }
            quiet = if is_idle { quiet + 1 } else { 0 };
            state.is_watched = quiet < QUIET_TICKS;
            state = if state.is_watched {
                let waited = self.watched.wait_timeout(state, TICK);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                quiet = 0;
                self.watched
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner)
            };
            state.is_watched = true;
        }
    }

    /// The call of a thread is over; true where it was interrupted.
    pub(crate) fn ended(&self, thread: u64) -> bool {
        let mut state = self.lock();
        let Some(at) = state.busy.iter().position(|busy| busy.thread == thread) else {
            return false;
        };
        state.busy.swap_remove(at).is_interrupted
    }

    /// Runs `interrupt` while the call cannot end; not at all where it has ended.
    pub(crate) fn interrupt(&self, overdue: Overdue, interrupt: impl FnOnce() -> bool) {
        let mut state = self.lock();
        let found = state
            .busy
            .iter()
            .position(|busy| busy.thread == overdue.thread && busy.call == overdue.call);
        if let Some(at) = found
            && !state.busy[at].is_interrupted
            && interrupt()
        {
            state.busy[at].is_interrupted = true;
            state.interrupted += 1;
        }
    }

    /// Nothing more comes in; what waits is still worked off.
    pub(crate) fn stop(&self) {
        self.lock().is_stopped = true;
        self.wanted.notify_all();
        self.watched.notify_all();
    }

    /// What there is at this moment, and what became of the rest.
    pub(crate) fn counts(&self) -> Counts {
        let state = self.lock();
        Counts {
            waiting: state.visits.len(),
            busy: state.busy.len(),
            refused: state.visits_refused,
            interrupted: state.interrupted,
            logs_waiting: state.logs.len(),
            logs_lost: state.logs_lost,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> State<L> {
    fn begin(&mut self, thread: u64, visit: &Visit) {
        self.calls += 1;
        self.busy.push(Busy {
            thread,
            call: self.calls,
            due: Instant::now() + Duration::from_millis(visit.guest.timeout_ms),
            is_interrupted: false,
        });
    }

    // Whether another thread is to take the first request, beside those at work.
    fn is_wanted(&self) -> bool {
        self.visits.front().is_some_and(|(since, _)| {
            self.busy.is_empty() || self.is_stopped || since.elapsed() >= TICK
        })
    }

    fn has_ripe_log(&self) -> bool {
        self.logs.front().is_some_and(|(since, _)| {
            self.is_stopped || self.logs.len() >= LOG_BATCH_MAX || since.elapsed() >= LOG_DELAY
        })
    }

    fn overdue(&self) -> Vec<Overdue> {
        let now = Instant::now();
        let late = self
            .busy
            .iter()
            .filter(|busy| !busy.is_interrupted && busy.due < now);
        late.map(|busy| Overdue {
            thread: busy.thread,
            call: busy.call,
        })
        .collect()
    }

    // Entries of one plugin, once there are many of them or the first has waited long enough.
    fn log_batch(&mut self, is_same: &impl Fn(&L, &L) -> bool) -> Option<Vec<L>> {
        if !self.has_ripe_log() {
            return None;
        }
        let (_, first) = self.logs.pop_front()?;
        let mut batch = vec![first];
        while batch.len() < LOG_BATCH_MAX
            && self
                .logs
                .front()
                .is_some_and(|(_, next)| is_same(&batch[0], next))
        {
            batch.extend(self.logs.pop_front().map(|(_, next)| next));
        }
        Some(batch)
    }
}
