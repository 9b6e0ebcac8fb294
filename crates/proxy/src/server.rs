//! The core as a whole: worker threads, start, a new configuration, status, stop. Nothing here is on the request path.
mod adoption;
mod making;
mod status;
mod thread;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use twinplane_engine::build::build;
use twinplane_engine::plugin::PluginTable;
pub use twinplane_engine::snapshot::Issue;
use twinplane_engine::snapshot::Snapshot;
use twinplane_engine::visit::Host;

use crate::error::{ApplyError, StartError};
use crate::explain::Asked;
use crate::node::Node;
use crate::recorder::{Counter, Metrics};
use crate::server::adoption::Listeners;
use crate::server::making::{bind_all, build_input, node, read};
pub use crate::server::status::Status;
use crate::server::thread::{Command, Opening};
use crate::settings::{Settings, identities_of};
use crate::tls::certificates::CertificateTable;
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
