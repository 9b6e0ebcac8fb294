//! Configuration of correlation-id, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/correlation_id/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of correlation-id.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) header_name: Option<Box<str>>,
    pub(crate) generator: Box<str>,
    pub(crate) echo_downstream: bool,
}
