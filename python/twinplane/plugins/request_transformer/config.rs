//! Configuration of request-transformer, as it crosses the door from Python: every field present, null where unset.
use serde::Deserialize;

/// `config` of request-transformer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) http_method: Option<Box<str>>,
    pub(crate) remove: Lists,
    pub(crate) rename: Lists,
    pub(crate) replace: Replace,
    pub(crate) add: Lists,
    pub(crate) append: Lists,
}

/// What one operation is applied to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lists {
    pub(crate) body: Vec<Box<str>>,
    pub(crate) headers: Vec<Box<str>>,
    pub(crate) querystring: Vec<Box<str>>,
}

/// The same for `replace`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replace {
    pub(crate) body: Vec<Box<str>>,
    pub(crate) headers: Vec<Box<str>>,
    pub(crate) querystring: Vec<Box<str>>,
    pub(crate) uri: Option<Box<str>>,
}
