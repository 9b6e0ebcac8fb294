//! ip-restriction: lets in or keeps out clients by their address. The address is the peer's, or what a trusted peer says
//! of it; nothing that a client sends by itself counts.
use std::sync::Arc;

use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, Flow, Phases};
use twinplane_engine::guard;
use twinplane_engine::plugin::{BuildContext, BuildError};

use super::config::Config;
use super::ranges::Ranges;

struct IpRestriction {
    allow: Option<Ranges>,
    deny: Option<Ranges>,
    status: u16,
    message: Option<Box<str>>,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    Ok(Arc::new(IpRestriction {
        allow: ranges("allow", config.allow)?,
        deny: ranges("deny", config.deny)?,
        status: status(config.status)?,
        message: config.message,
    }))
}

fn ranges(field: &str, entries: Option<Vec<Box<str>>>) -> Result<Option<Ranges>, BuildError> {
    let Some(entries) = entries.filter(|entries| !entries.is_empty()) else {
        return Ok(None);
    };
    let found = Ranges::parse(entries.iter().map(|entry| &**entry));
    found.map(Some).map_err(|entry| {
        BuildError::Invalid(format!(
            "config.{field}: '{entry}' is neither an address nor a range"
        ))
    })
}

fn status(status: Option<f64>) -> Result<u16, BuildError> {
    const FORBIDDEN: u16 = 403;
    let Some(number) = status else {
        return Ok(FORBIDDEN);
    };
    (200..=599)
        .find(|status| (f64::from(*status) - number).abs() < f64::EPSILON)
        .ok_or_else(|| {
            BuildError::Invalid(format!(
                "config.status: {number} is no status of an answer (200 to 599)"
            ))
        })
}

impl Filter for IpRestriction {
    fn phases(&self) -> Phases {
        Phases::ACCESS.and(Phases::PREREAD)
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        if let Some(refusal) = guard::refusal(x) {
            return refusal;
        }
        self.judge(x)
    }

    fn preread(&self, x: &mut Exchange) -> Flow {
        self.judge(x)
    }
}

impl IpRestriction {
    fn judge(&self, x: &Exchange) -> Flow {
        let client = x.client.ip.to_canonical();
        let is_denied = self
            .deny
            .as_ref()
            .is_some_and(|ranges| ranges.contain(client));
        let is_allowed = self
            .allow
            .as_ref()
            .is_none_or(|ranges| ranges.contain(client));
        if is_allowed && !is_denied {
            return Flow::Continue;
        }
        Flow::Answer(match &self.message {
            Some(message) => Answer::error(self.status, message.to_string()),
            None => Answer::error(self.status, format!("IP address not allowed: {client}")),
        })
    }
}
