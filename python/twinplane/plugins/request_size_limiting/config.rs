//! Configuration of request-size-limiting, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/request_size_limiting/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of request-size-limiting.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) allowed_payload_size: Option<i64>,
    pub(crate) size_unit: Box<str>,
    pub(crate) require_content_length: bool,
}
