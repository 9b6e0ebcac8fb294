//! What requests leave behind: records, usage, log entries, metrics. Each worker writes its own ledger; a drain takes the
//! contents away in one move. Everything is bounded, and what is lost is counted.
mod access_format;
mod access_line;
mod ledger;
mod metrics;
mod ring;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::LogSink;
use twinplane_engine::limiter::shared::Counting;
use twinplane_engine::record::AccessRecord;
use twinplane_engine::snapshot::Snapshot;
use twinplane_model::Id;

pub use access_format::AccessFormat;
pub(crate) use ledger::Pages;
use ledger::UsageSlot;
pub use ledger::{Counter, Held, Ledger, LedgerLimits};
pub(crate) use metrics::{Metric, Metrics};
pub(crate) use ring::Ring;

/// A worker's end of its ledger.
#[derive(Debug)]
pub struct Recorder {
    ledger: Arc<Ledger>,
    // Address of the configuration that the short usage keys are about.
    snapshot: Cell<usize>,
}

impl Recorder {
    /// Writes into a ledger that no other worker writes into.
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Self {
            ledger,
            snapshot: Cell::new(0),
        }
    }

    /// Opens the ledger for the end of one request: its log phase and its record. Not to be held across an await.
    pub fn open(&self) -> Entry<'_> {
        Entry {
            pages: self.ledger.pages(),
            recorder: self,
            shared: Vec::new(),
        }
    }

    /// Adds to one of the worker's own counters.
    pub fn count(&self, counter: Counter, by: u64) {
        self.ledger.add(counter, by);
    }

    /// Takes from one of the worker's own gauges.
    pub fn uncount(&self, counter: Counter, by: u64) {
        self.ledger.sub(counter, by);
    }

    /// Another configuration is in force: what was counted by its indices is kept under ids.
    pub fn forget_snapshot(&self) {
        if self.snapshot.replace(0) != 0 {
            self.ledger.pages().settle_usage();
        }
    }
}

/// The ledger, open for one request.
pub struct Entry<'a> {
    pages: MutexGuard<'a, Pages>,
    recorder: &'a Recorder,
    shared: Vec<Counting>,
}

impl Entry<'_> {
    /// Closes the ledger; gives back what is to be counted elsewhere.
    pub fn close(self) -> Vec<Counting> {
        self.shared
    }

    /// Writes the record of a request or a stream that is over, and counts it as usage.
    pub fn record(&mut self, x: &Exchange) {
        let over = if x.stream.is_some() {
            Counter::Streams
        } else {
            Counter::Requests
        };
        self.recorder.ledger.add(over, 1);
        let pages = &mut *self.pages;
        if let Some(access) = pages.access.as_mut().filter(|_| x.stream.is_none()) {
            match &pages.access_format {
                Some(format) => access.push(|line| format.write(x, &mut pages.access_value, line)),
                None => access.push(|line| access_line::write(x, line)),
            }
        }
        if !self.pages.is_recording() {
            return;
        }
        self.pages
            .records
            .push(|line| AccessRecord::of(x).write_line(line));
        self.count_usage(x);
    }

    fn count_usage(&mut self, x: &Exchange) {
        let snapshot: *const Snapshot = Rc::as_ptr(&x.snapshot).cast();
        let snapshot = snapshot as usize;
        let in_force = &self.recorder.snapshot;
        if in_force.get() == 0 {
            in_force.set(snapshot);
        }
        let slot = UsageSlot {
            minute: x.times.started_wall_us / 60_000_000,
            route: x.route,
            service: x.service,
            consumer: x
                .consumer
                .as_ref()
                .map_or(0, |consumer| Arc::as_ptr(consumer) as usize),
            application: x.application.clone(),
            status: x.response.status,
        };
        let is_short = in_force.get() == snapshot;
        self.pages.count_usage(slot, is_short, x);
    }
}

impl LogSink for Entry<'_> {
    fn entry(&mut self, plugin_id: &Id, plugin: &'static str, entry: Bytes) {
        self.pages.logs.push(|line| {
            line.extend_from_slice(b"{\"plugin_id\":\"");
            line.extend_from_slice(plugin_id.as_bytes());
            line.extend_from_slice(b"\",\"plugin\":\"");
            line.extend_from_slice(plugin.as_bytes());
            line.extend_from_slice(b"\",\"entry\":");
            line.extend_from_slice(&entry);
            line.extend_from_slice(b"}\n");
        });
    }

    fn count_shared(&mut self, counting: Counting) {
        self.shared.push(counting);
    }

    fn count(&mut self, name: &'static str, labels: &[(&'static str, &str)], by: u64) {
        self.pages.metrics.count(name, labels, by);
    }

    fn observe(
        &mut self,
        name: &'static str,
        labels: &[(&'static str, &str)],
        value: f64,
        buckets: &'static [f64],
    ) {
        self.pages.metrics.observe(name, labels, value, buckets);
    }
}
