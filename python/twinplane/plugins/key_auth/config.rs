//! Configuration of key-auth, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/key_auth/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of key-auth.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, clippy::struct_excessive_bools, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) key_names: Vec<Box<str>>,
    pub(crate) hide_credentials: bool,
    pub(crate) anonymous: Option<Box<str>>,
    pub(crate) key_in_header: bool,
    pub(crate) key_in_query: bool,
    pub(crate) key_in_body: bool,
    pub(crate) run_on_preflight: bool,
    pub(crate) realm: Option<Box<str>>,
}
