//! Where a request goes: a fixed address, a resolved name, or the peer whose turn it is.
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use twinplane_engine::balancer::{self, Ask, Outcome, Peer};
use twinplane_engine::exchange::{Exchange, Scheme};
use twinplane_engine::snapshot::{ServiceTarget, UpstreamEntry};
use twinplane_engine::text::Text;

use crate::dns::{DnsError, Found};
use crate::tls::upstream::{UpstreamTls, UpstreamTlsError};
use crate::upstream::balancers::{self, Built};
use crate::upstream::pool::{Place, PoolKey};
use crate::worker::Worker;

/// Where one attempt goes.
#[derive(Debug)]
pub struct Destination {
    /// What a shared connection must have in common with it.
    pub key: PoolKey,
    /// TLS to speak.
    pub tls: Option<UpstreamTls>,
    /// Address as the log has it.
    pub ip: Text,
    /// Port.
    pub port: u16,
    /// `Host` to send unless the request has one of its own.
    pub host_header: Text,
    /// The address and port, so that a retry goes elsewhere.
    pub tried: Option<(IpAddr, u16)>,
    /// The peer of an upstream that it is, busy for as long as this is held.
    pub peer: Option<PeerInUse>,
}

/// Why there is nowhere to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoDestination {
    /// No peer of the upstream gets requests.
    NoPeer,
    /// The host has no address.
    Name {
        /// The host.
        host: Box<str>,
        /// Why.
        error: DnsError,
    },
    /// The service's certificates do not allow TLS.
    Tls(UpstreamTlsError),
}

/// A peer that serves a request.
#[derive(Debug)]
pub struct PeerInUse {
    built: Rc<Built>,
    at: usize,
    upstream: u32,
    answered: Option<(u64, u64)>,
}

impl PeerInUse {
    /// The head of the answer came after so long, at this time.
    pub fn answered(&mut self, latency_us: u64, now_us: u64) {
        self.answered = Some((latency_us, now_us));
    }
}

impl Drop for PeerInUse {
    fn drop(&mut self) {
        let (latency_us, now_us) = self.answered.unzip();
        let balancer = &self.built.balancer;
        if let Some(peer) = balancer.peers().get(self.at) {
            balancer.end(peer, latency_us, now_us.unwrap_or(0));
        }
    }
}

/// Where the next attempt of a request goes.
pub async fn next(
    worker: &Rc<Worker>,
    x: &Exchange,
    ask: &Ask<'_>,
    within: Duration,
) -> Result<Destination, NoDestination> {
    let snapshot = Rc::clone(&x.snapshot);
    let Some((index, service)) = x.service.zip(x.service()) else {
        return Err(NoDestination::NoPeer);
    };
    let scheme = x.upstream.scheme;
    let tls = match scheme {
        Scheme::Http => None,
        Scheme::Https => Some(
            worker
                .upstream_tls
                .of(&snapshot, index, x.stream.is_some())
                .map_err(NoDestination::Tls)?,
        ),
    };
    if let Some((host, port)) = &x.upstream.target {
        let (address, port) = by_name(worker, host, *port, ask, within).await?;
        let host_header = host_header(host, port, scheme);
        return Ok(to_address(address, port, host, host_header, tls));
    }
    let port = u16::try_from(service.model.port).unwrap_or(0);
    match &service.target {
        ServiceTarget::Address(address) => Ok(to_address(
            *address,
            port,
            &service.model.host,
            service.host_header.clone(),
            tls,
        )),
        ServiceTarget::Name => {
            let host = &service.model.host;
            let (address, found_port) = by_name(worker, host, port, ask, within).await?;
            let host_header = if found_port == port {
                service.host_header.clone()
            } else {
                host_header(host, found_port, scheme)
            };
            Ok(to_address(address, found_port, host, host_header, tls))
        }
        ServiceTarget::Socket(path) => Ok(Destination {
            key: PoolKey {
                place: Place::Unix(path.clone()),
                tls: 0,
                server_name: None,
            },
            tls: None,
            ip: Text::from_static("unix:"),
            port: 0,
            host_header: service.host_header.clone(),
            tried: None,
            peer: None,
        }),
        ServiceTarget::Upstream(upstream) => {
            let built = balancers::current(worker, &snapshot, *upstream, within).await;
            let entry = &snapshot.upstreams[*upstream as usize];
            let at = built.balancer.pick_at(ask).ok_or(NoDestination::NoPeer)?;
            let picked = &built.balancer.peers()[at];
            built.balancer.begin(picked);
            let peer = PeerInUse {
                built: Rc::clone(&built),
                at,
                upstream: *upstream,
                answered: None,
            };
            Ok(Destination {
                peer: Some(peer),
                ..to_peer(picked, entry, scheme, tls)
            })
        }
    }
}

/// The cookie that ties the client to the peer that answered, unless it came with it.
pub fn sticky_cookie(x: &Exchange, destination: &Destination, held: Option<u32>) -> Option<Text> {
    let used = destination.peer.as_ref()?;
    let number = used.built.balancer.sticky_number(used.at)?;
    let entry = x.snapshot.upstreams.get(used.upstream as usize)?;
    let rule = entry.policy.sticky.as_ref()?;
    (held != Some(number)).then(|| balancer::sticky_cookie(rule, number))
}

/// Tells an upstream's health rules how an attempt went.
pub fn report(x: &Exchange, destination: &Destination, outcome: Outcome) {
    let Some(used) = &destination.peer else {
        return;
    };
    let Some(entry) = x.snapshot.upstreams.get(used.upstream as usize) else {
        return;
    };
    if let Some(report) = entry.policy.judge(outcome)
        && let Some(peer) = used.built.balancer.peers().get(used.at)
    {
        peer.health.report(report, &entry.policy.passive.thresholds);
    }
}

fn to_address(
    address: IpAddr,
    port: u16,
    host: &str,
    host_header: Text,
    tls: Option<UpstreamTls>,
) -> Destination {
    Destination {
        key: PoolKey {
            place: Place::Tcp(SocketAddr::new(address, port)),
            tls: tls.as_ref().map_or(0, |tls| tls.number),
            server_name: tls.as_ref().map(|_| server_name(host)),
        },
        tls,
        ip: address_text(address),
        port,
        host_header,
        tried: Some((address, port)),
        peer: None,
    }
}

fn to_peer(
    peer: &Peer,
    entry: &UpstreamEntry,
    scheme: Scheme,
    tls: Option<UpstreamTls>,
) -> Destination {
    let own = match &peer.service_name {
        Some(name) if entry.model.use_srv_name == Some(true) => name,
        _ => &entry.targets[peer.target as usize].host,
    };
    let host = match &entry.host_header {
        Some(host) => host.as_str().unwrap_or_default(),
        None => own,
    };
    let host_header = host_header(host, peer.port, scheme);
    to_address(peer.address, peer.port, host, host_header, tls)
}

// The name without a port that a Host header may carry.
fn server_name(host: &str) -> Box<str> {
    let name = match host.rsplit_once(':') {
        Some((name, port))
            if !name.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    };
    name.trim_start_matches('[').trim_end_matches(']').into()
}

pub(crate) fn host_header(host: &str, port: u16, scheme: Scheme) -> Text {
    let is_bare_v6 = host.contains(':') && !host.starts_with('[') && host.parse::<IpAddr>().is_ok();
    match (is_bare_v6, port == scheme.default_port()) {
        (true, true) => Text::from(format!("[{host}]")),
        (true, false) => Text::from(format!("[{host}]:{port}")),
        (false, true) => Text::copy_from(host.as_bytes()),
        (false, false) => Text::from(format!("{host}:{port}")),
    }
}

/// An address as text, without a heap block.
pub fn address_text(address: IpAddr) -> Text {
    match address {
        IpAddr::V4(address) => {
            let mut text = [0; 15];
            let mut length = 0;
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    text[length] = b'.';
                    length += 1;
                }
                let mut digits = itoa::Buffer::new();
                let digits = digits.format(octet).as_bytes();
                text[length..length + digits.len()].copy_from_slice(digits);
                length += digits.len();
            }
            Text::copy_from(&text[..length])
        }
        IpAddr::V6(address) => Text::from(address.to_string()),
    }
}

// Where a plain name leads this attempt: addresses in turn, those of services by their weight, which bring their port.
pub(crate) async fn by_name(
    worker: &Worker,
    host: &str,
    port: u16,
    ask: &Ask<'_>,
    within: Duration,
) -> Result<(IpAddr, u16), NoDestination> {
    let found = worker.dns().lookup(host, within).await;
    let found = found.map_err(|error| NoDestination::Name {
        host: host.into(),
        error,
    })?;
    let attempt = ask.tried.len();
    let place = |found: &Found| {
        let port = found.service.as_ref().map_or(port, |part| part.port);
        (found.address, port)
    };
    let weight = |found: &Found| {
        found
            .service
            .as_ref()
            .map_or(1, |part| u64::from(part.weight))
    };
    let untried = || {
        let all = found.iter();
        all.filter(|found| !ask.tried.contains(&place(found)))
    };
    let total: u64 = untried().map(weight).sum();
    let turn = worker.balancers.turn(attempt == 0);
    if total == 0 || found[0].service.is_none() {
        return Ok(place(&found[(turn + attempt) % found.len()]));
    }
    let mut drawn = worker.random() % total;
    let picked = untried().find(|found| {
        let own = weight(found);
        let is_it = drawn < own;
        drawn = drawn.saturating_sub(own);
        is_it
    });
    Ok(place(picked.unwrap_or(&found[0])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_carry_a_port_unless_it_is_the_schemes() {
        let text =
            |host, port, scheme| host_header(host, port, scheme).as_str().unwrap().to_owned();
        assert_eq!(text("a.example", 80, Scheme::Http), "a.example");
        assert_eq!(text("a.example", 80, Scheme::Https), "a.example:80");
        assert_eq!(text("::1", 443, Scheme::Https), "[::1]");
        assert_eq!(text("::1", 8000, Scheme::Http), "[::1]:8000");
        assert_eq!(&*server_name("a.example:8443"), "a.example");
        assert_eq!(&*server_name("[::1]"), "::1");
    }

    #[test]
    fn addresses_are_written_without_a_heap_block() {
        for address in ["127.0.0.1", "255.255.255.255", "0.0.0.0", "2001:db8::1"] {
            assert_eq!(
                address_text(address.parse().unwrap()).as_str(),
                Some(address)
            );
        }
    }
}
