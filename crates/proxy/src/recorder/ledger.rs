//! One worker's ledger: written by the worker, emptied from outside. The lock is the worker's own; a drain holds it for
//! as long as it takes to swap a few pointers.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::AHashMap;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::record::{AccessRecord, Usage, UsageKey};
use twinplane_model::Id;

use crate::recorder::access_format::AccessFormat;
use crate::recorder::metrics::Metrics;
use crate::recorder::ring::Ring;

/// What a ledger holds at most.
#[derive(Clone, Debug)]
pub struct LedgerLimits {
    /// Records.
    pub records: usize,
    /// Log entries.
    pub logs: usize,
    /// Lines of the access log; 0: none is written.
    pub access_lines: usize,
    /// Their form; none: the usual one.
    pub access_format: Option<Arc<AccessFormat>>,
    /// Whether records and usage are kept at all.
    pub is_recording: bool,
}

/// Counters and gauges of a worker, readable from outside at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// Connections taken.
    ConnectionsAccepted,
    /// Connections open.
    ConnectionsActive,
    /// Connections open without a request.
    ConnectionsIdle,
    /// Connections refused at the limit.
    ConnectionsRefused,
    /// Handshakes that failed.
    HandshakesFailed,
    /// Pauses of accepting for want of descriptors.
    AcceptPauses,
    /// Requests that are over.
    Requests,
    /// Requests under way.
    RequestsActive,
    /// Streams taken.
    StreamsAccepted,
    /// Streams open.
    StreamsActive,
    /// Streams refused at a limit.
    StreamsRefused,
    /// Streams that are over.
    Streams,
    /// Datagrams that found no room.
    DatagramsLost,
    /// HTTP/2 connections to upstreams that are open.
    UpstreamH2Connections,
    /// Requests on them.
    UpstreamH2Streams,
    /// Responses that found no room to be read ahead of their clients.
    ResponsesNotAhead,
    /// Connections and streams ended for breaking a limit.
    LimitsBroken,
    /// Invariants of ours found broken; the request failed, the worker served on.
    InvariantBroken,
}

const COUNTERS: usize = Counter::InvariantBroken as usize + 1;

/// One worker's ledger.
#[derive(Debug)]
pub struct Ledger {
    counters: [AtomicU64; COUNTERS],
    pages: Mutex<Pages>,
}

impl Ledger {
    /// An empty one.
    pub fn new(limits: LedgerLimits) -> Self {
        let pages = Pages {
            records: Ring::new(limits.records),
            logs: Ring::new(limits.logs),
            access: (limits.access_lines != 0).then(|| Ring::new(limits.access_lines)),
            access_format: limits.access_format,
            access_value: Vec::new(),
            metrics: Metrics::default(),
            is_recording: limits.is_recording,
            slots: AHashMap::new(),
            usage: AHashMap::new(),
        };
        Self {
            counters: Default::default(),
            pages: Mutex::new(pages),
        }
    }

    /// Opens the pages. A panic while they were open leaves them usable: each step keeps them whole.
    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds; only the worker writes, so no read-modify-write is needed.
    pub fn add(&self, counter: Counter, by: u64) {
        let cell = &self.counters[counter as usize];
        cell.store(
            cell.load(Ordering::Relaxed).wrapping_add(by),
            Ordering::Relaxed,
        );
    }

    /// Takes away; only the worker writes.
    pub fn sub(&self, counter: Counter, by: u64) {
        let cell = &self.counters[counter as usize];
        cell.store(
            cell.load(Ordering::Relaxed).saturating_sub(by),
            Ordering::Relaxed,
        );
    }

    /// Reads.
    pub fn get(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }
}

/// One of what a gauge counts, for as long as it is held. On the worker's own thread.
#[derive(Debug)]
pub struct Held {
    ledger: Arc<Ledger>,
    counter: Counter,
}

impl Held {
    /// Counts one.
    pub fn new(ledger: &Arc<Ledger>, counter: Counter) -> Self {
        ledger.add(counter, 1);
        Self {
            ledger: Arc::clone(ledger),
            counter,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ledger.sub(self.counter, 1);
    }
}

/// The contents of a ledger.
#[derive(Debug)]
pub(crate) struct Pages {
    /// Access records, as lines.
    pub(crate) records: Ring,
    /// Log entries, as lines.
    pub(crate) logs: Ring,
    /// Lines of the access log, where there is one.
    pub(crate) access: Option<Ring>,
    /// Their form; none: the usual one.
    pub(crate) access_format: Option<Arc<AccessFormat>>,
    /// One value of a line, while it is written.
    pub(crate) access_value: Vec<u8>,
    /// Differences of the scrape's series since the last drain.
    pub(crate) metrics: Metrics,
    is_recording: bool,
    slots: AHashMap<UsageSlot, CountedUsage>,
    usage: AHashMap<UsageKey, Usage>,
}

/// A usage key in short: indices of the configuration in force, so that counting clones no id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UsageSlot {
    /// Minutes since the epoch.
    pub(crate) minute: u64,
    /// Index of the route.
    pub(crate) route: Option<u32>,
    /// Index of the service.
    pub(crate) service: Option<u32>,
    /// Address of the consumer.
    pub(crate) consumer: usize,
    /// Application.
    pub(crate) application: Option<Id>,
    /// Status sent.
    pub(crate) status: u16,
}

#[derive(Debug)]
struct CountedUsage {
    key: UsageKey,
    usage: Usage,
}

impl Pages {
    /// Whether records and usage are kept.
    pub(crate) fn is_recording(&self) -> bool {
        self.is_recording
    }

    /// Counts a request under its key; `is_short`: the slot's indices are about the configuration in force.
    pub(crate) fn count_usage(&mut self, slot: UsageSlot, is_short: bool, x: &Exchange) {
        let counted = if is_short {
            let made = || CountedUsage {
                key: AccessRecord::of(x).usage_key(),
                usage: Usage::default(),
            };
            &mut self.slots.entry(slot).or_insert_with(made).usage
        } else {
            self.usage
                .entry(AccessRecord::of(x).usage_key())
                .or_default()
        };
        counted.count += 1;
        counted.request_bytes += x.request.bytes;
        counted.response_bytes += x.response.bytes;
    }

    /// Moves what was counted in short under whole keys.
    pub(crate) fn settle_usage(&mut self) {
        for (_, CountedUsage { key, usage }) in self.slots.drain() {
            let total = self.usage.entry(key).or_default();
            total.count += usage.count;
            total.request_bytes += usage.request_bytes;
            total.response_bytes += usage.response_bytes;
        }
    }

    /// Takes all usage away.
    pub(crate) fn take_usage(&mut self) -> AHashMap<UsageKey, Usage> {
        self.settle_usage();
        std::mem::take(&mut self.usage)
    }
}
