//! Datagrams: those of one client make a session, which keeps its upstream. Each is passed on as it came, replies go back to
//! the client; what finds no room is dropped and counted. Silence ends a session.
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ahash::AHashMap;
use bytes::Bytes;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use twinplane_engine::balancer::Outcome;
use twinplane_engine::stream::{NOT_REACHED, Offered};

use super::pump;
use super::reach::{self, Reached};
use super::session::Session;
use crate::conn_info::{ConnInfo, Serial};
use crate::listener::Closing;
use crate::recorder::Counter;
use crate::timers::Timer;
use crate::upstream::peers::{self, Destination};
use crate::upstream::pool::Place;
use crate::worker::Worker;

/// Datagrams of a session that may wait while its upstream is found.
const WAITING_MAX: usize = 64;
/// Bytes of all datagrams of a listener that may wait on one worker: whose they are anybody can claim.
const WAITING_BYTES_MAX: usize = 8_388_608;
/// Pause where the socket itself fails.
const PAUSE: Duration = Duration::from_millis(50);
/// Silence that ends a session of a node that stops: replies under way still come.
const LAST_MS: u64 = 1_000;

/// One listener on one worker.
struct Datagrams {
    socket: UdpSocket,
    worker: Rc<Worker>,
    closing: Rc<Closing>,
    sessions: RefCell<AHashMap<SocketAddr, Sender<Waiting>>>,
    bytes_waiting: Cell<usize>,
}

/// A datagram on its way to the upstream, counted for as long as it is held.
struct Waiting {
    data: Bytes,
    datagrams: Rc<Datagrams>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let waiting = &self.datagrams.bytes_waiting;
        waiting.set(waiting.get() - self.data.len());
    }
}

/// Takes datagrams on one worker until a drain.
pub(crate) async fn receive(socket: StdUdpSocket, closing: Rc<Closing>, worker: Rc<Worker>) {
    let Ok(socket) = UdpSocket::from_std(socket) else {
        worker.recorder.count(Counter::InvariantBroken, 1);
        return;
    };
    let Ok(local) = socket.local_addr() else {
        worker.recorder.count(Counter::InvariantBroken, 1);
        return;
    };
    let datagrams = Rc::new(Datagrams {
        socket,
        worker: Rc::clone(&worker),
        closing: Rc::clone(&closing),
        sessions: RefCell::default(),
        bytes_waiting: Cell::default(),
    });
    loop {
        let ready = tokio::select! {
            biased;
            () = worker.drained() => return,
            // Its sessions end with it: the port is to be free.
            () = closing.wait() => return datagrams.sessions.borrow_mut().clear(),
            ready = datagrams.socket.readable() => ready,
        };
        let received = pump::with_piece(|piece| {
            let (length, peer) = datagrams.socket.try_recv_from(piece)?;
            Ok((Bytes::copy_from_slice(&piece[..length]), peer))
        });
        match ready.and(received) {
            Ok((datagram, peer)) => datagrams.take(datagram, peer, local),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

impl Datagrams {
    // None where there is no room for it.
    fn hold(self: &Rc<Self>, data: Bytes) -> Option<Waiting> {
        let waiting = self.bytes_waiting.get() + data.len();
        (waiting <= WAITING_BYTES_MAX).then(|| {
            self.bytes_waiting.set(waiting);
            let datagrams = Rc::clone(self);
            Waiting { data, datagrams }
        })
    }

    fn take(self: &Rc<Self>, datagram: Bytes, peer: SocketAddr, local: SocketAddr) {
        let Some(datagram) = self.hold(datagram) else {
            self.worker.recorder.count(Counter::DatagramsLost, 1);
            return;
        };
        if let Some(session) = self.sessions.borrow().get(&peer) {
            if session.try_send(datagram).is_err() {
                self.worker.recorder.count(Counter::DatagramsLost, 1);
            }
            return;
        }
        let (sender, receiver) = channel(WAITING_MAX);
        let Some(open) = Open::new(self, peer, sender.clone()) else {
            self.worker.recorder.count(Counter::StreamsRefused, 1);
            self.worker.recorder.count(Counter::DatagramsLost, 1);
            return;
        };
        // There is room for the first.
        let _sent = sender.try_send(datagram);
        let info = ConnInfo {
            peer,
            proxied_for: None,
            listener_ip: local.ip(),
            listener_port: local.port(),
            tls: None,
            identity: None,
            closing: Rc::clone(&self.closing),
            serial: Serial::default(),
        };
        tokio::task::spawn_local(async move { serve(&open, receiver, info).await });
    }
}

/// Counts a session for as long as it is open, and is found by its client's address.
struct Open {
    datagrams: Rc<Datagrams>,
    peer: SocketAddr,
}

impl Open {
    // None where there is no room for another one.
    fn new(datagrams: &Rc<Datagrams>, peer: SocketAddr, sender: Sender<Waiting>) -> Option<Self> {
        let worker = &datagrams.worker;
        let most = worker.settings().start.limits.udp_sessions_max;
        let before = worker.node.udp_sessions.fetch_add(1, Ordering::Relaxed);
        if before >= most {
            worker.node.udp_sessions.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        worker.recorder.count(Counter::StreamsAccepted, 1);
        worker.recorder.count(Counter::StreamsActive, 1);
        worker.connection_opened();
        datagrams.sessions.borrow_mut().insert(peer, sender);
        Some(Self {
            datagrams: Rc::clone(datagrams),
            peer,
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let worker = &self.datagrams.worker;
        if std::thread::panicking() {
            worker.recorder.count(Counter::InvariantBroken, 1);
        }
        self.datagrams.sessions.borrow_mut().remove(&self.peer);
        worker.node.udp_sessions.fetch_sub(1, Ordering::Relaxed);
        worker.recorder.uncount(Counter::StreamsActive, 1);
        worker.connection_closed();
    }
}

async fn serve(open: &Open, receiver: Receiver<Waiting>, info: ConnInfo) {
    let worker = &open.datagrams.worker;
    let mut session = Session::open(worker, &info);
    if session.admit(Offered::Datagrams).is_none() {
        return;
    }
    let timer = worker.timers.timer();
    let reached = tokio::select! {
        biased;
        // The port is to be free at once.
        () = open.datagrams.closing.wait() => None,
        reached = Box::pin(reach::attempts(&mut session, &timer, connect)) => reached,
    };
    if let Some(reached) = reached {
        pass(open, receiver, &mut session, reached, &timer).await;
    }
}

async fn connect(destination: &Destination) -> Result<UdpSocket, ()> {
    let Place::Tcp(address) = destination.key.place else {
        return Err(());
    };
    let any = match address {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(drop)?;
    socket.connect(address).await.map_err(drop)?;
    Ok(socket)
}

async fn pass(
    open: &Open,
    mut receiver: Receiver<Waiting>,
    session: &mut Session,
    reached: Reached<UdpSocket>,
    timer: &Timer,
) {
    let Open { datagrams, peer } = open;
    let worker = &datagrams.worker;
    let Reached {
        io: upstream,
        mut destination,
        idle_ms,
    } = reached;
    let (mut is_last, mut has_answered) = (false, false);
    let began_us = session.x.now_us;
    timer.arm(idle_ms);
    loop {
        let outcome = tokio::select! {
            () = worker.drained(), if !is_last => {
                is_last = true;
                timer.arm(idle_ms.min(LAST_MS));
                Ok(Passed::Nothing)
            }
            datagram = receiver.recv() => match datagram {
                Some(datagram) => send(&upstream, &datagram.data, session).await,
                None => return,
            },
            ready = upstream.ready(Interest::READABLE | Interest::ERROR) => match ready {
                Ok(ready) if ready.is_error() => error_of(&upstream),
                Ok(_) => reply(datagrams, &upstream, *peer, session),
                Err(error) => Err(error),
            },
            () = timer.elapsed() => return,
        };
        match outcome {
            // Its machine, or one on the way, has said that nobody listens there.
            Err(error) if is_of_peer(&error) => {
                peers::report(&session.x, &destination, Outcome::ConnectionFailed);
                if !has_answered {
                    session.refuse(NOT_REACHED);
                }
                return;
            }
            // This machine did not take it: too long, no room, not allowed.
            Err(_) => worker.recorder.count(Counter::DatagramsLost, 1),
            Ok(Passed::Reply) if !has_answered => {
                has_answered = true;
                let now_us = worker.now_us();
                if let Some(used) = &mut destination.peer {
                    used.answered(now_us.saturating_sub(began_us), now_us);
                }
                peers::report(&session.x, &destination, Outcome::Status(200));
            }
            Ok(_) => {}
        }
        // However much an upstream talks, a drain ends.
        if !is_last {
            timer.arm(idle_ms);
        }
    }
}

/// What a turn of a session came to.
enum Passed {
    Nothing,
    Reply,
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable
    )
}

async fn send(upstream: &UdpSocket, datagram: &[u8], session: &mut Session) -> io::Result<Passed> {
    session.passed.received += datagram.len() as u64;
    let sent = upstream.send(datagram).await?;
    session.passed.upstream_sent += sent as u64;
    Ok(Passed::Nothing)
}

// What the socket was told, by the machine it sends to or on the way there.
fn error_of(upstream: &UdpSocket) -> io::Result<Passed> {
    if let Some(error) = upstream.take_error()? {
        return Err(error);
    }
    // Nothing any more: it is asked for again.
    let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
    let _cleared = upstream.try_io(Interest::ERROR, nothing);
    Ok(Passed::Nothing)
}

fn reply(
    datagrams: &Datagrams,
    upstream: &UdpSocket,
    peer: SocketAddr,
    session: &mut Session,
) -> io::Result<Passed> {
    pump::with_piece(|piece| {
        let length = match upstream.try_recv(piece) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Passed::Nothing),
            Err(error) => return Err(error),
        };
        session.passed.upstream_received += length as u64;
        match datagrams.socket.try_send_to(&piece[..length], peer) {
            Ok(sent) => session.passed.sent += sent as u64,
            // Nothing waits for a client that does not take it.
            Err(_) => datagrams.worker.recorder.count(Counter::DatagramsLost, 1),
        }
        Ok(Passed::Reply)
    })
}
