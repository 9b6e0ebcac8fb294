//! The core as a whole: worker threads, start, a new configuration, status, stop. Nothing here is on the request path.
mod adoption;
mod thread;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::mpsc::UnboundedSender;
use twinplane_engine::balancer::HealthBook;
use twinplane_engine::build::{BuildInput, build};
use twinplane_engine::limiter::Limiter;
use twinplane_engine::limiter::store::CounterStores;
use twinplane_engine::plugin::PluginTable;
use twinplane_engine::response_cache::ResponseCache;
pub use twinplane_engine::snapshot::Issue;
use twinplane_engine::snapshot::{NodeState, Snapshot};
use twinplane_engine::visit::Host;
use twinplane_model::ConfigTable;

use crate::clock::Clock;
use crate::error::{ApplyError, StartError};
use crate::explain::Asked;
use crate::listener::{Bound, OpenListener, bind};
use crate::node::Node;
use crate::recorder::{Counter, Ledger, LedgerLimits, Metrics};
use crate::server::adoption::Listeners;
use crate::server::thread::{Command, Opening};
use crate::settings::{ListenerSettings, Settings, identities_of};
use crate::tls::certificates::CertificateTable;
use crate::tls::downstream::Downstream;
use crate::{kept_answers, upstream_health};

/// A worker has this long to tell what would become of a request; names of its upstream may have to be looked up.
const EXPLAINED_WITHIN: Duration = Duration::from_secs(10);

/// Over the grace of a stop: for threads to end after their connections were cut.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// A running core.
#[derive(Debug)]
pub struct Server {
    pub(crate) node: Arc<Node>,
    pub(crate) totals: Mutex<Metrics>,
    plugins: &'static PluginTable,
    // What is listened on. Looked at by whoever asks how the core is: never held while anything is waited for.
    listeners: Mutex<Listeners>,
    // One set of other settings at a time is adopted, until the workers have told.
    adopting: Mutex<()>,
    // One configuration at a time is built; requests know nothing of this lock. Holds those before until their last
    // request has ended: taking a large one apart would stall a worker.
    applying: Mutex<Vec<Arc<Snapshot>>>,
    workers: Mutex<Vec<Handle>>,
}

#[derive(Debug)]
struct Handle {
    commands: UnboundedSender<Command>,
    thread: JoinHandle<()>,
}

/// A configuration is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What of it cannot be served as asked.
    pub issues: Vec<Issue>,
    /// Routes in force.
    pub routes: usize,
    /// How long building and swapping took.
    pub took_us: u64,
}

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
    /// Starts: checks everything, opens every port, builds the configuration if one is given, and only then serves.
    pub fn start(
        settings: &[u8],
        payload: Option<&[u8]>,
        plugins: &'static PluginTable,
    ) -> Result<Self, StartError> {
        Self::start_with_host(settings, payload, plugins, None)
    }

    /// The same for a node that runs plugins in Python.
    pub fn start_with_host(
        settings: &[u8],
        payload: Option<&[u8]>,
        plugins: &'static PluginTable,
        host: Option<Arc<dyn Host>>,
    ) -> Result<Self, StartError> {
        let settings = Arc::new(Settings::parse(settings)?);
        let bound = bind_all(&settings.start.listeners, settings.start.workers)?;
        let node = node(Arc::clone(&settings), plugins, host)?;
        let (listeners, sockets) = Listeners::of(&settings.start.listeners, bound);
        let server = Self {
            node,
            totals: Mutex::default(),
            plugins,
            listeners: Mutex::new(listeners),
            adopting: Mutex::default(),
            applying: Mutex::default(),
            workers: Mutex::default(),
        };
        if let Some(payload) = payload {
            let told = |error: ApplyError| {
                error
                    .faults
                    .iter()
                    .map(|fault| format!("configuration: {fault}"))
                    .collect()
            };
            server.apply(payload).map_err(|error| StartError {
                faults: told(error),
            })?;
        }
        server.spawn(sockets)?;
        Ok(server)
    }

    /// Builds a configuration whole, then puts it in force; any fault leaves the one before in place.
    pub fn apply(&self, payload: &[u8]) -> Result<Applied, ApplyError> {
        let mut replaced = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        let started = Instant::now();
        let table = read(payload)?;
        let certificates = CertificateTable::build(&table.certificates, &table.snis);
        let in_force = self.node.snapshot.load_full();
        let input = build_input(
            &self.node.settings.load(),
            &self.node.state,
            self.plugins,
            Some(&in_force),
        );
        let (snapshot, certificates) = match (build(table, input), certificates) {
            (Ok(snapshot), Ok(certificates)) => (Arc::new(snapshot), certificates),
            (snapshot, certificates) => {
                let faults = snapshot
                    .err()
                    .into_iter()
                    .chain(certificates.err())
                    .flatten()
                    .collect::<Vec<_>>();
                return Err(faults.into());
            }
        };
        let (issues, routes) = (snapshot.issues.clone(), snapshot.routes.len());
        self.node.state.health.forget(snapshot.peers_configured());
        replaced.push(self.node.swap(snapshot, certificates));
        // Idle workers let go of the one before, too.
        self.tell(|| Command::Refresh);
        let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(Applied {
            issues,
            routes,
            took_us,
        })
    }

    /// Serves other default certificates from the next handshake on; where one cannot be used, all stay as they are.
    pub fn renew(&self, certificates: &[u8]) -> Result<(), StartError> {
        let identities = identities_of(certificates)?;
        self.node.downstream_tls.load().renew(identities);
        Ok(())
    }

    /// Takes into account what probes saw of targets, or what people want of them: a list. How many peers it was about.
    pub fn judge(&self, judgements: &[u8]) -> Result<usize, String> {
        let judgements: Vec<upstream_health::Judgement> =
            serde_json::from_slice(judgements).map_err(|error| error.to_string())?;
        let snapshot = self.node.snapshot.load_full();
        Ok(upstream_health::judge(
            &snapshot,
            &self.node.state.health,
            &judgements,
        ))
    }

    /// Looks into what proxy-cache keeps, or forgets of it: `"clear"`, `{"find": key}` or `{"forget": key}`. JSON out.
    pub fn kept_answers(&self, wanted: &[u8]) -> Result<Vec<u8>, String> {
        let wanted = serde_json::from_slice(wanted).map_err(|error| error.to_string())?;
        let told = kept_answers::answer(&self.node.state.cache, self.node.clock, &wanted);
        Ok(told.to_string().into_bytes())
    }

    /// Tells what would become of a request, by the configuration in force. JSON in, JSON out; see [`crate::explain`].
    pub fn explain(&self, question: &[u8]) -> Result<Vec<u8>, String> {
        let question = serde_json::from_slice(question).map_err(|error| error.to_string())?;
        let (reply, told) = std::sync::mpsc::channel();
        let asked = Asked { question, reply };
        {
            let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
            let first = workers.first().ok_or("the node has stopped")?;
            let sent = first.commands.send(Command::Explain(Box::new(asked)));
            sent.map_err(|_| "the node has stopped")?;
        }
        let told = told.recv_timeout(EXPLAINED_WITHIN);
        told.map_err(|_| "the node is too busy to tell".to_owned())
    }

    /// Takes configurations apart that no request is served by any more. Leaves it to the next call while one is built.
    pub(crate) fn forget_replaced(&self) {
        if let Ok(mut replaced) = self.applying.try_lock() {
            replaced.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        }
    }

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

    /// Stops: takes no more connections, finishes what is under way within the grace, cuts the rest. Blocks until done.
    pub fn stop(&self, grace: Duration) {
        self.tell(|| Command::Stop { grace });
        let deadline = Instant::now() + grace + STOP_MARGIN;
        let handles =
            std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for Handle { commands, thread } in handles {
            drop(commands);
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            // A thread that outlives the margin hangs in code of ours; waiting for it would hang the process as well.
            if thread.is_finished() && thread.join().is_err() {
                self.node.ledgers[0].add(Counter::InvariantBroken, 1);
            }
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sum of a counter over all workers.
    pub(crate) fn sum(&self, counter: Counter) -> u64 {
        self.node
            .ledgers
            .iter()
            .map(|ledger| ledger.get(counter))
            .sum()
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for worker in &*self.workers.lock().unwrap_or_else(PoisonError::into_inner) {
            // A worker that has ended needs no command.
            let _ended = worker.commands.send(command());
        }
    }

    fn spawn(&self, openings: Vec<Vec<Opening>>) -> Result<(), StartError> {
        let mut sockets = openings;
        sockets.resize_with(self.node.ledgers.len(), Vec::new);
        for (number, sockets) in sockets.into_iter().enumerate() {
            match thread::spawn(&self.node, number, sockets) {
                Ok((commands, thread)) => {
                    let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
                    workers.push(Handle { commands, thread });
                }
                Err(error) => {
                    self.stop(Duration::ZERO);
                    return Err(StartError::of(format!(
                        "cannot start worker {number}: {error}"
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

fn build_input<'a>(
    settings: &Settings,
    state: &'a Arc<NodeState>,
    plugins: &'a PluginTable,
    previous: Option<&'a Snapshot>,
) -> BuildInput<'a> {
    BuildInput {
        plugins,
        node: state,
        rules: settings.router_rules(),
        previous,
        is_edge: settings.start.edge.is_some(),
    }
}

fn read(payload: &[u8]) -> Result<ConfigTable, ApplyError> {
    // A list would be taken for the table's members in their order.
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApplyError::unreadable("a configuration is a JSON object"));
    }
    serde_json::from_slice(payload).map_err(ApplyError::unreadable)
}

fn bind_all(listeners: &[ListenerSettings], workers: usize) -> Result<Vec<Bound>, StartError> {
    let mut bound = Vec::new();
    let mut faults = Vec::new();
    for listener in listeners {
        match bind(listener, workers) {
            Ok(one) => bound.push(one),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(bound)
    } else {
        Err(StartError { faults })
    }
}

fn node(
    settings: Arc<Settings>,
    plugins: &PluginTable,
    host: Option<Arc<dyn Host>>,
) -> Result<Arc<Node>, StartError> {
    let certificates = Arc::new(ArcSwap::from_pointee(CertificateTable::default()));
    let workers = settings.start.workers;
    // Each worker holds its share; connections spread evenly over workers.
    let limits = LedgerLimits {
        records: settings.start.records_max.div_ceil(workers),
        logs: settings.start.log_entries_max.div_ceil(workers),
        access_lines: settings.start.access_lines_max.div_ceil(workers),
        access_format: settings.start.access_format.clone().map(Arc::new),
        is_recording: settings.start.edge.is_none(),
    };
    let state = NodeState {
        node_id: settings.start.node_id.as_str().into(),
        allows_ambiguous_paths: settings.start.ambiguous_paths == "allow",
        hostname: settings
            .start
            .hostname
            .as_deref()
            .unwrap_or_default()
            .into(),
        changed_body_bytes_max: settings.start.changed_body_bytes_max,
        limiter: Limiter::with_entries_max(settings.start.limit_windows_max),
        limit_windows_max: settings.start.limit_windows_max,
        counter_stores: CounterStores::default(),
        cache: ResponseCache::with_bytes_max(settings.start.cache_bytes_max),
        health: HealthBook::default(),
        host,
    };
    let state = Arc::new(state);
    // Until a configuration is applied, an empty one is served: nothing matches.
    let empty = build(
        ConfigTable::default(),
        build_input(&settings, &state, plugins, None),
    );
    let empty = empty.map_err(|_| StartError::of("the empty configuration cannot be built"))?;
    Ok(Arc::new(Node {
        downstream_tls: ArcSwap::from_pointee(Downstream::new(&settings, &certificates)?),
        clock: Clock::start(),
        state,
        snapshot: ArcSwap::from_pointee(empty),
        generation: AtomicU64::new(0),
        is_ready: AtomicBool::new(false),
        certificates,
        ledgers: (0..workers)
            .map(|_| Arc::new(Ledger::new(limits.clone())))
            .collect(),
        connections: AtomicUsize::new(0),
        udp_sessions: AtomicUsize::new(0),
        bytes_ahead: AtomicUsize::new(0),
        dns: Arc::default(),
        settings: ArcSwap::new(settings),
    }))
}
