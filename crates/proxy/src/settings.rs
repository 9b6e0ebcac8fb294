//! Start settings of the core: how they cross the door from Python, and the checked form that the workers read.
//! Everything that is wrong is told at once; nothing here opens a file or a port.
pub(crate) mod attempts;
mod listener;

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use twinplane_engine::balancer::SlowRule;
use twinplane_engine::network::Network;
use twinplane_engine::router::{Calculation, Flavor, Rules};

use crate::error::StartError;
use crate::error_page::templates::ErrorTemplates;
use crate::recorder::AccessFormat;
pub use crate::settings::attempts::AttemptSettings;
pub use crate::settings::listener::{Keepalive, ListenerSettings};
use crate::tls::cipher_suites;
use crate::tls::identity::Identity;

/// The settings as they cross the door; Python has filled every default that a user can see.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the settings"
)]
pub struct StartSettings {
    /// Id of this node.
    pub node_id: String,
    /// Name of the host, as log entries carry it.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Product token, such as `twinplane/0.1.0`.
    pub version: String,
    /// Worker threads.
    #[serde(default = "one")]
    pub workers: usize,
    /// What to listen on.
    #[serde(default)]
    pub listeners: Vec<ListenerSettings>,
    /// Certificates for names that the configuration holds none for, by kind of key.
    #[serde(default)]
    pub default_certificates: Vec<CertificatePair>,
    /// Client certificate towards upstreams whose service names none.
    #[serde(default)]
    pub client_certificate: Option<CertificatePair>,
    /// PEM of the certificates upstreams are verified against where a service names none.
    #[serde(default)]
    pub trusted_certificates: Option<String>,
    /// Whether certificates of gRPC upstreams are verified against those; their services cannot say so themselves.
    #[serde(default)]
    pub grpcs_tls_verify: bool,
    /// Versions of TLS to speak.
    #[serde(default = "tls_protocols")]
    pub tls_protocols: Vec<String>,
    /// Cipher suites to agree on, by OpenSSL's names, those liked best first; empty: all that are spoken.
    #[serde(default)]
    pub tls_cipher_suites: Vec<String>,
    /// Whether the order of those counts, rather than that of the client.
    #[serde(default)]
    pub tls_prefers_own_order: bool,
    /// Whether clients may take a session up again by a ticket.
    #[serde(default = "yes")]
    pub tls_tickets: bool,
    /// Networks whose forwarded headers are believed.
    #[serde(default)]
    pub trusted_ips: Vec<String>,
    /// Header that holds the client's address.
    #[serde(default = "real_ip_header")]
    pub real_ip_header: String,
    /// Whether trusted addresses in that header are skipped from the right.
    #[serde(default)]
    pub real_ip_recursive: bool,
    /// Response headers to add.
    #[serde(default = "response_headers")]
    pub headers: Vec<String>,
    /// Request headers to add.
    #[serde(default = "upstream_headers")]
    pub headers_upstream: Vec<String>,
    /// Type of error bodies where the client names none.
    #[serde(default = "error_default_type")]
    pub error_default_type: String,
    /// What takes the place of the built-in forms of errors.
    #[serde(default)]
    pub error_templates: ErrorTemplates,
    /// Whether `Kong-Debug` is answered.
    #[serde(default)]
    pub allow_debug_header: bool,
    /// `refuse` or `allow`: paths that servers read in different ways, on routes that a plugin guards.
    #[serde(default = "ambiguous_paths")]
    pub ambiguous_paths: String,
    /// Flavour of the router.
    #[serde(default = "router_flavor")]
    pub router_flavor: String,
    /// `original` or `strict`.
    #[serde(default = "route_match_calculation")]
    pub route_match_calculation: String,
    /// Idle connections to upstreams.
    #[serde(default)]
    pub upstream_keepalive: KeepaliveSettings,
    /// Time-outs and further attempts towards upstreams.
    #[serde(default)]
    pub attempts: AttemptSettings,
    /// When slow targets are passed over; null: never.
    #[serde(default)]
    pub slow_targets: Option<SlowTargetSettings>,
    /// Limits of connections and messages.
    #[serde(default)]
    pub limits: Limits,
    /// Name resolution; null: as the system has it.
    #[serde(default)]
    pub dns: Option<DnsSettings>,
    /// Port seen from outside by port listened on.
    #[serde(default)]
    pub port_maps: std::collections::BTreeMap<String, u16>,
    /// Access records kept until drained; over that, the oldest are lost and counted.
    #[serde(default = "records_max")]
    pub records_max: usize,
    /// Lines of the access log kept until drained; 0: none is written.
    #[serde(default)]
    pub access_lines_max: usize,
    /// How a line of the access log is written; null: as nginx has it as `combined`.
    #[serde(default)]
    pub access_format: Option<AccessFormat>,
    /// Log entries kept until drained.
    #[serde(default = "log_entries_max")]
    pub log_entries_max: usize,
    /// Bytes of answers kept to be given again.
    #[serde(default = "cache_bytes_max")]
    pub cache_bytes_max: usize,
    /// JSON body of a response that plugins change; a longer one passes as it is.
    #[serde(default = "changed_body_bytes_max")]
    pub changed_body_bytes_max: usize,
    /// Windows of rate limits kept; over that, some are forgotten before their end and counted.
    #[serde(default = "limit_windows_max")]
    pub limit_windows_max: usize,
    /// Commands that wait for an answer of a store of shared counters, on each worker; over that, none is sent.
    #[serde(default = "counter_commands_max")]
    pub counter_commands_max: usize,
    /// Set where the core is the control plane's own front door.
    #[serde(default)]
    pub edge: Option<EdgeSettings>,
}

/// A certificate with its chain, and its private key; both PEM.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct CertificatePair {
    /// Leaf first.
    pub cert: String,
    /// The private key.
    pub key: String,
}

impl std::fmt::Debug for CertificatePair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificatePair")
            .field("key", &"***")
            .finish_non_exhaustive()
    }
}

/// Connections to upstreams that are used again, per worker.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepaliveSettings {
    /// Idle connections kept.
    pub pool_size: usize,
    /// Requests after which a connection is closed; 0 sets no bound.
    pub max_requests: u64,
    /// Seconds after which an idle connection is closed; 0 sets no bound.
    #[serde(deserialize_with = "seconds")]
    pub idle_timeout_s: u64,
    /// Streams at once on an HTTP/2 connection, or fewer where its upstream says so.
    pub h2_streams: u32,
}

impl Default for KeepaliveSettings {
    fn default() -> Self {
        Self {
            pool_size: 512,
            max_requests: 10_000,
            idle_timeout_s: 60,
            h2_streams: 100,
        }
    }
}

/// When a target is passed over for being slow.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowTargetSettings {
    /// Multiple of the median time to an answer of its fellows.
    pub factor: f32,
    /// Seconds that it is passed over.
    #[serde(deserialize_with = "seconds")]
    pub pause_s: u64,
}

/// Limits of connections and messages. Zero sets no bound where it says so.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// HTTP/1 head, request line included.
    pub head_bytes_max: usize,
    /// One line of it.
    pub line_bytes_max: usize,
    /// Fields of a head.
    pub fields_max: usize,
    /// Time for the TLS handshake and, again, for a head.
    pub head_timeout_ms: u64,
    /// Silence on a connection between requests before it is closed.
    pub idle_timeout_ms: u64,
    /// Silence of a client within a request's body.
    pub body_timeout_ms: u64,
    /// Least pace of a request's body that is waited for, bytes a second; 0: no bound.
    pub body_bytes_per_s_min: u64,
    /// What a body may take beyond that.
    pub body_grace_ms: u64,
    /// Silence of a client that takes nothing of a response.
    pub send_timeout_ms: u64,
    /// Requests served on one connection; 0: no bound.
    pub requests_max: u64,
    /// Open HTTP/2 streams of a connection.
    pub h2_streams_max: u32,
    /// Decoded HTTP/2 header list.
    pub h2_header_list_bytes_max: u32,
    /// Open connections of the node; 0: no bound.
    pub connections_max: usize,
    /// Request body; 0: no bound.
    pub body_bytes_max: u64,
    /// Request body that is held in memory (for a filter, or to be sent again).
    pub buffered_body_bytes_max: usize,
    /// Response body that is held in memory for a filter, whatever it asks for.
    pub buffered_response_bytes_max: usize,
    /// Head of an upstream's response; 0: as that of a request.
    pub response_head_bytes_max: usize,
    /// What is read of a response ahead of a client that is slow; below one read of 64 KiB: nothing.
    pub response_ahead_bytes_max: usize,
    /// The same of all responses of the node together.
    pub responses_ahead_bytes_max: usize,
    /// Sessions of datagrams that are open at a time on the node; 0: none.
    pub udp_sessions_max: usize,
}

impl Limits {
    /// The longest head of an upstream's response.
    pub const fn response_head_most(&self) -> usize {
        if self.response_head_bytes_max == 0 {
            self.head_bytes_max
        } else {
            self.response_head_bytes_max
        }
    }

    /// The longest request body, as a number to compare with.
    pub const fn body_most(&self) -> u64 {
        if self.body_bytes_max == 0 {
            u64::MAX
        } else {
            self.body_bytes_max
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 32_768,
            line_bytes_max: 8_192,
            fields_max: 100,
            head_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            body_timeout_ms: 60_000,
            body_bytes_per_s_min: 240,
            body_grace_ms: 10_000,
            send_timeout_ms: 60_000,
            requests_max: 10_000,
            h2_streams_max: 100,
            h2_header_list_bytes_max: 65_536,
            connections_max: 0,
            body_bytes_max: 0,
            buffered_body_bytes_max: 8 * 1_048_576,
            buffered_response_bytes_max: 64 * 1_048_576,
            response_head_bytes_max: 0,
            response_ahead_bytes_max: 1_048_576,
            responses_ahead_bytes_max: 128 * 1_048_576,
            udp_sessions_max: 10_000,
        }
    }
}

/// Name resolution.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct DnsSettings {
    /// Servers as `address` or `address:port`; empty: those of the system.
    pub resolvers: Vec<String>,
    /// Path of the hosts file.
    pub hosts_file: String,
    /// Record types in the order they are asked for.
    pub order: Vec<String>,
    /// Whether service records are asked for only under names that begin with an underscore.
    pub services_by_name: bool,
    /// Seconds that replace the TTL of answers.
    #[serde(deserialize_with = "optional_seconds")]
    pub valid_ttl: Option<u64>,
    /// Seconds an answer may be served past its TTL.
    #[serde(deserialize_with = "seconds")]
    pub stale_ttl: u64,
    /// Seconds a missing name is remembered.
    #[serde(deserialize_with = "seconds")]
    pub not_found_ttl: u64,
    /// Seconds a failure is remembered.
    #[serde(deserialize_with = "seconds")]
    pub error_ttl: u64,
    /// Names kept.
    pub cache_size: usize,
}

impl Default for DnsSettings {
    fn default() -> Self {
        Self {
            resolvers: Vec::new(),
            hosts_file: "/etc/hosts".to_owned(),
            order: ["LAST", "SRV", "A", "AAAA"].map(str::to_owned).to_vec(),
            services_by_name: false,
            valid_ttl: None,
            stale_ttl: 3_600,
            not_found_ttl: 30,
            error_ttl: 1,
            cache_size: 10_000,
        }
    }
}

/// The control plane's own front door.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSettings {
    /// Server names for which a client certificate is asked: exact, or `*.` and a suffix.
    #[serde(default)]
    pub client_certificate_hosts: Vec<String>,
}

/// Which headers the gateway adds of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the settings"
)]
pub struct HeaderSwitches {
    /// `Server` on responses made by the gateway.
    pub server: bool,
    /// `Via` on proxied responses.
    pub via: bool,
    /// `X-Kong-Proxy-Latency`
    pub proxy_latency: bool,
    /// `X-Kong-Upstream-Latency`
    pub upstream_latency: bool,
    /// `X-Kong-Response-Latency`
    pub response_latency: bool,
    /// `X-Kong-Upstream-Status`
    pub upstream_status: bool,
    /// `X-Kong-Request-Id` on responses.
    pub request_id: bool,
    /// `X-Kong-Request-Id` towards upstreams.
    pub upstream_request_id: bool,
}

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

fn header_switches(
    headers: &[String],
    upstream: &[String],
    faults: &mut Vec<String>,
) -> HeaderSwitches {
    let mut on = HeaderSwitches::default();
    for token in headers {
        match token.to_ascii_lowercase().as_str() {
            "off" | "x-kong-admin-latency" => {}
            "server_tokens" => (on.server, on.via) = (true, true),
            "latency_tokens" => {
                (on.proxy_latency, on.upstream_latency, on.response_latency) = (true, true, true);
            }
            "server" => on.server = true,
            "via" => on.via = true,
            "x-kong-proxy-latency" => on.proxy_latency = true,
            "x-kong-upstream-latency" => on.upstream_latency = true,
            "x-kong-response-latency" => on.response_latency = true,
            "x-kong-upstream-status" => on.upstream_status = true,
            "x-kong-request-id" => on.request_id = true,
            other => faults.push(format!("headers: unknown token {other}")),
        }
    }
    for token in upstream {
        match token.to_ascii_lowercase().as_str() {
            "off" => {}
            "x-kong-request-id" => on.upstream_request_id = true,
            other => faults.push(format!("headers_upstream: unknown token {other}")),
        }
    }
    on
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

/// Reads default certificates alone: a list of pairs, as in the settings.
pub fn identities_of(json: &[u8]) -> Result<Vec<Arc<Identity>>, StartError> {
    let pairs: Vec<CertificatePair> = serde_json::from_slice(json)
        .map_err(|error| StartError::of(format!("default_certificates: {error}")))?;
    let mut faults = Vec::new();
    let found = identities(&pairs, &mut faults);
    if pairs.is_empty() {
        faults.push("default_certificates: holds none".to_owned());
    }
    if faults.is_empty() {
        Ok(found)
    } else {
        Err(StartError { faults })
    }
}

fn identities(pairs: &[CertificatePair], faults: &mut Vec<String>) -> Vec<Arc<Identity>> {
    let mut found = Vec::new();
    for (index, pair) in pairs.iter().enumerate() {
        match Identity::from_pem(&pair.cert, &pair.key) {
            Ok(identity) => found.push(Arc::new(identity)),
            Err(error) => faults.push(format!("default_certificates[{index}]: {error}")),
        }
    }
    found
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

// Seconds may come with a fraction, which is rounded up: what is set is never cut to nothing.
fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    f64::deserialize(deserializer).map(whole_seconds)
}

fn optional_seconds<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    Option::<f64>::deserialize(deserializer).map(|seconds| seconds.map(whole_seconds))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate"
)]
fn whole_seconds(seconds: f64) -> u64 {
    seconds.ceil() as u64
}

fn ambiguous_paths() -> String {
    "refuse".to_owned()
}

fn one() -> usize {
    1
}
fn yes() -> bool {
    true
}
fn tls_protocols() -> Vec<String> {
    ["TLSv1.2", "TLSv1.3"].map(str::to_owned).to_vec()
}
fn real_ip_header() -> String {
    "X-Real-IP".to_owned()
}
fn response_headers() -> Vec<String> {
    ["server_tokens", "latency_tokens", "X-Kong-Request-Id"]
        .map(str::to_owned)
        .to_vec()
}
fn upstream_headers() -> Vec<String> {
    vec!["X-Kong-Request-Id".to_owned()]
}
fn error_default_type() -> String {
    "text/plain".to_owned()
}
fn router_flavor() -> String {
    "traditional_compatible".to_owned()
}
fn route_match_calculation() -> String {
    "original".to_owned()
}
fn cache_bytes_max() -> usize {
    twinplane_engine::response_cache::BYTES_MAX
}

fn changed_body_bytes_max() -> usize {
    8 * 1_048_576
}

fn limit_windows_max() -> usize {
    twinplane_engine::limiter::ENTRIES_MAX
}

fn counter_commands_max() -> usize {
    1_024
}

fn records_max() -> usize {
    100_000
}
fn log_entries_max() -> usize {
    10_000
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
