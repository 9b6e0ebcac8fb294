//! rate-limiting: so many requests in a calendar window, counted on this node for all workers together, or in a store for
//! several nodes. Tells the client what is left of each limit.
use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, Flow, Outcome, Phase, Phases};
use twinplane_engine::headers::Headers;
use twinplane_engine::limiter::shared::SharedWindow;
use twinplane_engine::limiter::{Key, Limit, Moment, Period, Use, Uses};
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::text::Text;

use super::config::Config;
use crate::caller;
use crate::number::plain;
use crate::shared_counts::{self, SharedCounts};

struct RateLimiting {
    limits: Vec<Limit>,
    limit_by: LimitBy,
    scope: Box<[u8]>,
    shared: Option<SharedCounts>,
    hides_headers: bool,
    error_code: u16,
    error_message: Box<str>,
}

enum LimitBy {
    Consumer,
    Credential,
    Ip,
    Service,
    Header(Box<str>),
    Path(Box<str>),
}

/// What was found, kept for the response.
#[derive(Clone, Copy)]
struct Taken {
    uses: Uses,
    second: u64,
    passed: bool,
}

/// Who is counted, while the store is asked.
#[derive(Clone, Copy)]
struct Asked {
    key: Key,
    moment: Moment,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    context: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let shared = SharedCounts::build(config, context)?;
    let config: Config = serde_json::from_str(config.get())?;
    let limits = limits(&config);
    if limits.is_empty() {
        return Err(BuildError::Invalid(
            "config: at least one window is required".to_owned(),
        ));
    }
    // Counters belong to where the plugin is attached, so they outlive a change of its configuration.
    let plugin = context.plugin;
    let part = |id: &Option<Arc<str>>| id.as_deref().unwrap_or("-").to_owned();
    let scope = format!("{} {}", part(&plugin.route), part(&plugin.service));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a status code"
    )]
    let error_code = config.error_code.unwrap_or(429.0) as u16;
    Ok(Arc::new(RateLimiting {
        limits,
        limit_by: limit_by(&config)?,
        scope: scope.into_bytes().into(),
        shared,
        hides_headers: config.hide_client_headers,
        error_code,
        error_message: config
            .error_message
            .unwrap_or_else(|| "API rate limit exceeded".into()),
    }))
}

fn limits(config: &Config) -> Vec<Limit> {
    let requests = [
        config.second,
        config.minute,
        config.hour,
        config.day,
        config.month,
        config.year,
    ];
    Period::ALL
        .into_iter()
        .zip(requests)
        .filter_map(|(period, requests)| requests.map(|requests| Limit { period, requests }))
        .collect()
}

fn limit_by(config: &Config) -> Result<LimitBy, BuildError> {
    let needed = |value: &Option<Box<str>>, name: &str| {
        value
            .clone()
            .ok_or_else(|| BuildError::Invalid(format!("config: {name} is required")))
    };
    Ok(match config.limit_by.as_deref() {
        None | Some("consumer") => LimitBy::Consumer,
        Some("credential") => LimitBy::Credential,
        Some("ip") => LimitBy::Ip,
        Some("service") => LimitBy::Service,
        Some("header") => LimitBy::Header(needed(&config.header_name, "header_name")?),
        Some("path") => LimitBy::Path(needed(&config.path, "path")?),
        Some(other) => {
            return Err(BuildError::Invalid(format!(
                "config: limit_by '{other}' is not known"
            )));
        }
    })
}

impl RateLimiting {
    // Who is counted; whoever cannot be told by what is asked for is counted by address. The first part keeps a header
    // that looks like an address apart from that address.
    fn key(&self, x: &Exchange) -> Key {
        let named = match &self.limit_by {
            LimitBy::Consumer => caller::consumer(x).or_else(|| caller::credential(x)),
            LimitBy::Credential => caller::credential(x),
            LimitBy::Ip => None,
            LimitBy::Service => x.service().map(|service| service.model.id.as_bytes()),
            LimitBy::Header(name) => x.request.headers.get(name),
            LimitBy::Path(path) => {
                Some(x.request.path.as_bytes()).filter(|asked| *asked == path.as_bytes())
            }
        };
        let address = caller::address(x);
        let [kind, who]: [&[u8]; 2] = named.map_or([b"ip", &address], |name| [b"name", name]);
        shared_counts::key(self.shared.as_ref(), x, &[&self.scope, kind, who])
    }

    fn ask(&self, x: &mut Exchange, shared: &SharedCounts, asked: Asked) -> Flow {
        let Asked { key, moment } = asked;
        if let Some(tally) = &shared.tally
            && let Some(found) = tally.take(key, &self.limits, moment)
        {
            return self.found(x, moment, found);
        }
        x.keep(asked);
        let window = |limit: &Limit| SharedWindow::of(key, limit, moment.second());
        let windows = self.limits.iter();
        shared.ask(
            windows
                .map(|limit| window(limit).taking(limit.requests))
                .collect(),
        )
    }

    fn found(&self, x: &mut Exchange, moment: Moment, (passed, uses): (bool, Uses)) -> Flow {
        if !self.hides_headers {
            x.keep(Taken {
                uses,
                second: moment.second(),
                passed,
            });
        }
        if passed {
            return Flow::Continue;
        }
        let message = Cow::Owned(self.error_message.to_string());
        Flow::Answer(Answer::error(self.error_code, message))
    }
}

impl Filter for RateLimiting {
    fn phases(&self) -> Phases {
        if self.hides_headers {
            Phases::ACCESS
        } else {
            Phases::ACCESS.and(Phases::HEADER_FILTER)
        }
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        let moment = shared_counts::moment(x);
        let key = self.key(x);
        if let Some(shared) = &self.shared {
            return self.ask(x, shared, Asked { key, moment });
        }
        let found = x.node.limiter.take(key, &self.limits, moment);
        self.found(x, moment, found)
    }

    fn resume(&self, _: Phase, x: &mut Exchange, outcome: Outcome) -> Flow {
        let (Outcome::Counted(answer), Some(shared), Some(asked)) =
            (outcome, &self.shared, x.kept::<Asked>().copied())
        else {
            return Flow::Answer(Answer::unexpected());
        };
        let Asked { key, moment } = asked;
        match (answer, &shared.tally) {
            (Ok(counted), Some(tally)) => {
                let found = tally.settle(key, &self.limits, moment, &counted);
                self.found(x, moment, found)
            }
            (Ok(counted), None) => {
                let uses = counted.uses(0, &self.limits);
                self.found(x, moment, (counted.is_added, uses))
            }
            // What is counted here is told to the store once it is back.
            (Err(fault), Some(tally)) if shared.is_tolerant => {
                let may_be_told = fault.may_have_counted();
                let found = tally.take_alone(key, &self.limits, moment, may_be_told);
                self.found(x, moment, found)
            }
            (Err(_), _) => shared.without(),
        }
    }

    fn header_filter(&self, x: &mut Exchange) {
        if let Some(taken) = x.kept::<Taken>().copied() {
            taken.tell(&mut x.response.headers);
        }
    }
}

impl Taken {
    fn tell(&self, headers: &mut Headers) {
        let mut tightest: Option<(Use, f64)> = None;
        for found in self.uses.iter() {
            let counts = self.passed || found.is_spent();
            let remaining = (found.remaining - f64::from(u8::from(counts))).max(0.0);
            let (limit_name, remaining_name) = names(found.limit.period);
            headers.append(limit_name, plain(found.limit.requests));
            headers.append(remaining_name, plain(remaining));
            // Of equal ones the longest window, and they come shortest first.
            if tightest.is_none_or(|(_, least)| remaining <= least) {
                tightest = Some((*found, remaining));
            }
        }
        let Some((found, remaining)) = tightest else {
            return;
        };
        let period = found.limit.period;
        let passed_s = self.second - period.start(self.second);
        let reset = period.seconds().saturating_sub(passed_s).max(1);
        headers.append("RateLimit-Limit", plain(found.limit.requests));
        headers.append("RateLimit-Remaining", plain(remaining));
        headers.append("RateLimit-Reset", Text::from_integer(reset));
        if !self.passed {
            headers.append("Retry-After", Text::from_integer(reset));
        }
    }
}

const fn names(period: Period) -> (&'static str, &'static str) {
    match period {
        Period::Second => ("X-RateLimit-Limit-Second", "X-RateLimit-Remaining-Second"),
        Period::Minute => ("X-RateLimit-Limit-Minute", "X-RateLimit-Remaining-Minute"),
        Period::Hour => ("X-RateLimit-Limit-Hour", "X-RateLimit-Remaining-Hour"),
        Period::Day => ("X-RateLimit-Limit-Day", "X-RateLimit-Remaining-Day"),
        Period::Month => ("X-RateLimit-Limit-Month", "X-RateLimit-Remaining-Month"),
        Period::Year => ("X-RateLimit-Limit-Year", "X-RateLimit-Remaining-Year"),
    }
}
