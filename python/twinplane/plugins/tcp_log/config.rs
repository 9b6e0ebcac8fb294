//! Configuration of tcp-log, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/tcp_log/schema.py` by `make generate`; do not edit.
use std::collections::BTreeMap;

use serde::Deserialize;

/// `config` of tcp-log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    pub(crate) timeout: Option<f64>,
    pub(crate) keepalive: Option<f64>,
    pub(crate) tls: bool,
    pub(crate) tls_sni: Option<Box<str>>,
    pub(crate) custom_fields_by_lua: Option<BTreeMap<Box<str>, Box<str>>>,
}
