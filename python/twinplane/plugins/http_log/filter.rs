//! http-log: renders an entry for each request; the node's sender queues and delivers them.
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, LogSink, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_model::Id;

use super::config::Config;
use crate::log_entry;
use crate::lua::{self, CustomField};

const NAME: &str = "http-log";

struct HttpLog {
    plugin_id: Id,
    custom_fields: Vec<CustomField>,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    context: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let custom_fields = config.custom_fields_by_lua.unwrap_or_default();
    let custom_fields = custom_fields
        .iter()
        .map(|(path, source)| lua::custom_field(path, source));
    Ok(Arc::new(HttpLog {
        plugin_id: Arc::clone(&context.plugin.id),
        custom_fields: custom_fields.collect::<Result<_, _>>()?,
    }))
}

impl Filter for HttpLog {
    fn phases(&self) -> Phases {
        Phases::LOG
    }

    fn log(&self, x: &Exchange, sink: &mut dyn LogSink) {
        let mut entry = Vec::with_capacity(2_048);
        log_entry::write(x, &mut entry);
        if !self.custom_fields.is_empty() {
            let mut value: Value = serde_json::from_slice(&entry).unwrap_or_default();
            for field in &self.custom_fields {
                field.apply(&mut value);
            }
            entry = value.to_string().into_bytes();
        }
        sink.entry(&self.plugin_id, NAME, Bytes::from(entry));
    }
}
