//! Configuration of prometheus, as it crosses the door from Python: every field present, null where unset.
use serde::Deserialize;

/// `config` of prometheus.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) per_consumer: Option<bool>,
    pub(crate) status_code_metrics: Option<bool>,
    #[expect(dead_code, reason = "no ai plugin has behaviour here")]
    pub(crate) ai_metrics: Option<bool>,
    pub(crate) latency_metrics: Option<bool>,
    pub(crate) bandwidth_metrics: Option<bool>,
    #[expect(
        dead_code,
        reason = "read by the status API, which words the health of targets"
    )]
    pub(crate) upstream_health_metrics: Option<bool>,
}
