//! acl: lets consumers through by their groups. Without a consumer nobody passes.
use std::sync::Arc;

use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, Flow, Phases};
use twinplane_engine::guard;
use twinplane_engine::identity;
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::text::Text;

use super::config::Config;

struct Acl {
    rule: Rule,
    hide_groups_header: bool,
    always_use_authenticated_groups: bool,
}

enum Rule {
    Allow(Vec<Box<str>>),
    Deny(Vec<Box<str>>),
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let rule = match (config.allow, config.deny) {
        (Some(allow), _) if !allow.is_empty() => Rule::Allow(allow),
        (_, Some(deny)) if !deny.is_empty() => Rule::Deny(deny),
        _ => {
            return Err(BuildError::Invalid(
                "config: allow or deny is required".to_owned(),
            ));
        }
    };
    Ok(Arc::new(Acl {
        rule,
        hide_groups_header: config.hide_groups_header,
        always_use_authenticated_groups: config.always_use_authenticated_groups,
    }))
}

impl Acl {
    fn lets_in(&self, groups: &[Text]) -> bool {
        let is_in = |list: &[Box<str>]| {
            let is_listed = |group: &Text| {
                list.iter()
                    .any(|wanted| wanted.as_bytes() == group.as_bytes())
            };
            groups.iter().any(is_listed)
        };
        match &self.rule {
            Rule::Allow(list) => is_in(list),
            Rule::Deny(list) => !is_in(list),
        }
    }

    // Groups that an auth plugin vouches for speak for a caller without credential, or always where so configured.
    fn judges_authenticated_groups(&self, x: &Exchange) -> bool {
        let is_asked = self.always_use_authenticated_groups || x.credential.is_none();
        is_asked && !x.authenticated_groups.is_empty()
    }
}

impl Filter for Acl {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        if let Some(refusal) = guard::refusal(x) {
            return refusal;
        }
        // A copy sent by the client never reaches the upstream, not even where the header is hidden.
        for name in [identity::CONSUMER_GROUPS, identity::AUTHENTICATED_GROUPS] {
            x.request.headers.remove_any_spelling(name);
        }
        let consumer = x.consumer.clone();
        let (name, groups) = if self.judges_authenticated_groups(x) {
            (identity::AUTHENTICATED_GROUPS, &x.authenticated_groups)
        } else if let Some(consumer) = &consumer {
            (identity::CONSUMER_GROUPS, &consumer.groups)
        } else {
            return Flow::Answer(Answer::error(401, "Unauthorized"));
        };
        if !self.lets_in(groups) {
            return Flow::Answer(if x.credential.is_some() {
                Answer::error(403, "You cannot consume this service")
            } else {
                Answer::error(401, "Unauthorized")
            });
        }
        if !self.hide_groups_header {
            let groups = header(groups);
            x.request.headers.append(name, groups);
        }
        Flow::Continue
    }
}

// A consumer without groups is told by a single space (vectors/plugins: acl with deny).
fn header(groups: &[Text]) -> Text {
    match groups {
        [] => Text::from_static(" "),
        [one] => one.clone(),
        many => {
            let many: Vec<&[u8]> = many.iter().map(Text::as_bytes).collect();
            Text::from(many.join(&b", "[..]))
        }
    }
}
