//! One worker thread: its runtime, its listeners, its life from the first command to the last connection.
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use crate::counter_store;
use crate::explain::{self, Asked};
use crate::listener::{self, Bare, Closing, Door};
use crate::node::Node;
use crate::recorder::Counter;
use crate::settings::{ListenerSettings, Settings};
use crate::stream::datagrams;
use crate::upstream::balancers;
use crate::worker::Worker;

/// What a worker is told from outside.
#[derive(Debug)]
pub(super) enum Command {
    /// Another configuration is in force.
    Refresh,
    /// Tell what would become of a request.
    Explain(Box<Asked>),
    /// Other settings are in force: adopt them, and open, change and close listeners.
    Adopt(Box<Adoption>),
    /// Take no more connections; end when those under way have, or when the grace is over.
    Stop {
        /// Time for requests under way.
        grace: Duration,
    },
}

/// Other settings for one worker.
#[derive(Debug)]
pub(super) struct Adoption {
    /// The settings.
    pub(super) settings: Arc<Settings>,
    /// Listeners to open; their sockets listen already.
    pub(super) opened: Vec<Opening>,
    /// Listeners with other flags.
    pub(super) changed: Vec<(u64, ListenerSettings)>,
    /// Listeners that are to be there no more.
    pub(super) closed: Vec<u64>,
    /// Told once the closed ones are closed.
    pub(super) done: Sender<()>,
}

/// A socket that a worker is to accept from.
#[derive(Debug)]
pub(super) struct Opening {
    /// Which of the node's listeners it is.
    pub(super) number: u64,
    /// Its flags.
    pub(super) settings: ListenerSettings,
    /// The socket.
    pub(super) socket: Bare,
}

/// Starts a worker on a thread of its own.
pub(super) fn spawn(
    node: &Arc<Node>,
    number: usize,
    sockets: Vec<Opening>,
) -> io::Result<(UnboundedSender<Command>, JoinHandle<()>)> {
    let (sender, receiver) = unbounded_channel();
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let node = Arc::clone(node);
    let body = move || {
        let local = LocalSet::new();
        local.block_on(&runtime, live(node, number, sockets, receiver));
        // Connections that are left are cut here: dropping the set drops their tasks.
        drop(local);
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new()
        .name(format!("twinplane-{number}"))
        .spawn(body)?;
    Ok((sender, thread))
}

async fn live(
    node: Arc<Node>,
    number: usize,
    sockets: Vec<Opening>,
    mut commands: UnboundedReceiver<Command>,
) {
    let worker = Worker::new(&node, number);
    tokio::task::spawn_local(worker.timers.clone().run());
    tokio::task::spawn_local(Rc::clone(&worker).sweep());
    tokio::task::spawn_local(counter_store::tend(Rc::clone(&worker)));
    // One worker is enough: what it finds out of peers is everybody's.
    if number == 0 {
        tokio::task::spawn_local(balancers::look_after(Rc::clone(&worker)));
        tokio::task::spawn_local(counter_store::tell_tallies(Rc::clone(&worker)));
    }
    let mut doors = Doors::default();
    doors.open(sockets, &worker);
    let grace = loop {
        match commands.recv().await {
            Some(Command::Refresh) => drop(worker.snapshot()),
            Some(Command::Explain(asked)) => {
                tokio::task::spawn_local(explain::answer(Rc::clone(&worker), asked));
            }
            Some(Command::Adopt(adoption)) => doors.adopt(*adoption, &worker),
            Some(Command::Stop { grace }) => break grace,
            None => break Duration::ZERO,
        }
    };
    worker.drain();
    let finished = async {
        let datagrams = doors.datagrams.into_iter().map(|(.., task)| task);
        let connections = doors.connections.into_iter().map(|(_, task)| task);
        for task in connections.chain(datagrams) {
            // A panic of the accepting task has been printed; the stop goes on.
            let _panicked = task.await;
        }
        worker.emptied().await;
        counter_store::finish(&worker).await;
    };
    let _cut = tokio::time::timeout(grace, finished).await;
}

/// The open listeners of one worker, each with the task that accepts.
#[derive(Default)]
struct Doors {
    connections: Vec<(Rc<Door>, JoinTask)>,
    datagrams: Vec<(u64, Rc<Closing>, JoinTask)>,
}

type JoinTask = tokio::task::JoinHandle<()>;

impl Doors {
    fn open(&mut self, openings: Vec<Opening>, worker: &Rc<Worker>) {
        for opening in openings {
            let Opening {
                number, settings, ..
            } = opening;
            let socket = match opening.socket {
                Bare::Connections(socket) => socket,
                Bare::Datagrams(socket) => {
                    let closing = Rc::new(Closing::default());
                    let taking = datagrams::receive(socket, Rc::clone(&closing), Rc::clone(worker));
                    let task = tokio::task::spawn_local(taking);
                    self.datagrams.push((number, closing, task));
                    continue;
                }
            };
            match Door::open(number, settings, socket) {
                Ok(door) => {
                    let accepting = listener::accept(Rc::clone(&door), Rc::clone(worker));
                    let task = tokio::task::spawn_local(accepting);
                    self.connections.push((door, task));
                }
                Err(_) => worker.recorder.count(Counter::InvariantBroken, 1),
            }
        }
    }

    // What is new is there before what is old goes.
    fn adopt(&mut self, adoption: Adoption, worker: &Rc<Worker>) {
        worker.adopt(&adoption.settings);
        self.open(adoption.opened, worker);
        for (number, settings) in &adoption.changed {
            let doors = self.connections.iter();
            for (door, _) in doors.filter(|(door, _)| door.number == *number) {
                door.change(settings);
            }
        }
        let is_closed = |number: u64| adoption.closed.contains(&number);
        let (closed, kept) = std::mem::take(&mut self.connections)
            .into_iter()
            .partition::<Vec<_>, _>(|(door, _)| is_closed(door.number));
        self.connections = kept;
        let (deaf, kept) = std::mem::take(&mut self.datagrams)
            .into_iter()
            .partition::<Vec<_>, _>(|(number, ..)| is_closed(*number));
        self.datagrams = kept;
        tokio::task::spawn_local(async move {
            for (door, task) in closed {
                door.close();
                drop(door);
                let _panicked = task.await;
            }
            for (_, closing, task) in deaf {
                closing.ask();
                let _panicked = task.await;
            }
            // Nobody may be waiting any more.
            let _sent = adoption.done.send(());
        });
    }
}
