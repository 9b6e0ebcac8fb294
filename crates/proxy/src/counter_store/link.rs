//! A worker's connection to one store: made when it is first wanted, kept, made again after it broke. While nobody can be
//! reached, whoever asks is told so at once.
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use twinplane_engine::filter::LogSink;
use twinplane_engine::limiter::shared::{Counted, Counting, StoreFault};
use twinplane_engine::limiter::store::{CounterStore, StorePlace};

use super::connection::{End, open};
use crate::worker::Worker;

/// Between two attempts to reach a store that is away.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

type Answer = Result<Counted, StoreFault>;

/// Something to be counted, and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    /// What.
    pub(super) counting: Counting,
    reply: Option<oneshot::Sender<Answer>>,
    /// When nobody waits any more.
    pub(super) deadline: Instant,
    /// Whether the script goes with it.
    pub(super) is_whole: bool,
}

impl Job {
    /// A new one; what is waited for ends with the time-out of its store.
    pub(super) fn new(counting: Counting, reply: Option<oneshot::Sender<Answer>>) -> Self {
        let within = Duration::from_millis(counting.store.place.timeout_ms);
        Self {
            counting,
            reply,
            deadline: Instant::now() + within,
            is_whole: false,
        }
    }

    /// Whether nobody waits any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    fn end(self, answer: Answer) {
        if let Some(reply) = self.reply {
            // Who asked may be gone.
            let _unheard = reply.send(answer);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    // Nobody asked for long, or not yet.
    Asleep,
    // A connection is there, or on its way; who asks waits.
    Awake,
    // Nobody is reached; who asks is told so.
    Away,
}

/// One link.
#[derive(Debug)]
pub(super) struct Link {
    store: Weak<CounterStore>,
    place: StorePlace,
    state: Cell<State>,
    is_in_trouble: Cell<bool>,
    // What was reached last could not count, so that reaching it again proves nothing.
    is_doubted: Cell<bool>,
    // Before the next attempt to reach it.
    pause: Cell<Duration>,
    // Why commands failed last; what the store was told.
    reason: RefCell<Arc<str>>,
    /// Not yet written.
    pub(super) jobs: RefCell<VecDeque<Job>>,
    // Those, and those that were written and not yet answered.
    waiting: Cell<usize>,
    /// Told when there is something to look at.
    pub(super) woken: Notify,
}

impl Link {
    /// One to a store.
    pub(super) fn to(store: &Arc<CounterStore>) -> Self {
        Self {
            store: Arc::downgrade(store),
            place: store.place.clone(),
            state: Cell::new(State::Asleep),
            is_in_trouble: Cell::new(false),
            is_doubted: Cell::new(false),
            pause: Cell::new(PAUSE_FIRST),
            reason: RefCell::new("".into()),
            jobs: RefCell::default(),
            waiting: Cell::new(0),
            woken: Notify::new(),
        }
    }

    /// Whether it is the one to this store.
    pub(super) fn leads_to(&self, store: &Arc<CounterStore>) -> bool {
        Weak::as_ptr(&self.store) == Arc::as_ptr(store)
    }

    /// Whether no configuration names the store any more.
    pub(super) fn is_over(&self) -> bool {
        self.store.strong_count() == 0
    }

    /// Whether something was not yet answered.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.get() > 0
    }

    /// Has it look around.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Takes something to be counted. False: the link is to be [`run`].
    pub(super) fn put(&self, job: Job, commands_max: usize) -> Result<bool, StoreFault> {
        let state = self.state.get();
        if state == State::Away {
            return Err(StoreFault::Unreachable(Arc::clone(&self.reason.borrow())));
        }
        if self.waiting.get() >= commands_max {
            return Err(StoreFault::Full);
        }
        self.waiting.set(self.waiting.get() + 1);
        self.jobs.borrow_mut().push_back(job);
        self.state.set(State::Awake);
        self.wake();
        Ok(state != State::Asleep)
    }

    /// Gives a job its answer.
    pub(super) fn end(&self, job: Job, answer: Answer) {
        self.waiting.set(self.waiting.get() - 1);
        job.end(answer);
    }

    /// Tells all of them that they failed; the store is in trouble.
    pub(super) fn fail(
        &self,
        worker: &Worker,
        jobs: impl IntoIterator<Item = Job>,
        fault: &StoreFault,
    ) {
        let mut failed = 0;
        for job in jobs {
            self.end(job, Err(fault.clone()));
            failed += 1;
        }
        self.count_failures(worker, fault, failed);
        if !self.is_in_trouble.replace(true)
            && let Some(store) = self.store.upgrade()
        {
            store.enter_trouble();
        }
    }

    /// Tells one that the store has refused it. It may count others all the same.
    pub(super) fn refuse(&self, worker: &Worker, job: Job, fault: StoreFault) {
        self.count_failures(worker, &fault, 1);
        self.end(job, Err(fault));
    }

    /// Counts what failed. The store, which all workers share, is told of a reason only where it is not the last one:
    /// while nobody is reached, every request comes here.
    pub(super) fn count_failures(&self, worker: &Worker, fault: &StoreFault, commands: u64) {
        let Some(store) = self.store.upgrade() else {
            return;
        };
        store.failed(commands);
        let reason = fault.reason();
        if *self.reason.borrow() != reason {
            store.tell(Arc::clone(&reason));
            self.reason.replace(reason);
        }
        let labels = [("store", &*store.name), ("reason", fault.code())];
        let name = "twinplane_counter_store_failures_total";
        worker.recorder.open().count(name, &labels, commands);
    }

    /// Whether a connection alone does not prove that the store counts.
    pub(super) fn is_doubted(&self) -> bool {
        self.is_doubted.get()
    }

    /// The store counts again.
    pub(super) fn recover(&self) {
        self.is_doubted.set(false);
        self.pause.set(PAUSE_FIRST);
        if self.is_in_trouble.replace(false)
            && let Some(store) = self.store.upgrade()
        {
            store.leave_trouble();
        }
    }
}

/// Keeps the link until nobody needs it.
pub(super) async fn run(link: Rc<Link>, worker: Rc<Worker>) {
    let within = Duration::from_millis(link.place.timeout_ms);
    while !link.is_over() {
        let opened = tokio::time::timeout(within, open(&worker, &link.place)).await;
        let fault = match opened.unwrap_or(Err(StoreFault::TimedOut)) {
            Ok(opened) => {
                if !link.is_doubted() {
                    link.recover();
                }
                link.state.set(State::Awake);
                let began = Instant::now();
                let end = opened.pump(&link, &worker).await;
                let has_lasted = began.elapsed() >= PAUSE_MAX;
                if has_lasted {
                    link.pause.set(PAUSE_FIRST);
                }
                match end {
                    End::Unused => {
                        link.state.set(State::Asleep);
                        return;
                    }
                    // A server that has begun anew is there at once; who asks meanwhile waits for that.
                    End::Broken(StoreFault::Lost(_)) if has_lasted => continue,
                    End::Broken(fault) => {
                        link.is_doubted.set(true);
                        fault
                    }
                }
            }
            Err(fault) => fault,
        };
        link.state.set(State::Away);
        // Not a byte of these was sent: the store has surely not counted them.
        let unsent = StoreFault::Unreachable(fault.to_string().into());
        let jobs = link.jobs.take();
        link.fail(&worker, jobs, &unsent);
        let pause = link.pause.get();
        tokio::time::sleep(pause).await;
        link.pause.set((pause * 2).min(PAUSE_MAX));
    }
}
