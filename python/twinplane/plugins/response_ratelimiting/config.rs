//! Configuration of response-ratelimiting, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/response_ratelimiting/schema.py` by `make generate`; do not edit.
use std::collections::BTreeMap;

use serde::Deserialize;

/// `config` of response-ratelimiting.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) header_name: Option<Box<str>>,
    pub(crate) limit_by: Option<Box<str>>,
    pub(crate) policy: Option<Box<str>>,
    pub(crate) fault_tolerant: bool,
    pub(crate) redis: Redis,
    pub(crate) block_on_first_violation: bool,
    pub(crate) hide_client_headers: bool,
    pub(crate) limits: BTreeMap<Box<str>, Limits>,
}

/// Limits by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Limits {
    pub(crate) second: Option<f64>,
    pub(crate) minute: Option<f64>,
    pub(crate) hour: Option<f64>,
    pub(crate) day: Option<f64>,
    pub(crate) month: Option<f64>,
    pub(crate) year: Option<f64>,
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
