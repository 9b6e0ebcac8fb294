//! Configuration of udp-log, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/udp_log/schema.py` by `make generate`; do not edit.
use std::collections::BTreeMap;

use serde::Deserialize;

/// `config` of udp-log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    pub(crate) timeout: Option<f64>,
    pub(crate) custom_fields_by_lua: Option<BTreeMap<Box<str>, Box<str>>>,
}
