//! How a core is, for whoever asks.
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::{Issue, Server};
use crate::listener::OpenListener;
use crate::recorder::Counter;

/// How the core is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What is listened on.
    pub listeners: Vec<OpenListener>,
    /// Worker threads that run.
    pub workers: usize,
    /// Open connections.
    pub connections_active: u64,
    /// Requests that are over.
    pub requests_total: u64,
    /// Whether a configuration is in force.
    pub snapshot_ready: bool,
    /// Configurations put in force since the start.
    pub snapshots_total: u64,
    /// Routes in force.
    pub routes: usize,
    /// Services in force.
    pub services: usize,
    /// Invariants found broken.
    pub invariant_broken: u64,
    /// What of the configuration in force this node cannot run as asked.
    pub issues: Vec<Issue>,
}

impl Server {
    /// How the core is, at this moment.
    pub fn status(&self) -> Status {
        let snapshot = self.node.snapshot.load();
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        Status {
            listeners: self.listeners().open(),
            workers: workers
                .iter()
                .filter(|worker| !worker.thread.is_finished())
                .count(),
            connections_active: self.sum(Counter::ConnectionsActive)
                + self.sum(Counter::StreamsActive),
            requests_total: self.sum(Counter::Requests),
            snapshot_ready: self.node.is_ready.load(Ordering::Acquire),
            snapshots_total: self.node.generation.load(Ordering::Acquire),
            routes: snapshot.routes.len(),
            services: snapshot.services.len(),
            invariant_broken: self.sum(Counter::InvariantBroken),
            issues: snapshot.issues.clone(),
        }
    }
}
