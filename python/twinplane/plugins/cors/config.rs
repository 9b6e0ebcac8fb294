//! Configuration of cors, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/cors/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of cors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) origins: Option<Vec<Box<str>>>,
    pub(crate) headers: Option<Vec<Box<str>>>,
    pub(crate) exposed_headers: Option<Vec<Box<str>>>,
    pub(crate) methods: Option<Vec<Box<str>>>,
    pub(crate) max_age: Option<f64>,
    pub(crate) credentials: bool,
    pub(crate) private_network: bool,
    pub(crate) preflight_continue: bool,
}
