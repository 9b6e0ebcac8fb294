//! Configuration of file-log, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/file_log/schema.py` by `make generate`; do not edit.
use std::collections::BTreeMap;

use serde::Deserialize;

/// `config` of file-log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) path: Box<str>,
    pub(crate) reopen: bool,
    pub(crate) custom_fields_by_lua: Option<BTreeMap<Box<str>, Box<str>>>,
}
