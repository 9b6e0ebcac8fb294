//! Configuration of cors, as it crosses the door from Python: every field present, null where unset.
use serde::Deserialize;

/// `config` of cors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) origins: Option<Vec<Box<str>>>,
    pub(crate) headers: Option<Vec<Box<str>>>,
    pub(crate) exposed_headers: Option<Vec<Box<str>>>,
    pub(crate) methods: Option<Vec<Box<str>>>,
    pub(crate) max_age: Option<f64>,
    pub(crate) credentials: bool,
    pub(crate) private_network: bool,
    pub(crate) preflight_continue: bool,
}
