//! Configuration of prometheus, as it crosses the door from Python: every field there, null where unset.
//!
//! Generated from `python/twinplane/plugins/prometheus/schema.py` by `make generate`; do not edit.
use serde::Deserialize;

/// `config` of prometheus.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "as declared")]
pub(crate) struct Config {
    pub(crate) per_consumer: Option<bool>,
    pub(crate) status_code_metrics: Option<bool>,
    pub(crate) ai_metrics: Option<bool>,
    pub(crate) latency_metrics: Option<bool>,
    pub(crate) bandwidth_metrics: Option<bool>,
    pub(crate) upstream_health_metrics: Option<bool>,
}
