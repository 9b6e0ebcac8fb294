//! Configuration of jwt, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/jwt/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of jwt.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) uri_param_names: Option<Vec<Box<str>>>,
    pub(crate) cookie_names: Option<Vec<Box<str>>>,
    pub(crate) key_claim_name: Option<Box<str>>,
    pub(crate) secret_is_base64: bool,
    pub(crate) claims_to_verify: Option<Vec<Box<str>>>,
    pub(crate) anonymous: Option<Box<str>>,
    pub(crate) run_on_preflight: bool,
    pub(crate) maximum_expiration: Option<f64>,
    pub(crate) header_names: Option<Vec<Box<str>>>,
    pub(crate) realm: Option<Box<str>>,
}
