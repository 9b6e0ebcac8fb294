//! Configuration of request-termination, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/request_termination/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of request-termination.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) status_code: u16,
    pub(crate) message: Option<Box<str>>,
    pub(crate) content_type: Option<Box<str>>,
    pub(crate) body: Option<Box<str>>,
    pub(crate) echo: bool,
    pub(crate) trigger: Option<Box<str>>,
}
