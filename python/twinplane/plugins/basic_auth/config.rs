//! Configuration of basic-auth, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/basic_auth/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of basic-auth.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) anonymous: Option<Box<str>>,
    pub(crate) hide_credentials: bool,
    pub(crate) realm: Box<str>,
}
