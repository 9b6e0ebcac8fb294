//! Configuration of rate-limiting, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/rate_limiting/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of rate-limiting.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) second: Option<f64>,
    pub(crate) minute: Option<f64>,
    pub(crate) hour: Option<f64>,
    pub(crate) day: Option<f64>,
    pub(crate) month: Option<f64>,
    pub(crate) year: Option<f64>,
    pub(crate) limit_by: Option<Box<str>>,
    pub(crate) header_name: Option<Box<str>>,
    pub(crate) path: Option<Box<str>>,
    pub(crate) policy: Option<Box<str>>,
    pub(crate) fault_tolerant: bool,
    pub(crate) redis: Redis,
    pub(crate) hide_client_headers: bool,
    pub(crate) error_code: Option<f64>,
    pub(crate) error_message: Option<Box<str>>,
    pub(crate) sync_rate: f64,
}

/// The Redis that keeps the data.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Redis {
    pub(crate) host: Option<Box<str>>,
    pub(crate) port: Option<u16>,
    pub(crate) timeout: Option<i64>,
    pub(crate) username: Option<Box<str>>,
    pub(crate) password: Option<Box<str>>,
    pub(crate) database: Option<i64>,
    pub(crate) ssl: Option<bool>,
    pub(crate) ssl_verify: Option<bool>,
    pub(crate) server_name: Option<Box<str>>,
}
