//! syslog: renders an entry for each request with the severity that its status calls for; the node writes it to the system
//! log. What is below the least severity is never rendered.
use std::sync::Arc;

use serde_json::value::RawValue;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, LogSink, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError};

use super::config::Config;
use crate::log_plugin::Rendering;

// From least to most severe; the number that goes out counts from the other end.
const SEVERITIES: [&str; 8] = [
    "debug", "info", "notice", "warning", "err", "crit", "alert", "emerg",
];

struct Syslog {
    rendering: Rendering,
    least: usize,
    successful: usize,
    client_errors: usize,
    server_errors: usize,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    context: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    Ok(Arc::new(Syslog {
        least: severity(&config.log_level)?,
        successful: severity(&config.successful_severity)?,
        client_errors: severity(&config.client_errors_severity)?,
        server_errors: severity(&config.server_errors_severity)?,
        rendering: Rendering::new("syslog", config.custom_fields_by_lua, context)?,
    }))
}

fn severity(name: &str) -> Result<usize, BuildError> {
    let found = SEVERITIES.iter().position(|severity| *severity == name);
    found.ok_or_else(|| BuildError::Invalid(format!("config: severity '{name}' is not known")))
}

impl Filter for Syslog {
    fn phases(&self) -> Phases {
        Phases::LOG
    }

    fn log(&self, x: &Exchange, sink: &mut dyn LogSink) {
        let severity = match x.response.status {
            500.. => self.server_errors,
            400.. => self.client_errors,
            _ => self.successful,
        };
        if severity < self.least {
            return;
        }
        let mut message = Vec::with_capacity(2_048);
        // The one who sends needs no more than to cut off this head.
        message.extend_from_slice(b"{\"severity\":\"");
        message.extend_from_slice(SEVERITIES[severity].as_bytes());
        message.extend_from_slice(b"\",\"message\":");
        self.rendering.write(x, &mut message);
        message.push(b'}');
        self.rendering.deliver(message, sink);
    }
}
