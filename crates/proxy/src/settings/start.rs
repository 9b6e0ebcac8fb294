//! The settings as they cross the door from Python. What Python leaves out is as it stands here.
use serde::Deserialize;

use crate::error_page::templates::ErrorTemplates;
use crate::recorder::AccessFormat;
use crate::settings::attempts::AttemptSettings;
use crate::settings::limits::Limits;
use crate::settings::listener::ListenerSettings;
use crate::settings::upstreams::{DnsSettings, KeepaliveSettings, SlowTargetSettings};

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

/// The control plane's own front door.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSettings {
    /// Server names for which a client certificate is asked: exact, or `*.` and a suffix.
    #[serde(default)]
    pub client_certificate_hosts: Vec<String>,
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
