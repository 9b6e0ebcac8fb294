//! Configuration of http-log, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/http_log/schema.py` by `make generate`; do not edit.
use std::collections::BTreeMap;

use serde::Deserialize;

/// `config` of http-log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) http_endpoint: Box<str>,
    pub(crate) method: Option<Box<str>>,
    pub(crate) content_type: Option<Box<str>>,
    pub(crate) timeout: Option<f64>,
    pub(crate) keepalive: Option<f64>,
    pub(crate) retry_count: Option<i64>,
    pub(crate) queue_size: Option<i64>,
    pub(crate) flush_timeout: Option<f64>,
    pub(crate) headers: Option<BTreeMap<Box<str>, Box<str>>>,
    pub(crate) queue: Queue,
    pub(crate) custom_fields_by_lua: Option<BTreeMap<Box<str>, Box<str>>>,
}

/// How entries wait and are sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Queue {
    pub(crate) max_batch_size: Option<i64>,
    pub(crate) max_coalescing_delay: Option<f64>,
    pub(crate) max_entries: Option<i64>,
    pub(crate) max_bytes: Option<i64>,
    pub(crate) max_retry_time: Option<f64>,
    pub(crate) initial_retry_delay: Option<f64>,
    pub(crate) max_retry_delay: Option<f64>,
    pub(crate) concurrency_limit: Option<i64>,
}
