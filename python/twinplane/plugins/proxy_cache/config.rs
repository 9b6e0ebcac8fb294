//! Configuration of proxy-cache, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/proxy_cache/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of proxy-cache.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) response_code: Vec<u16>,
    pub(crate) request_method: Vec<Box<str>>,
    pub(crate) content_type: Vec<Box<str>>,
    pub(crate) cache_ttl: Option<i64>,
    pub(crate) strategy: Box<str>,
    pub(crate) cache_control: bool,
    pub(crate) ignore_uri_case: Option<bool>,
    pub(crate) storage_ttl: Option<i64>,
    pub(crate) memory: Memory,
    pub(crate) vary_query_params: Option<Vec<Box<str>>>,
    pub(crate) vary_headers: Option<Vec<Box<str>>>,
    pub(crate) response_headers: ResponseHeaders,
}

/// Headers of the answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct ResponseHeaders {
    pub(crate) age: Option<bool>,
    #[serde(rename = "X-Cache-Status")]
    pub(crate) x_cache_status: Option<bool>,
    #[serde(rename = "X-Cache-Key")]
    pub(crate) x_cache_key: Option<bool>,
}

/// Kept in memory of the node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Memory {
    pub(crate) dictionary_name: Box<str>,
}
