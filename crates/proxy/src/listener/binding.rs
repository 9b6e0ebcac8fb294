//! Sockets that listen. Each worker has its own on a port (`SO_REUSEPORT`), so a connection stays with the worker that
//! took it. A port that somebody else answers on is refused: the kernel would share it silently.
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::settings::{Keepalive, ListenerSettings};

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

/// Keepalive probes as the system takes them.
pub(super) fn probes(keepalive: Keepalive) -> TcpKeepalive {
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
