//! Accepting, on one worker: who connects is served there, up to a limit, until the listener is to be open no more.
mod binding;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::conn_info::{ConnInfo, Serial};
use crate::listener::binding::probes;
pub use crate::listener::binding::{Bare, Bound, OpenListener, bind};
use crate::recorder::Counter;
use crate::settings::ListenerSettings;
use crate::worker::Worker;
use crate::{downstream, stream as streams};

/// Pause after the process has run out of descriptors; connections wait in the backlog meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether a listener is to be open no more. Its connections look, too: each ends after the request it is at.
#[derive(Debug, Default)]
pub struct Closing {
    is_asked: Cell<bool>,
    asked: Notify,
}

impl Closing {
    /// Whether it has been asked for.
    pub fn is_asked(&self) -> bool {
        self.is_asked.get()
    }

    /// Asks for it.
    pub(crate) fn ask(&self) {
        self.is_asked.set(true);
        self.asked.notify_waiters();
    }

    pub(crate) async fn wait(&self) {
        let asked = self.asked.notified();
        if !self.is_asked.get() {
            asked.await;
        }
    }
}

/// A listener of one worker, open.
#[derive(Debug)]
pub struct Door {
    /// Which of the node's listeners it is one of.
    pub number: u64,
    socket: TcpListener,
    settings: RefCell<Rc<ListenerSettings>>,
    closing: Rc<Closing>,
}

impl Door {
    /// Opens it on the thread that accepts.
    pub fn open(
        number: u64,
        settings: ListenerSettings,
        socket: StdListener,
    ) -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            number,
            socket: TcpListener::from_std(socket)?,
            settings: RefCell::new(Rc::new(settings)),
            closing: Rc::default(),
        }))
    }

    /// Serves by other flags from the next connection on.
    pub fn change(&self, settings: &ListenerSettings) {
        let socket = SockRef::from(&self.socket);
        // A socket that listens takes another backlog, and hands its keepalive on. Where it does not, the old ones stay.
        let _kept = socket.listen(i32::try_from(settings.backlog).unwrap_or(i32::MAX));
        let _kept = match settings.keepalive {
            Some(keepalive) => socket.set_tcp_keepalive(&probes(keepalive)),
            None => socket.set_keepalive(false),
        };
        self.settings.replace(Rc::new(settings.clone()));
    }

    /// Takes no more connections, and has those that came through it end after their request.
    pub fn close(&self) {
        self.closing.ask();
    }
}

/// Accepts on one worker until a drain or its end, then takes what has already been connected and closes the socket.
pub async fn accept(door: Rc<Door>, worker: Rc<Worker>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = worker.drained() => break,
            () = door.closing.wait() => break,
            accepted = door.socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => take(stream, peer, &door, &worker),
            Err(error) => pause(&error, &worker).await,
        }
    }
    while let Some(Ok((stream, peer))) = now_or_never(door.socket.accept()) {
        take(stream, peer, &door, &worker);
    }
}

fn take(stream: TcpStream, peer: SocketAddr, door: &Rc<Door>, worker: &Rc<Worker>) {
    let open_max = worker.settings().start.limits.connections_max;
    if open_max != 0 && worker.node.connections.load(Ordering::Relaxed) >= open_max {
        // Shed early and cheaply: who is served keeps being served.
        let refused = if door.settings.borrow().stream {
            Counter::StreamsRefused
        } else {
            Counter::ConnectionsRefused
        };
        worker.recorder.count(refused, 1);
        return;
    }
    // Heads and small answers leave at once; large ones fill packets by themselves.
    let _ignored = stream.set_nodelay(true);
    // A connection that is gone already has no address, and serving it ends at once.
    let local = stream.local_addr().map_or(peer, |local| local);
    let settings = Rc::clone(&door.settings.borrow());
    let info = ConnInfo {
        peer,
        proxied_for: None,
        listener_ip: local.ip(),
        listener_port: local.port(),
        tls: None,
        // Streams are told apart by nothing but their records.
        serial: if settings.stream {
            Serial::default()
        } else {
            Serial::next()
        },
        identity: None,
        closing: Rc::clone(&door.closing),
    };
    let open = Open::new(worker, settings.stream);
    tokio::task::spawn_local(async move {
        if settings.stream {
            // In a box: other connections have no place for it.
            Box::pin(streams::serve(stream, info, &settings, &open.worker)).await;
        } else {
            downstream::serve(stream, info, &settings, &open.worker).await;
        }
    });
}

async fn pause(error: &io::Error, worker: &Worker) {
    // Whatever befell the one connection concerns it alone.
    let of_connection = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::Interrupted,
    ];
    if !of_connection.contains(&error.kind()) {
        worker.recorder.count(Counter::AcceptPauses, 1);
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// Counts a connection for as long as it is open.
struct Open {
    worker: Rc<Worker>,
    active: Counter,
}

impl Open {
    fn new(worker: &Rc<Worker>, is_stream: bool) -> Self {
        let (accepted, active) = if is_stream {
            (Counter::StreamsAccepted, Counter::StreamsActive)
        } else {
            (Counter::ConnectionsAccepted, Counter::ConnectionsActive)
        };
        worker.recorder.count(accepted, 1);
        worker.recorder.count(active, 1);
        worker.node.connections.fetch_add(1, Ordering::Relaxed);
        worker.connection_opened();
        Self {
            worker: Rc::clone(worker),
            active,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.worker.recorder.count(Counter::InvariantBroken, 1);
        }
        self.worker.recorder.uncount(self.active, 1);
        self.worker.node.connections.fetch_sub(1, Ordering::Relaxed);
        self.worker.connection_closed();
    }
}
