//! correlation-id: gives a request an id that upstream, client and logs share; a client's own id is kept.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::value::RawValue;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, Flow, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::text::Text;

use super::config::Config;
use crate::uuid;

struct CorrelationId {
    header: Text,
    header_name: Box<str>,
    generator: Generator,
    is_echoed: bool,
}

enum Generator {
    Uuid,
    /// One random id for this node, and a number.
    Counter {
        node: String,
        last: AtomicU64,
    },
    /// Address and port of the listener, process, connection, request of the connection, and time.
    Tracker,
}

/// The id of a request.
struct Given(Text);

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let generator = match &*config.generator {
        "uuid" => Generator::Uuid,
        "uuid#counter" => Generator::Counter {
            node: uuid::random()
                .ok_or_else(|| BuildError::Unavailable("there is no randomness".to_owned()))?,
            last: AtomicU64::new(0),
        },
        "tracker" => Generator::Tracker,
        other => {
            return Err(BuildError::Invalid(format!(
                "config: generator '{other}' is not known"
            )));
        }
    };
    let header_name = config
        .header_name
        .unwrap_or_else(|| "Kong-Request-ID".into());
    Ok(Arc::new(CorrelationId {
        header: Text::copy_from(header_name.as_bytes()),
        header_name,
        generator,
        is_echoed: config.echo_downstream,
    }))
}

impl Generator {
    fn next(&self, x: &Exchange) -> Option<Text> {
        match self {
            Self::Uuid => uuid::random().map(Text::from),
            Self::Counter { node, last } => {
                let number = last.fetch_add(1, Ordering::Relaxed) + 1;
                Some(Text::from(format!("{node}#{number}")))
            }
            Self::Tracker => {
                let (seconds, millis) = (x.wall_us / 1_000_000, x.wall_us / 1_000 % 1_000);
                let (ip, port) = (x.client.listener_ip, x.client.listener_port);
                let (process, (connection, request)) = (std::process::id(), x.client.serial);
                Some(Text::from(format!(
                    "{ip}-{port}-{process}-{connection}-{request}-{seconds}.{millis:03}"
                )))
            }
        }
    }
}

impl CorrelationId {
    fn of_client(&self, x: &Exchange) -> Option<Text> {
        let sent = x.request.headers.get(&self.header_name);
        sent.filter(|id| !id.is_empty()).map(Text::copy_from)
    }
}

impl Filter for CorrelationId {
    fn phases(&self) -> Phases {
        Phases::ACCESS.and(Phases::HEADER_FILTER)
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        let mut id = self.of_client(x);
        if id.is_none() {
            id = self.generator.next(x);
            if let Some(id) = &id {
                x.request.headers.set(self.header.clone(), id.clone());
            }
        }
        if let Some(id) = id {
            x.log_fields.push(("correlation_id", id.clone()));
            x.keep(Given(id));
        }
        Flow::Continue
    }

    // On an unmatched path this is the first the plugin sees of the request.
    fn header_filter(&self, x: &mut Exchange) {
        if !self.is_echoed {
            return;
        }
        let given = x.kept::<Given>().map(|given| given.0.clone());
        let id = given
            .or_else(|| self.of_client(x))
            .or_else(|| self.generator.next(x));
        if let Some(id) = id {
            x.response.headers.set(self.header.clone(), id);
        }
    }
}
