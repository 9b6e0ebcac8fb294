//! Requests that wait for a plugin in Python, and the threads that wait for requests. Bounded; holds no interpreter lock.
//!
//! One thread at work is the fast way, since only one can run Python at a time. The others help when it is held up: one of
//! them watches, and takes over what has waited too long.
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use twinplane_engine::visit::Visit;

/// How often the watching thread looks, and how long a request waits for the thread at work before another takes it.
const TICK: Duration = Duration::from_millis(5);
/// Quiet looks after which the watching thread sleeps.
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
    /// Interrupt the threads whose calls outlast their time.
    Overdue(Vec<Overdue>),
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
    wanted: Condvar,
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
        drop(state);
        if wakes {
            self.wanted.notify_one();
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
        let wakes = state.logs.len() == 1 && !state.is_watched && state.waiting > 0;
        drop(state);
        drop(lost);
        if wakes {
            self.wanted.notify_one();
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
        let mut quiet = 0;
        loop {
            let is_alone = state.busy.is_empty();
            let is_due = |begun: &Instant| begun.elapsed() >= TICK;
            if state
                .visits
                .front()
                .is_some_and(|(since, _)| is_alone || state.is_stopped || is_due(since))
                && let Some((_, visit)) = state.visits.pop_front()
            {
                state.begin(thread, &visit);
                let wakes = !state.is_watched && state.waiting > 0;
                drop(state);
                if wakes {
                    self.wanted.notify_one();
                }
                return Some(Task::Visit(visit));
            }
            if let Some(batch) = state.log_batch(&is_same) {
                return Some(Task::Log(batch));
            }
            let overdue = state.overdue();
            if !overdue.is_empty() {
                return Some(Task::Overdue(overdue));
            }
            if state.is_stopped {
                return None;
            }
            state.waiting += 1;
            let has_work = !state.busy.is_empty() || !state.logs.is_empty();
            if !state.is_watched && (has_work || quiet < QUIET_TICKS) {
                state.is_watched = true;
                let (woken, _) = self
                    .wanted
                    .wait_timeout(state, TICK)
                    .unwrap_or_else(PoisonError::into_inner);
                state = woken;
                state.is_watched = false;
                quiet = if has_work { 0 } else { quiet + 1 };
            } else {
                state = self
                    .wanted
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                quiet = 0;
            }
            state.waiting -= 1;
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
        let (since, _) = self.logs.front()?;
        let is_ripe =
            self.is_stopped || self.logs.len() >= LOG_BATCH_MAX || since.elapsed() >= LOG_DELAY;
        if !is_ripe {
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
