//! What a request finds around it on its worker: settings, the configuration in force, clocks, names, TLS, the recorder.
//! A worker is one thread; nothing here is shared with another one but by handles.
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;
use twinplane_engine::snapshot::{Local, NodeState, Snapshot};

use crate::clock::Clock;
use crate::dns::Dns;
use crate::node::Node;
use crate::recorder::Recorder;
use crate::settings::Settings;
use crate::timers::Timers;
use crate::tls::upstream::UpstreamConfigs;

/// One worker thread's surroundings.
#[derive(Debug)]
pub struct Worker {
    /// The settings.
    pub settings: Arc<Settings>,
    /// From 0.
    pub number: usize,
    /// The clocks.
    pub clock: Clock,
    /// Deadlines.
    pub timers: Timers,
    /// Names to addresses.
    pub dns: Dns,
    /// TLS towards upstreams.
    pub upstream_tls: UpstreamConfigs,
    /// What requests leave behind.
    pub recorder: Recorder,
    /// What outlives configurations.
    pub state: Local<NodeState>,
    /// What all workers share.
    pub node: Arc<Node>,
    current: RefCell<(u64, Local<Snapshot>)>,
    is_draining: Cell<bool>,
    drained: Notify,
    open: Cell<usize>,
    emptied: Notify,
}

impl Worker {
    /// A worker of a node; on the thread it will live on.
    pub fn new(node: &Arc<Node>, number: usize) -> Rc<Self> {
        let settings = Arc::clone(&node.settings);
        let dns = settings.start.dns.clone().unwrap_or_default();
        let generation = node.generation.load(Ordering::Acquire);
        let worker = Self {
            number,
            clock: node.clock,
            timers: Timers::new(node.clock),
            dns: Dns::new(&dns, node.clock),
            upstream_tls: UpstreamConfigs::new(Arc::clone(&settings)),
            recorder: Recorder::new(Arc::clone(&node.ledgers[number])),
            state: Rc::new(Arc::clone(&node.state)),
            current: RefCell::new((generation, Rc::new(node.snapshot.load_full()))),
            is_draining: Cell::new(false),
            drained: Notify::new(),
            open: Cell::new(0),
            emptied: Notify::new(),
            node: Arc::clone(node),
            settings,
        };
        Rc::new(worker)
    }

    /// The configuration in force; taken once per request and kept to its end.
    pub fn snapshot(&self) -> Local<Snapshot> {
        let generation = self.node.generation.load(Ordering::Acquire);
        if self.current.borrow().0 != generation {
            self.refresh(generation);
        }
        Rc::clone(&self.current.borrow().1)
    }

    /// Lets go of a configuration that is no longer in force, also where no request comes.
    pub fn refresh(&self, generation: u64) {
        *self.current.borrow_mut() = (generation, Rc::new(self.node.snapshot.load_full()));
        self.upstream_tls.forget_services();
        self.recorder.forget_snapshot();
    }

    /// Whether no further request is to be begun on a connection.
    pub fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    /// Ends idle connections, and busy ones after their request.
    pub fn drain(&self) {
        self.is_draining.set(true);
        self.timers.drain();
        self.drained.notify_waiters();
    }

    /// Waits for a drain to begin.
    pub async fn drained(&self) {
        let notified = self.drained.notified();
        if !self.is_draining.get() {
            notified.await;
        }
    }

    /// Waits until no connection is open.
    pub async fn emptied(&self) {
        while self.open.get() != 0 {
            self.emptied.notified().await;
        }
    }

    pub(crate) fn connection_opened(&self) {
        self.open.set(self.open.get() + 1);
    }

    pub(crate) fn connection_closed(&self) {
        self.open.set(self.open.get() - 1);
        if self.open.get() == 0 {
            self.emptied.notify_one();
        }
    }
}
