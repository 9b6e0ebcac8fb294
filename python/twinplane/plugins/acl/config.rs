//! Configuration of acl, as it crosses the door from Python: every field present, null where unset.
use serde::Deserialize;

/// `config` of acl.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) allow: Option<Vec<Box<str>>>,
    pub(crate) deny: Option<Vec<Box<str>>>,
    pub(crate) hide_groups_header: bool,
    pub(crate) always_use_authenticated_groups: bool,
}
