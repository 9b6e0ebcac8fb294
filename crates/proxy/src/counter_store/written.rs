//! What was written to a store and not yet answered: whose answer comes next, and how long it is waited for.
use std::collections::VecDeque;

use tokio::time::Instant;

use super::link::Job;

/// Commands that were written and not yet answered, in their order.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// All of them.
    pub(super) jobs: VecDeque<Job>,
    // Those that were written a second time, behind others that came after them.
    again: usize,
}

impl Written {
    /// Takes the next one to be answered away.
    pub(super) fn take(&mut self) -> Option<Job> {
        let job = self.jobs.pop_front()?;
        self.again -= usize::from(job.is_whole);
        Some(job)
    }

    /// It was written once more, the script with it.
    pub(super) fn put_again(&mut self, mut job: Job) {
        job.is_whole = true;
        self.again += 1;
        self.jobs.push_back(job);
    }

    /// When the first of them is not waited for any longer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let mut deadlines = self.jobs.iter().map(|job| job.deadline);
        if self.again == 0 {
            deadlines.next()
        } else {
            deadlines.min()
        }
    }

    /// How many items the next answer may have.
    pub(super) fn items_max(&self) -> usize {
        let next = self.jobs.front();
        next.map_or(0, |job| job.counting.windows.len() + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use twinplane_engine::limiter::shared::Counting;
    use twinplane_engine::limiter::store::{CounterStores, StorePlace};

    use super::*;

    fn job(after_s: u64) -> Job {
        let place = StorePlace {
            host: "127.0.0.1".into(),
            port: 6379,
            timeout_ms: 2_000,
            username: None,
            password: None,
            database: 0,
            tls: None,
        };
        let counting = Counting {
            store: CounterStores::default().at(place),
            windows: Vec::new(),
        };
        let mut job = Job::new(counting, None);
        job.deadline += Duration::from_secs(after_s);
        job
    }

    #[test]
    fn who_was_written_again_is_waited_for_no_longer_than_before() {
        let mut written = Written::default();
        assert_eq!(written.deadline(), None);
        written.jobs.extend([job(1), job(5)]);
        let first = written.jobs[0].deadline;
        assert_eq!(written.deadline(), Some(first));
        let again = written.take().unwrap();
        written.put_again(again);
        assert_eq!(written.deadline(), Some(first));
        written.take().unwrap();
        let last = written.take().unwrap();
        assert!(last.is_whole && last.deadline == first && written.again == 0);
    }
}
