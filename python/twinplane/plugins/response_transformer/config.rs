//! Configuration of response-transformer, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/response_transformer/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of response-transformer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) remove: Remove,
    pub(crate) rename: Remove,
    pub(crate) replace: Replace,
    pub(crate) add: Replace,
    pub(crate) append: Replace,
}

/// What gets another value where it is there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Replace {
    pub(crate) json: Vec<Box<str>>,
    pub(crate) json_types: Vec<Box<str>>,
    pub(crate) headers: Vec<Box<str>>,
}

/// What is taken out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Remove {
    pub(crate) json: Vec<Box<str>>,
    pub(crate) headers: Vec<Box<str>>,
}
