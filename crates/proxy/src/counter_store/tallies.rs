//! Tells stores what this node has counted by itself since the last time. One worker does it for all.
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use twinplane_engine::filter::LogSink;
use twinplane_engine::limiter::shared::{Counting, SharedWindow};
use twinplane_engine::limiter::tally::Tally;

use crate::worker::Worker;

/// Windows told in one command.
const WINDOWS_AT_ONCE: usize = 256;
/// Between two looks at what is due.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(250);

/// Tells each tally to its store whenever its time has come. Runs for as long as the worker lives.
pub(crate) async fn tell_tallies(worker: Rc<Worker>) {
    loop {
        let now_us = worker.clock.now_us();
        let mut pause = LONGEST;
        for tally in worker.state.counter_stores.tallies() {
            if tally.begin(now_us) {
                tokio::task::spawn_local(tell(Rc::clone(&worker), Arc::clone(&tally)));
            }
            let left_us = tally.due_us().saturating_sub(now_us);
            pause = pause.min(Duration::from_micros(left_us));
        }
        tokio::time::sleep(pause.max(SHORTEST)).await;
    }
}

/// Tells all tallies now, whatever their time.
pub(super) async fn tell_all(worker: &Rc<Worker>) {
    for tally in worker.state.counter_stores.tallies() {
        // What is counted while the store is told comes behind it.
        while tell_untold(worker, &tally).await {}
    }
}

async fn tell(worker: Rc<Worker>, tally: Arc<Tally>) {
    tell_untold(&worker, &tally).await;
    tally.end();
    if tally.is_done() {
        // Nobody comes again to tell the rest.
        let second = worker.clock.wall_us() / 1_000_000;
        count_lost(&worker, &tally, &tally.untold(second));
    }
}

// Whether there was something, and the store has been told of it.
async fn tell_untold(worker: &Rc<Worker>, tally: &Tally) -> bool {
    let second = worker.clock.wall_us() / 1_000_000;
    let untold = tally.untold(second);
    let mut is_told = true;
    for windows in untold.chunks(WINDOWS_AT_ONCE) {
        if is_told {
            let counting = Counting {
                store: Arc::clone(&tally.store),
                windows: windows.to_vec(),
            };
            match worker.counter_links.ask(worker, counting).await {
                Ok(counted) => {
                    tally.told(windows, &counted);
                    continue;
                }
                // Told again they could count twice, and again at each visit.
                Err(fault) if fault.may_have_counted() => {
                    count_lost(worker, tally, windows);
                    is_told = false;
                    continue;
                }
                Err(_) => is_told = false,
            }
        }
        tally.keep(windows);
    }
    is_told && !untold.is_empty()
}

// The store may not have counted these, and is not told of them again.
fn count_lost(worker: &Worker, tally: &Tally, windows: &[SharedWindow]) {
    let amounts = windows.iter().map(|window| window.amount);
    let lost = amounts.fold(0, u64::saturating_add);
    if lost > 0 {
        let labels = [("store", &*tally.store.name)];
        let name = "twinplane_counter_store_counts_lost_total";
        worker.recorder.open().count(name, &labels, lost);
    }
}
