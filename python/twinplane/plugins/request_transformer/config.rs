//! Configuration of request-transformer, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/request_transformer/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of request-transformer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) http_method: Option<Box<str>>,
    pub(crate) remove: Remove,
    pub(crate) rename: Remove,
    pub(crate) replace: Replace,
    pub(crate) add: Remove,
    pub(crate) append: Remove,
}

/// What gets another value where it is there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Replace {
    pub(crate) body: Vec<Box<str>>,
    pub(crate) headers: Vec<Box<str>>,
    pub(crate) querystring: Vec<Box<str>>,
    pub(crate) uri: Option<Box<str>>,
}

/// What is taken out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Remove {
    pub(crate) body: Vec<Box<str>>,
    pub(crate) headers: Vec<Box<str>>,
    pub(crate) querystring: Vec<Box<str>>,
}
