//! Configuration of acl, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/acl/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of acl.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) allow: Option<Vec<Box<str>>>,
    pub(crate) deny: Option<Vec<Box<str>>>,
    pub(crate) hide_groups_header: bool,
    pub(crate) always_use_authenticated_groups: bool,
}
