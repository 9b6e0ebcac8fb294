//! What the settings say of upstreams: connections that are kept, slow targets, names. Times come in seconds.
use serde::Deserialize;

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
