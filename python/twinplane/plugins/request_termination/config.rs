//! Configuration of request-termination, as it crosses the door from Python: every field present, null where unset.
use serde::Deserialize;

/// `config` of request-termination.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) status_code: u16,
    pub(crate) message: Option<Box<str>>,
    pub(crate) content_type: Option<Box<str>>,
    pub(crate) body: Option<Box<str>>,
    pub(crate) echo: bool,
    pub(crate) trigger: Option<Box<str>>,
}
