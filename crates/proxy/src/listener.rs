//! Listening and accepting. Each worker has its own socket on a port (`SO_REUSEPORT`), so a connection stays with the
//! worker that took it. A port that somebody else answers on is refused at start: the kernel would share it silently.
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener, UdpSocket};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::conn_info::{ConnInfo, Serial};
use crate::recorder::Counter;
use crate::settings::{Keepalive, ListenerSettings};
use crate::worker::Worker;
use crate::{downstream, stream as streams};

/// Pause after the process has run out of descriptors; connections wait in the backlog meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener as it is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenListener {
    /// Address.
    pub address: String,
    /// Port; never 0.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Whether it is for streams.
    pub stream: bool,
    /// Whether these are datagrams.
    pub udp: bool,
}

/// The sockets of one listener, one per worker.
#[derive(Debug)]
pub struct Bound {
    /// What is open.
    pub open: OpenListener,
    /// One per worker.
    pub sockets: Vec<Bare>,
}

/// A socket that is bound and that nobody takes from yet.
#[derive(Debug)]
pub enum Bare {
    /// For connections.
    Connections(StdListener),
    /// For datagrams.
    Datagrams(UdpSocket),
}

/// Opens a listener for so many workers. An error is a sentence for the operator.
pub fn bind(settings: &ListenerSettings, workers: usize) -> Result<Bound, String> {
    let failed = |error: &io::Error| refusal(settings, error);
    let ip: IpAddr = settings
        .address
        .parse()
        .map_err(|_| format!("not an IP address: {}", settings.address))?;
    let probe = open(SocketAddr::new(ip, settings.port), settings, false)
        .map_err(|error| failed(&error))?;
    let address = probe
        .local_addr()
        .and_then(|address| address.as_socket().ok_or(io::ErrorKind::Unsupported.into()));
    let address = address.map_err(|error| failed(&error))?;
    let opened = OpenListener {
        address: settings.address.clone(),
        port: address.port(),
        tls: settings.tls,
        stream: settings.stream,
        udp: settings.udp,
    };
    if settings.udp {
        // Each worker has its own: the kernel gives all datagrams of one client to one of them.
        drop(probe);
        let own = (0..workers).map(|_| {
            let socket = open(address, settings, true)?;
            socket.set_nonblocking(true)?;
            Ok(Bare::Datagrams(socket.into()))
        });
        let own = own.collect::<io::Result<Vec<_>>>();
        return Ok(Bound {
            open: opened,
            sockets: own.map_err(|error| failed(&error))?,
        });
    }
    let sockets = if settings.reuseport {
        drop(probe);
        let own = (0..workers).map(|_| listen(open(address, settings, true)?, settings.backlog));
        own.collect::<io::Result<Vec<_>>>()
    } else {
        listen(probe, settings.backlog).and_then(|first| {
            let others = (1..workers)
                .map(|_| first.try_clone())
                .collect::<io::Result<Vec<_>>>()?;
            Ok(std::iter::once(first).chain(others).collect())
        })
    };
    Ok(Bound {
        open: opened,
        sockets: sockets
            .map_err(|error| failed(&error))?
            .into_iter()
            .map(Bare::Connections)
            .collect(),
    })
}

/// Why an address cannot be listened on, and what to do about it.
fn refusal(settings: &ListenerSettings, error: &io::Error) -> String {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "not permitted: ports below 1024 need the right to bind them (CAP_NET_BIND_SERVICE); listen on a higher \
             one and publish it, see port_maps"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address".to_owned(),
        _ => error.to_string(),
    };
    let address = settings.address.as_str();
    let shown = if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    };
    format!("cannot listen on {shown}:{}: {reason}", settings.port)
}

/// A bound socket. Without `is_shared` this fails where anybody listens on the port, whoever they share it with.
fn open(address: SocketAddr, settings: &ListenerSettings, is_shared: bool) -> io::Result<Socket> {
    let (kind, protocol) = if settings.udp {
        (Type::DGRAM, Protocol::UDP)
    } else {
        (Type::STREAM, Protocol::TCP)
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(settings.ipv6only)?;
    }
    // Of datagrams it would let others have the port as well.
    socket.set_reuse_address(!settings.udp)?;
    if let Some(keepalive) = settings.keepalive {
        // Connections have what the listening socket has.
        socket.set_tcp_keepalive(&probes(keepalive))?;
    }
    if is_shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn probes(keepalive: Keepalive) -> TcpKeepalive {
    let seconds = |value: u32| Duration::from_secs(u64::from(value));
    let mut probes = TcpKeepalive::new();
    if let Some(idle_s) = keepalive.idle_s {
        probes = probes.with_time(seconds(idle_s));
    }
    if let Some(interval_s) = keepalive.interval_s {
        probes = probes.with_interval(seconds(interval_s));
    }
    if let Some(retries) = keepalive.probes {
        probes = probes.with_retries(retries);
    }
    probes
}

fn listen(socket: Socket, backlog: u32) -> io::Result<StdListener> {
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

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
            streams::serve(stream, info, &settings, &open.worker).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(port: u16, reuseport: bool) -> ListenerSettings {
        let json = format!(r#"{{"address":"127.0.0.1","port":{port},"reuseport":{reuseport}}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn of(bare: &Bare) -> &StdListener {
        match bare {
            Bare::Connections(socket) => socket,
            Bare::Datagrams(_) => panic!("asked for connections"),
        }
    }

    #[test]
    fn any_free_port_is_the_same_for_all_workers() {
        for reuseport in [true, false] {
            let bound = bind(&settings(0, reuseport), 3).unwrap();
            assert_ne!(bound.open.port, 0);
            assert_eq!(bound.sockets.len(), 3);
            assert!(
                bound
                    .sockets
                    .iter()
                    .all(|socket| of(socket).local_addr().unwrap().port() == bound.open.port)
            );
        }
    }

    #[test]
    fn a_port_that_is_shared_already_is_refused() {
        for reuseport in [true, false] {
            let bound = bind(&settings(0, reuseport), 1).unwrap();
            let error = bind(&settings(bound.open.port, true), 1).expect_err("in use");
            assert!(error.contains("the port is in use"), "{error}");
        }
    }

    #[test]
    fn sockets_are_made_as_told() {
        let json = r#"{"address":"::","port":0,"ipv6only":false,"backlog":7,
            "keepalive":{"idle_s":30,"interval_s":5,"probes":3}}"#;
        let settings: ListenerSettings = serde_json::from_str(json).unwrap();
        let Ok(bound) = bind(&settings, 2) else {
            return; // No IPv6 here.
        };
        let socket = socket2::SockRef::from(of(&bound.sockets[1]));
        assert!(!socket.only_v6().unwrap() && socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_time().unwrap(),
            Duration::from_secs(30)
        );
        assert_eq!(
            socket.tcp_keepalive_interval().unwrap(),
            Duration::from_secs(5)
        );
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        let port = bound.open.port;
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    #[test]
    fn what_is_in_the_way_of_a_port_is_told() {
        let low = r#"{"address":"::","port":443}"#;
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        let told = refusal(&serde_json::from_str(low).unwrap(), &error);
        assert!(told.starts_with("cannot listen on [::]:443: not permitted: ports below 1024"));
        assert!(told.ends_with("see port_maps"), "{told}");
        let elsewhere = r#"{"address":"192.0.2.77","port":0}"#;
        let error = bind(&serde_json::from_str(elsewhere).unwrap(), 1).expect_err("not ours");
        assert_eq!(
            error,
            "cannot listen on 192.0.2.77:0: this machine does not have the address"
        );
    }

    #[test]
    fn a_port_is_free_again_after_its_listener() {
        let port = bind(&settings(0, true), 2).unwrap().open.port;
        assert_eq!(bind(&settings(port, true), 2).unwrap().open.port, port);
    }
}
