//! Configuration of syslog, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/syslog/schema.py` by `make generate`; do not edit.
use std::collections::BTreeMap;

use serde::Deserialize;

/// `config` of syslog.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) log_level: Box<str>,
    pub(crate) successful_severity: Box<str>,
    pub(crate) client_errors_severity: Box<str>,
    pub(crate) server_errors_severity: Box<str>,
    pub(crate) custom_fields_by_lua: Option<BTreeMap<Box<str>, Box<str>>>,
    pub(crate) facility: Box<str>,
}
