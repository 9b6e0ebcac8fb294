//! What log plugins share: an entry is rendered when a request is over, and the node's senders queue and deliver it.
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, LogSink, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_model::Id;

use crate::log_entry;
use crate::lua::{self, CustomField};

/// `custom_fields_by_lua`, as declared.
pub(crate) type LuaFields = Option<BTreeMap<Box<str>, Box<str>>>;

/// How the entries of one configured plugin are rendered, and whose they are.
pub(crate) struct Rendering {
    plugin_id: Id,
    name: &'static str,
    custom_fields: Vec<CustomField>,
}

impl Rendering {
    /// Lua beyond constants is refused: what was meant to be removed must not be logged.
    pub(crate) fn new(
        name: &'static str,
        custom_fields: LuaFields,
        context: &BuildContext<'_>,
    ) -> Result<Self, BuildError> {
        let custom_fields = custom_fields.unwrap_or_default();
        let custom_fields = custom_fields
            .iter()
            .map(|(path, source)| lua::custom_field(path, source));
        Ok(Self {
            plugin_id: Arc::clone(&context.plugin.id),
            name,
            custom_fields: custom_fields.collect::<Result<_, _>>()?,
        })
    }

    /// Appends the entry of a request that is over.
    pub(crate) fn write(&self, x: &Exchange, out: &mut Vec<u8>) {
        let start = out.len();
        log_entry::write(x, out);
        if !self.custom_fields.is_empty() {
            let mut value: Value = serde_json::from_slice(&out[start..]).unwrap_or_default();
            for field in &self.custom_fields {
                field.apply(&mut value);
            }
            out.truncate(start);
            out.extend_from_slice(value.to_string().as_bytes());
        }
    }

    /// Hands a message to the delivery of this plugin.
    pub(crate) fn deliver(&self, message: Vec<u8>, sink: &mut dyn LogSink) {
        sink.entry(&self.plugin_id, self.name, Bytes::from(message));
    }
}

/// A filter that hands on each entry as it is.
pub(crate) struct PlainLog(Rendering);

impl PlainLog {
    /// Builds the filter.
    pub(crate) fn build(
        name: &'static str,
        custom_fields: LuaFields,
        context: &BuildContext<'_>,
    ) -> Result<Arc<dyn Filter>, BuildError> {
        Ok(Arc::new(Self(Rendering::new(
            name,
            custom_fields,
            context,
        )?)))
    }
}

impl Filter for PlainLog {
    fn phases(&self) -> Phases {
        Phases::LOG
    }

    fn log(&self, x: &Exchange, sink: &mut dyn LogSink) {
        let mut entry = Vec::with_capacity(2_048);
        self.0.write(x, &mut entry);
        self.0.deliver(entry, sink);
    }
}
