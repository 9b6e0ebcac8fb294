//! Counting in stores that several nodes share (Redis, Valkey). Each worker has one connection to each store, over which
//! commands follow one another without waiting; a request waits for its answer no longer than the store's time-out.
mod connection;
mod link;
pub mod resp;
mod script;
mod tallies;
mod written;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use twinplane_engine::limiter::shared::{Counted, Counting, StoreFault};
use twinplane_engine::limiter::store::CounterStore;

use crate::counter_store::link::{Job, Link};
use crate::worker::Worker;

use tallies::tell_all;
pub(crate) use tallies::tell_tallies;

/// How often links are looked for whose stores no configuration names any more.
const LOOK: Duration = Duration::from_secs(1);
/// The same at a stop, for those that still wait for an answer.
const LAST_LOOK: Duration = Duration::from_millis(5);

/// The links of one worker.
#[derive(Debug, Default)]
pub struct CounterLinks {
    links: RefCell<Vec<Rc<Link>>>,
    asleep: RefCell<Vec<Rc<Link>>>,
    is_wanted: Notify,
}

impl CounterLinks {
    /// Has something counted, and waits for what comes of it.
    pub async fn ask(&self, worker: &Worker, counting: Counting) -> Result<Counted, StoreFault> {
        let (reply, answer) = oneshot::channel();
        self.put(worker, counting, Some(reply))?;
        let stopped = || Err(StoreFault::Lost("the node stops".into()));
        answer.await.unwrap_or_else(|_| stopped())
    }

    /// Has something counted; what cannot be is counted as a failure.
    pub fn send(&self, worker: &Worker, counting: Counting) {
        // Nobody is there to be told: the failure stands in the metrics.
        let _refused = self.put(worker, counting, None);
    }

    fn put(
        &self,
        worker: &Worker,
        counting: Counting,
        reply: Option<oneshot::Sender<Result<Counted, StoreFault>>>,
    ) -> Result<(), StoreFault> {
        let store = Arc::clone(&counting.store);
        let link = self.link(&store);
        let commands_max = worker.settings().start.counter_commands_max;
        match link.put(Job::new(counting, reply), commands_max) {
            Ok(is_awake) => {
                if !is_awake {
                    self.asleep.borrow_mut().push(link);
                    self.is_wanted.notify_one();
                }
                Ok(())
            }
            Err(fault) => {
                link.count_failures(worker, &fault, 1);
                Err(fault)
            }
        }
    }

    fn link(&self, store: &Arc<CounterStore>) -> Rc<Link> {
        let mut links = self.links.borrow_mut();
        if let Some(known) = links.iter().find(|link| link.leads_to(store)) {
            return Rc::clone(known);
        }
        let link = Rc::new(Link::to(store));
        links.push(Rc::clone(&link));
        link
    }

    fn forget_unused(&self) {
        self.links.borrow_mut().retain(|link| {
            let is_used = !link.is_over();
            if !is_used {
                link.wake();
            }
            is_used
        });
    }
}

/// Starts links that are wanted and lets go of others. Runs for as long as the worker lives.
pub(crate) async fn tend(worker: Rc<Worker>) {
    let links = &worker.counter_links;
    loop {
        // Whichever comes first, both are looked after.
        let _waited = tokio::time::timeout(LOOK, links.is_wanted.notified()).await;
        for link in links.asleep.take() {
            tokio::task::spawn_local(link::run(link, Rc::clone(&worker)));
        }
        links.forget_unused();
    }
}

/// Has everything told that was counted, before the worker ends.
pub(crate) async fn finish(worker: &Rc<Worker>) {
    tell_all(worker).await;
    let is_waiting = || {
        let links = worker.counter_links.links.borrow();
        links.iter().any(|link| link.is_waiting())
    };
    while is_waiting() {
        tokio::time::sleep(LAST_LOOK).await;
    }
}
