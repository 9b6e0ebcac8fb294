//! bot-detection: keeps out clients whose user agent says that they are bots, by a list of well-known crawlers and by
//! patterns of one's own. Says nothing of clients that lie.
use std::sync::Arc;

use regex::bytes::{RegexSet, RegexSetBuilder};
use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, Flow, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError};

use super::config::Config;
use super::crawlers::CRAWLERS;

struct BotDetection {
    allow: RegexSet,
    deny: RegexSet,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let allow = config.allow.unwrap_or_default();
    let deny = config.deny.unwrap_or_default();
    let known = CRAWLERS.iter().copied();
    Ok(Arc::new(BotDetection {
        allow: set("allow", allow.iter().map(|pattern| &**pattern))?,
        deny: set("deny", deny.iter().map(|pattern| &**pattern).chain(known))?,
    }))
}

// Each pattern by itself first, so that the operator learns which one it is.
fn set<'a>(
    field: &str,
    patterns: impl Iterator<Item = &'a str> + Clone,
) -> Result<RegexSet, BuildError> {
    let compiled = |patterns: Vec<&str>| RegexSetBuilder::new(patterns).unicode(false).build();
    for pattern in patterns.clone() {
        compiled(vec![pattern]).map_err(|_| {
            BuildError::Unavailable(format!(
                "its {field} '{pattern}' is no regular expression of this node"
            ))
        })?;
    }
    compiled(patterns.collect()).map_err(|_| {
        BuildError::Unavailable(format!("its {field} patterns together are too large"))
    })
}

impl Filter for BotDetection {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        let mut agents = x.request.headers.get_all("User-Agent");
        let (agent, another) = (agents.next(), agents.next());
        if another.is_some() {
            let message = "Only one User-Agent header allowed";
            return Flow::Answer(Answer::error(400, message));
        }
        // Who is let in by name is let in whatever else the name holds.
        let is_bot = |agent: &[u8]| !self.allow.is_match(agent) && self.deny.is_match(agent);
        if agent.map(<[u8]>::trim_ascii).is_some_and(is_bot) {
            return Flow::Answer(Answer::error(403, "Forbidden"));
        }
        Flow::Continue
    }
}
