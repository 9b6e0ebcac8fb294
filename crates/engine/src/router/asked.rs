//! What is asked of the router: a request or a stream, with what all matchers would otherwise work out anew.
use std::net::IpAddr;

use super::matcher::Methods;
use super::{Flavor, MatchInput};

/// What a connection carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Requests in clear text.
    #[default]
    Http,
    /// Requests over TLS.
    Https,
    /// A stream.
    Tcp,
    /// A stream over TLS, ended here or passed through.
    Tls,
    /// Datagrams.
    Udp,
    /// A stream whose TLS ends at the upstream: to routes it is one over TLS, conditions of plugins tell it apart.
    TlsPassthrough,
}

impl Protocol {
    /// Its name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Udp => "udp",
            Self::TlsPassthrough => "tls_passthrough",
        }
    }

    /// Whether there is a TLS handshake, and so perhaps a server name.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls | Self::TlsPassthrough)
    }
}

/// One end of a connection, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: Option<u16>,
}

/// The `Host` of a request, taken apart.
pub(super) struct RequestHost<'a> {
    pub(super) name: &'a [u8],
    /// None: the header names no port.
    pub(super) own_port: Option<u16>,
    pub(super) port: u16,
}

impl<'a> RequestHost<'a> {
    /// The port is split off; where it is absent or no number the listener's stands.
    pub(super) fn parse(host: &'a [u8], listener_port: u16) -> Self {
        let colon = memchr::memrchr(b':', host)
            .filter(|colon| !host[*colon..].contains(&b']') && !is_bare_address(host));
        let Some(colon) = colon else {
            return Self {
                name: host,
                own_port: None,
                port: listener_port,
            };
        };
        let digits = std::str::from_utf8(&host[colon + 1..]).ok();
        let port = digits.and_then(|digits| digits.parse().ok());
        Self {
            name: &host[..colon],
            own_port: port,
            port: port.unwrap_or(listener_port),
        }
    }
}

/// Whether it is an IPv6 address without brackets: none of its colons is before a port.
pub(super) fn is_bare_address(host: &[u8]) -> bool {
    !host.starts_with(b"[") && memchr::memchr_iter(b':', host).count() > 1
}

/// A request with what all matchers would otherwise work out anew.
pub(super) struct Asked<'a> {
    pub(super) input: &'a MatchInput<'a>,
    pub(super) host: RequestHost<'a>,
    pub(super) method: Methods,
    pub(super) flavor: Flavor,
}

impl<'a> Asked<'a> {
    pub(super) fn new(input: &'a MatchInput<'a>, flavor: Flavor) -> Self {
        let mut host = RequestHost::parse(input.host, input.destination.port.unwrap_or_default());
        if flavor == Flavor::Traditional
            && let Some(address) = host.name.strip_prefix(b"[")
        {
            host.name = address.strip_suffix(b"]").unwrap_or(address);
        }
        Self {
            input,
            host,
            method: Methods::of(input.method),
            flavor,
        }
    }

    /// The server name, as it is compared.
    pub(super) fn sni(&self) -> Option<&'a [u8]> {
        let sni = self.input.sni?;
        Some(sni.strip_suffix(b".").unwrap_or(sni))
    }

    /// The end that the client sees; of a request with the port that its `Host` names, where it names one.
    pub(super) fn destination(&self) -> End {
        End {
            port: self.host.own_port.or(self.input.destination.port),
            ..self.input.destination
        }
    }
}
