//! What is counted of name resolution, for all workers together.
use std::sync::atomic::{AtomicU64, Ordering};

use super::DnsError;

/// Counters since the start.
#[derive(Debug, Default)]
pub struct DnsCounts {
    queries: AtomicU64,
    absent: AtomicU64,
    failed: AtomicU64,
    timed_out: AtomicU64,
    stale: AtomicU64,
    evicted: AtomicU64,
}

impl DnsCounts {
    pub(super) fn query(&self) {
        self.queries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failure(&self, error: &DnsError) {
        let counter = match error {
            DnsError::NotFound => &self.absent,
            DnsError::Failed(_) => &self.failed,
            DnsError::TimedOut => &self.timed_out,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stale(&self) {
        self.stale.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn evicted(&self, names: u64) {
        if names > 0 {
            self.evicted.fetch_add(names, Ordering::Relaxed);
        }
    }

    /// Each counter with its name: questions asked, of them answered "absent", failed, or not at all; look-ups served by an
    /// answer past its time; names forgotten to make room for others.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("queries", read(&self.queries)),
            ("absent", read(&self.absent)),
            ("failed", read(&self.failed)),
            ("timed_out", read(&self.timed_out)),
            ("stale", read(&self.stale)),
            ("evicted", read(&self.evicted)),
        ]
    }
}
