//! Configuration of ip-restriction, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/ip_restriction/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of ip-restriction.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) allow: Option<Vec<Box<str>>>,
    pub(crate) deny: Option<Vec<Box<str>>>,
    pub(crate) status: Option<f64>,
    pub(crate) message: Option<Box<str>>,
}
