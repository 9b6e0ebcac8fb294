//! http-log: renders an entry for each request; the node queues them and sends them in batches.
use std::sync::Arc;

use serde_json::value::RawValue;
use twinplane_engine::filter::Filter;
use twinplane_engine::plugin::{BuildContext, BuildError};

use super::config::Config;
use crate::log_plugin::PlainLog;

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    context: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    PlainLog::build("http-log", config.custom_fields_by_lua, context)
}
