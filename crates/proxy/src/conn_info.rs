//! What is known of a client's connection before its first request. Facts alone.
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::listener::Closing;
use crate::tls::downstream::Session;

/// One accepted connection.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    /// Address of the connection's other end.
    pub peer: SocketAddr,
    /// Client's address by a PROXY protocol header, on listeners that expect one.
    pub proxied_for: Option<SocketAddr>,
    /// Address at which the client reached us.
    pub listener_ip: IpAddr,
    /// Port of our listener.
    pub listener_port: u16,
    /// What the TLS handshake told; none in the clear.
    pub tls: Option<Session>,
    /// Which of the node's connections for requests it is.
    pub serial: Serial,
    /// Identity headers that tell who this connection is, in the front door; they replace whatever the client sends.
    pub identity: Option<Box<crate::edge::IdentityHeaders>>,
    /// Whether the listener that it came through is there no more.
    pub closing: Rc<Closing>,
}

static LAST: AtomicU64 = AtomicU64::new(0);

/// The number of a connection among all of the process, and how many requests it has carried.
#[derive(Clone, Debug, Default)]
pub struct Serial {
    number: u64,
    requests: Cell<u64>,
}

impl Serial {
    /// That of a connection just accepted.
    pub fn next() -> Self {
        Self {
            number: LAST.fetch_add(1, Ordering::Relaxed) + 1,
            requests: Cell::new(0),
        }
    }

    /// The number, and that of the request which begins now.
    pub fn count(&self) -> (u64, u64) {
        self.requests.set(self.requests.get() + 1);
        (self.number, self.requests.get())
    }
}
