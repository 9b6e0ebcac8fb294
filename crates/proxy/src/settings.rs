//! Start settings of the core: how they cross the door from Python, and the checked form that the workers read.
//! Everything that is wrong is told at once; nothing here opens a file or a port.
pub(crate) mod attempts;
mod headers;
mod identities;
mod limits;
mod listener;
mod start;
mod upstreams;

use std::net::IpAddr;
use std::sync::Arc;

use twinplane_engine::balancer::SlowRule;
use twinplane_engine::network::Network;
use twinplane_engine::router::{Calculation, Flavor, Rules};

use crate::error::StartError;
pub use crate::settings::attempts::AttemptSettings;
pub use crate::settings::headers::HeaderSwitches;
use crate::settings::headers::header_switches;
use crate::settings::identities::identities;
pub use crate::settings::identities::identities_of;
pub use crate::settings::limits::Limits;
pub use crate::settings::listener::{Keepalive, ListenerSettings};
pub use crate::settings::start::{CertificatePair, EdgeSettings, StartSettings};
pub use crate::settings::upstreams::{DnsSettings, KeepaliveSettings, SlowTargetSettings};
use crate::tls::cipher_suites;
use crate::tls::identity::Identity;

/// The settings, checked.
#[derive(Debug)]
pub struct Settings {
    /// As they came.
    pub start: StartSettings,
    /// Which headers are added.
    pub header_switches: HeaderSwitches,
    /// When slow targets are passed over.
    pub slow_rule: Option<SlowRule>,
    /// `1.1 twinplane/0.1.0`
    pub via: Box<str>,
    /// Networks whose forwarded headers are believed.
    pub trusted: Vec<Network>,
    /// Whether connections over Unix sockets are believed too.
    pub is_unix_trusted: bool,
    /// Default certificates, leaf keys of several kinds.
    pub default_identities: Vec<Arc<Identity>>,
    /// Default client certificate towards upstreams.
    pub client_identity: Option<Arc<Identity>>,
    /// TLS versions.
    pub tls_versions: Vec<&'static rustls::SupportedProtocolVersion>,
    /// Cipher suites.
    pub tls_cipher_suites: Vec<rustls::SupportedCipherSuite>,
    /// Port seen from outside by port listened on.
    pub port_maps: Vec<(u16, u16)>,
    /// Port that clients find TLS at, where the maps tell; none for the usual one.
    pub https_port: Option<u16>,
}

impl Settings {
    /// Parses and checks; tells every fault at once.
    pub fn parse(json: &[u8]) -> Result<Self, StartError> {
        let start: StartSettings = serde_json::from_slice(json)
            .map_err(|error| StartError::of(format!("settings: {error}")))?;
        Self::check(start)
    }

    /// Checks; tells every fault at once.
    pub fn check(start: StartSettings) -> Result<Self, StartError> {
        let mut faults = Vec::new();
        if start.workers == 0 {
            faults.push("workers: at least one is needed".to_owned());
        }
        for (index, listener) in start.listeners.iter().enumerate() {
            listener.check(index, &mut faults);
            if listener.tls && start.default_certificates.is_empty() {
                faults.push(format!(
                    "listeners[{index}].tls: default_certificates holds none"
                ));
            }
        }
        let port_maps = port_maps(&start.port_maps, &mut faults);
        let settings = Self {
            header_switches: header_switches(&start.headers, &start.headers_upstream, &mut faults),
            slow_rule: start.slow_targets.map(|slow| SlowRule {
                factor: slow.factor,
                pause_us: slow.pause_s.saturating_mul(1_000_000),
            }),
            via: format!("1.1 {}", start.version).into(),
            trusted: networks(&start.trusted_ips, &mut faults),
            is_unix_trusted: start.trusted_ips.iter().any(|entry| entry == "unix:"),
            default_identities: identities(&start.default_certificates, &mut faults),
            client_identity: start.client_certificate.as_ref().and_then(|pair| {
                Identity::from_pem(&pair.cert, &pair.key)
                    .map_err(|error| faults.push(format!("client_certificate: {error}")))
                    .ok()
                    .map(Arc::new)
            }),
            tls_versions: tls_versions(&start.tls_protocols, &mut faults),
            tls_cipher_suites: cipher_suites::read(&start.tls_cipher_suites, &mut faults),
            https_port: https_port(&start.listeners, &port_maps),
            port_maps,
            start,
        };
        settings.start.error_templates.check(&mut faults);
        if settings.tls_versions_spoken().is_empty() && faults.is_empty() {
            faults.push("tls_cipher_suites: none is of a version in tls_protocols".to_owned());
        }
        if let Some(Err(error)) = settings.start.dns.as_ref().map(DnsSettings::servers) {
            faults.push(error);
        }
        if let Some(pem) = &settings.start.trusted_certificates
            && let Err(error) = crate::tls::upstream::roots_of(pem)
        {
            faults.push(format!("trusted_certificates: {error}"));
        }
        if faults.is_empty() {
            Ok(settings)
        } else {
            Err(StartError { faults })
        }
    }

    /// How routes are written and ranked.
    pub fn router_rules(&self) -> Rules {
        Rules {
            flavor: match self.start.router_flavor.as_str() {
                "expressions" => Flavor::Expressions,
                "traditional" => Flavor::Traditional,
                _ => Flavor::TraditionalCompatible,
            },
            calculation: match self.start.route_match_calculation.as_str() {
                "strict" => Calculation::Strict,
                _ => Calculation::Original,
            },
            ..Rules::default()
        }
    }

    /// Whether a peer's forwarded headers are believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(peer))
    }

    /// The versions that a suite is there for: rustls refuses others, and a list without one of TLS 1.3 is a wish.
    pub fn tls_versions_spoken(&self) -> Vec<&'static rustls::SupportedProtocolVersion> {
        let is_spoken = |version: &&'static rustls::SupportedProtocolVersion| {
            let mut suites = self.tls_cipher_suites.iter();
            suites.any(|suite| suite.version().version == version.version)
        };
        let versions = self.tls_versions.iter().copied();
        versions.filter(is_spoken).collect()
    }

    /// The port seen from outside.
    pub fn outside_port(&self, port: u16) -> u16 {
        self.port_maps
            .iter()
            .find(|(inside, _)| *inside == port)
            .map_or(port, |(_, outside)| *outside)
    }
}

fn networks(entries: &[String], faults: &mut Vec<String>) -> Vec<Network> {
    let named = entries.iter().filter(|entry| *entry != "unix:");
    named
        .filter_map(|entry| {
            entry
                .parse()
                .map_err(|error| faults.push(format!("trusted_ips: {error}")))
                .ok()
        })
        .collect()
}

fn tls_versions(
    names: &[String],
    faults: &mut Vec<String>,
) -> Vec<&'static rustls::SupportedProtocolVersion> {
    let mut versions = Vec::new();
    for name in names {
        match name.as_str() {
            "TLSv1.3" => versions.push(&rustls::version::TLS13),
            "TLSv1.2" => versions.push(&rustls::version::TLS12),
            // Named by old configurations; nothing below 1.2 is spoken.
            "TLSv1.1" | "TLSv1" => {}
            other => faults.push(format!("tls_protocols: unknown version {other}")),
        }
    }
    if versions.is_empty() {
        faults.push("tls_protocols: neither TLSv1.2 nor TLSv1.3 is among them".to_owned());
    }
    versions
}

fn port_maps(
    maps: &std::collections::BTreeMap<String, u16>,
    faults: &mut Vec<String>,
) -> Vec<(u16, u16)> {
    let mut found = Vec::new();
    for (inside, outside) in maps {
        match inside.parse() {
            Ok(inside) => found.push((inside, *outside)),
            Err(_) => faults.push(format!("port_maps: not a port: {inside}")),
        }
    }
    found
}

fn https_port(listeners: &[ListenerSettings], maps: &[(u16, u16)]) -> Option<u16> {
    let mapped = |listener: &ListenerSettings| {
        let found = maps.iter().find(|(inside, _)| *inside == listener.port);
        found.map(|(_, outside)| *outside)
    };
    let listeners = listeners
        .iter()
        .filter(|listener| listener.tls && !listener.stream);
    let seen: Vec<u16> = listeners.filter_map(mapped).collect();
    seen.first().copied().filter(|_| !seen.contains(&443))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_at_once() {
        let json = br#"{"node_id":"n","version":"twinplane/0.1.0","workers":0,"trusted_ips":["10.0.0.0/33","unix:"],
            "listeners":[{"address":"somewhere","port":0,"tls":true}],"headers":["nonsense"],"tls_protocols":["SSLv3"],
            "default_certificates":[{"cert":"no","key":"no"}],"client_certificate":{"cert":"","key":""},
            "dns":{"resolvers":["nobody"]},"port_maps":{"x":1}}"#;
        let error = Settings::parse(json).expect_err("faults");
        for name in [
            "workers",
            "trusted_ips",
            "listeners[0]",
            "headers",
            "tls_protocols",
            "default_",
            "client_",
            "dns",
            "port_maps",
        ] {
            assert!(
                error.faults.iter().any(|fault| fault.starts_with(name)),
                "{name} in {:?}",
                error.faults
            );
        }
    }

    #[test]
    fn redirects_name_a_port_only_where_maps_tell_of_an_unusual_one() {
        let port = |maps: &str| {
            let json = format!(
                r#"{{"node_id":"n","version":"v","port_maps":{maps},
                "listeners":[{{"address":"::","port":8000}},{{"address":"::","port":8443}}]}}"#
            );
            let mut start: StartSettings = serde_json::from_str(&json).unwrap();
            start.listeners[1].tls = true;
            let maps = port_maps(&start.port_maps, &mut Vec::new());
            https_port(&start.listeners, &maps)
        };
        assert_eq!(port("{}"), None);
        assert_eq!(port(r#"{"8000":80}"#), None);
        assert_eq!(port(r#"{"8000":80,"8443":443}"#), None);
        assert_eq!(port(r#"{"8443":9443}"#), Some(9443));
    }

    #[test]
    fn suites_that_leave_no_version_are_a_fault() {
        let parse = |versions: &str, suites: &str| {
            let json = format!(
                r#"{{"node_id":"n","version":"v","tls_protocols":{versions},"tls_cipher_suites":{suites}}}"#
            );
            Settings::parse(json.as_bytes())
        };
        let error =
            parse(r#"["TLSv1.3"]"#, r#"["ECDHE-RSA-AES128-GCM-SHA256"]"#).expect_err("a fault");
        assert!(
            error.faults[0].starts_with("tls_cipher_suites"),
            "{error:?}"
        );
        let narrowed = parse(r#"["TLSv1.2","TLSv1.3"]"#, r#"["TLS_AES_128_GCM_SHA256"]"#).unwrap();
        assert_eq!(narrowed.tls_versions_spoken().len(), 1);
    }

    #[test]
    fn an_unknown_setting_is_a_fault() {
        let error = Settings::parse(br#"{"node_id":"n","version":"v","colour":"red"}"#)
            .expect_err("a fault");
        assert!(error.faults[0].contains("colour"), "{error:?}");
    }

    #[test]
    fn header_tokens_switch_headers() {
        let settings = Settings::parse(
            br#"{"node_id":"n","version":"v","headers":["via","X-Kong-Upstream-Status"]}"#,
        )
        .unwrap();
        let on = settings.header_switches;
        assert!(on.via && on.upstream_status && on.upstream_request_id);
        assert!(!on.server && !on.request_id && !on.proxy_latency);
        assert_eq!(&*settings.via, "1.1 v");
    }
}
