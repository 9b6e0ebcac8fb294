//! Configuration of http-log, as it crosses the door from Python: every field present, null where unset. What concerns
//! delivery is read by the sender of the entries.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// `config` of http-log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "delivery belongs to the sender")]
pub(crate) struct Config {
    pub(crate) http_endpoint: Box<str>,
    pub(crate) method: Option<Box<str>>,
    pub(crate) content_type: Option<Box<str>>,
    pub(crate) timeout: Option<f64>,
    pub(crate) keepalive: Option<f64>,
    pub(crate) retry_count: Option<f64>,
    pub(crate) queue_size: Option<f64>,
    pub(crate) flush_timeout: Option<f64>,
    pub(crate) headers: Option<BTreeMap<Box<str>, Box<str>>>,
    pub(crate) queue: Option<Box<RawValue>>,
    pub(crate) custom_fields_by_lua: Option<BTreeMap<Box<str>, Box<str>>>,
}
