//! What is known of a client's connection before its first request. Facts alone.
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

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
    /// Identity headers that tell who this connection is, in the front door; they replace whatever the client sends.
    pub identity: Option<Box<crate::edge::IdentityHeaders>>,
    /// Whether the listener that it came through is there no more.
    pub closing: Rc<Closing>,
}
