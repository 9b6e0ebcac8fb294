//! Configuration of rate-limiting, as it crosses the door from Python: every field present, null where unset.
use serde::Deserialize;
use serde_json::value::RawValue;

/// `config` of rate-limiting.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) second: Option<f64>,
    pub(crate) minute: Option<f64>,
    pub(crate) hour: Option<f64>,
    pub(crate) day: Option<f64>,
    pub(crate) month: Option<f64>,
    pub(crate) year: Option<f64>,
    pub(crate) limit_by: Option<Box<str>>,
    pub(crate) header_name: Option<Box<str>>,
    pub(crate) path: Option<Box<str>>,
    pub(crate) policy: Option<Box<str>>,
    #[expect(dead_code, reason = "the local policy cannot fail")]
    pub(crate) fault_tolerant: bool,
    #[expect(dead_code, reason = "belongs to a policy that this node lacks")]
    pub(crate) redis: Option<Box<RawValue>>,
    pub(crate) hide_client_headers: bool,
    pub(crate) error_code: Option<f64>,
    pub(crate) error_message: Option<Box<str>>,
    #[expect(dead_code, reason = "belongs to a policy that this node lacks")]
    pub(crate) sync_rate: Option<f64>,
}
