//! What all workers of a node share: the configuration in force, the certificates, the ledgers they write. Swapped by
//! handle, read without a lock.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use twinplane_engine::snapshot::{NodeState, Snapshot};

use crate::clock::Clock;
use crate::dns::DnsCounts;
use crate::recorder::Ledger;
use crate::settings::Settings;
use crate::tls::certificates::CertificateTable;
use crate::tls::downstream::Downstream;

/// A node's shared parts.
#[derive(Debug)]
pub struct Node {
    /// The settings.
    pub settings: ArcSwap<Settings>,
    /// Counts from the start of the core.
    pub clock: Clock,
    /// What outlives configurations.
    pub state: Arc<NodeState>,
    /// The configuration in force.
    pub snapshot: ArcSwap<Snapshot>,
    /// Rises with each configuration; a worker compares it with its own.
    pub generation: AtomicU64,
    /// Whether a configuration has been applied.
    pub is_ready: AtomicBool,
    /// Handshakes with clients.
    pub downstream_tls: ArcSwap<Downstream>,
    /// Server certificates of the configuration in force.
    pub certificates: Arc<ArcSwap<CertificateTable>>,
    /// What requests leave behind, one per worker.
    pub ledgers: Vec<Arc<Ledger>>,
    /// What is counted of name resolution.
    pub dns: Arc<DnsCounts>,
    /// Open connections of all workers.
    pub connections: AtomicUsize,
    /// Open sessions of datagrams of all workers.
    pub udp_sessions: AtomicUsize,
    /// What all workers have read of responses ahead of their clients.
    pub bytes_ahead: AtomicUsize,
}

impl Node {
    /// Puts a configuration in force: certificates first, so that a name that routes has its certificate.
    /// Gives back the one before.
    pub fn swap(&self, snapshot: Arc<Snapshot>, certificates: CertificateTable) -> Arc<Snapshot> {
        self.certificates.store(Arc::new(certificates));
        let before = self.snapshot.swap(snapshot);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.is_ready.store(true, Ordering::Release);
        before
    }
}
