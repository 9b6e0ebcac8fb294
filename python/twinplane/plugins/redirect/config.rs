//! Configuration of redirect, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/redirect/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of redirect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) status_code: u16,
    pub(crate) location: Box<str>,
    pub(crate) keep_incoming_path: Option<bool>,
}
