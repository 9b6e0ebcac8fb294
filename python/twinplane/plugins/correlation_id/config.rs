//! Configuration of correlation-id, as it crosses the door from Python: every field present, null where unset.
use serde::Deserialize;

/// `config` of correlation-id.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) header_name: Option<Box<str>>,
    pub(crate) generator: Box<str>,
    pub(crate) echo_downstream: bool,
}
