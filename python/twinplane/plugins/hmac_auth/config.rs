//! Configuration of hmac-auth, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/hmac_auth/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of hmac-auth.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) hide_credentials: bool,
    pub(crate) clock_skew: Option<f64>,
    pub(crate) anonymous: Option<Box<str>>,
    pub(crate) validate_request_body: bool,
    pub(crate) enforce_headers: Option<Vec<Box<str>>>,
    pub(crate) algorithms: Option<Vec<Box<str>>>,
    pub(crate) realm: Option<Box<str>>,
}
