//! One worker thread: its runtime, its listeners, its life from the first command to the last connection.
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use crate::explain::{self, Asked};
use crate::listener;
use crate::node::Node;
use crate::settings::ListenerSettings;
use crate::upstream::balancers;
use crate::worker::Worker;

/// What a worker is told from outside.
#[derive(Debug)]
pub(super) enum Command {
    /// Another configuration is in force.
    Refresh,
    /// Tell what would become of a request.
    Explain(Box<Asked>),
    /// Take no more connections; end when those under way have, or when the grace is over.
    Stop {
        /// Time for requests under way.
        grace: Duration,
    },
}

/// Starts a worker on a thread of its own.
pub(super) fn spawn(
    node: &Arc<Node>,
    number: usize,
    sockets: Vec<(ListenerSettings, TcpListener)>,
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
    sockets: Vec<(ListenerSettings, TcpListener)>,
    mut commands: UnboundedReceiver<Command>,
) {
    let worker = Worker::new(&node, number);
    tokio::task::spawn_local(worker.timers.clone().run());
    tokio::task::spawn_local(Rc::clone(&worker).sweep());
    // One worker is enough: what it finds out of peers is everybody's.
    if number == 0 {
        tokio::task::spawn_local(balancers::look_after(Rc::clone(&worker)));
    }
    let accepting: Vec<_> = sockets
        .into_iter()
        .map(|(settings, socket)| {
            tokio::task::spawn_local(listener::accept(
                socket,
                Rc::new(settings),
                Rc::clone(&worker),
            ))
        })
        .collect();
    let grace = loop {
        match commands.recv().await {
            Some(Command::Refresh) => drop(worker.snapshot()),
            Some(Command::Explain(asked)) => {
                tokio::task::spawn_local(explain::answer(Rc::clone(&worker), asked));
            }
            Some(Command::Stop { grace }) => break grace,
            None => break Duration::ZERO,
        }
    };
    worker.drain();
    let finished = async {
        for task in accepting {
            // A panic of the accepting task has been printed; the stop goes on.
            let _panicked = task.await;
        }
        worker.emptied().await;
    };
    let _cut = tokio::time::timeout(grace, finished).await;
}
