//! What one listener is: address, port, and how its sockets are made.
use std::net::IpAddr;

use serde::Deserialize;

/// Largest value that Linux takes for the seconds of keepalive probes.
const KEEPALIVE_SECONDS_MAX: u32 = 32_767;
/// Largest count of probes that Linux takes.
const KEEPALIVE_PROBES_MAX: u32 = 127;

/// One address to listen on.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own in the settings"
)]
pub struct ListenerSettings {
    /// Address, such as `0.0.0.0` or `::1`.
    pub address: String,
    /// Port; 0 takes any free one, the same for all workers.
    pub port: u16,
    /// Whether streams are taken rather than requests.
    #[serde(default)]
    pub stream: bool,
    /// Whether these are datagrams.
    #[serde(default)]
    pub udp: bool,
    /// Whether TLS is spoken.
    #[serde(default)]
    pub tls: bool,
    /// Whether HTTP/2 is offered (by ALPN; in the clear by prior knowledge).
    #[serde(default)]
    pub http2: bool,
    /// Whether a PROXY protocol header comes first.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// Whether each worker has a socket of its own.
    #[serde(default = "yes")]
    pub reuseport: bool,
    /// Connections that may wait to be accepted.
    #[serde(default = "backlog")]
    pub backlog: u32,
    /// Whether a socket of `::` leaves IPv4 alone.
    #[serde(default = "yes")]
    pub ipv6only: bool,
    /// Keepalive of connections; none: as the system has it.
    #[serde(default)]
    pub keepalive: Option<Keepalive>,
}

/// Keepalive probes of connections; what is not told is as the system has it.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle_s: Option<u32>,
    /// Time between probes.
    pub interval_s: Option<u32>,
    /// Probes without an answer after which the connection is given up.
    pub probes: Option<u32>,
}

impl ListenerSettings {
    /// Adds what is wrong with the listener at a place of the list.
    pub(super) fn check(&self, index: usize, faults: &mut Vec<String>) {
        if self.address.parse::<IpAddr>().is_err() {
            faults.push(format!(
                "listeners[{index}].address: not an IP address: {}",
                self.address
            ));
        }
        let mut forbid = |name: &str, is_given: bool, reason: &str| {
            if is_given {
                faults.push(format!("listeners[{index}].{name}: {reason}"));
            }
        };
        forbid("http2", self.stream && self.http2, "not for streams");
        forbid("udp", self.udp && !self.stream, "for streams alone");
        forbid("tls", self.udp && self.tls, "not for datagrams");
        forbid(
            "proxy_protocol",
            self.udp && self.proxy_protocol,
            "not for datagrams",
        );
        let keepalive = self.keepalive.unwrap_or_default();
        let mut bound = |name: &str, value: Option<u32>, max: u32| {
            if value.is_some_and(|value| value == 0 || value > max) {
                faults.push(format!(
                    "listeners[{index}].keepalive.{name}: must be from 1 to {max}"
                ));
            }
        };
        bound("idle_s", keepalive.idle_s, KEEPALIVE_SECONDS_MAX);
        bound("interval_s", keepalive.interval_s, KEEPALIVE_SECONDS_MAX);
        bound("probes", keepalive.probes, KEEPALIVE_PROBES_MAX);
    }
}

fn yes() -> bool {
    true
}

fn backlog() -> u32 {
    16_384
}
