//! response-ratelimiting: limits by what the upstream's answers say they cost. Counted on this node for all workers
//! together, or in a store for several nodes, after the answer has gone.
use std::sync::Arc;

use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::{Exchange, Source};
use twinplane_engine::filter::{Filter, Flow, LogSink, Outcome, Phase, Phases};
use twinplane_engine::headers::Headers;
use twinplane_engine::limiter::shared::SharedWindow;
use twinplane_engine::limiter::{Key, Limit, Moment, Period, Use, Uses};
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::text::Text;

use super::config::{Config, Limits};
use crate::caller;
use crate::number::plain;
use crate::shared_counts::{self, SharedCounts};

struct ResponseRatelimiting {
    counters: Vec<Counter>,
    header_name: Box<str>,
    limit_by: LimitBy,
    scope: Box<[u8]>,
    shared: Option<SharedCounts>,
    blocks_first: bool,
    hides_headers: bool,
}

/// One name that answers may count under.
struct Counter {
    name: Box<str>,
    limits: Vec<Limit>,
    remaining_header: Text,
    // Of each limit, in their order.
    limit_headers: Vec<(Text, Text)>,
}

#[derive(Clone, Copy)]
enum LimitBy {
    Consumer,
    Credential,
    Ip,
}

/// What was found before the upstream was asked, and what its answer cost.
struct Found {
    moment: Moment,
    // Of each counter, in their order.
    counters: Vec<(Key, Uses, u64)>,
    is_stopped: bool,
}

/// Who is counted under which name, while the store is asked.
struct Asked {
    moment: Moment,
    // Of each counter, in their order.
    keys: Vec<Key>,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    context: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let shared = SharedCounts::build(config, context)?;
    let config: Config = serde_json::from_str(config.get())?;
    let counters = config.limits.iter();
    let counters = counters.map(|(name, limits)| Counter::build(name, limits));
    // Counters belong to where the plugin is attached, so they outlive a change of its configuration.
    let plugin = context.plugin;
    let part = |id: &Option<Arc<str>>| id.as_deref().unwrap_or("-").to_owned();
    let scope = format!("{} {}", part(&plugin.route), part(&plugin.service));
    Ok(Arc::new(ResponseRatelimiting {
        counters: counters.collect::<Result<_, _>>()?,
        header_name: config.header_name.unwrap_or_else(|| "x-kong-limit".into()),
        limit_by: match config.limit_by.as_deref() {
            Some("credential") => LimitBy::Credential,
            Some("ip") => LimitBy::Ip,
            _ => LimitBy::Consumer,
        },
        scope: scope.into_bytes().into(),
        shared,
        blocks_first: config.block_on_first_violation,
        hides_headers: config.hide_client_headers,
    }))
}

impl Counter {
    fn build(name: &str, limits: &Limits) -> Result<Self, BuildError> {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            let message = format!("config: limits: '{name}' cannot be part of a header's name");
            return Err(BuildError::Invalid(message));
        }
        let requests = [
            limits.second,
            limits.minute,
            limits.hour,
            limits.day,
            limits.month,
            limits.year,
        ];
        let limits: Vec<Limit> = Period::ALL
            .into_iter()
            .zip(requests)
            .filter_map(|(period, requests)| requests.map(|requests| Limit { period, requests }))
            .collect();
        let headers = limits.iter().map(|limit| {
            let period = word(limit.period);
            let header = |kind: &str| Text::from(format!("X-RateLimit-{kind}-{name}-{period}"));
            (header("Limit"), header("Remaining"))
        });
        Ok(Self {
            name: name.into(),
            remaining_header: Text::from(format!("X-RateLimit-Remaining-{name}")),
            limit_headers: headers.collect(),
            limits,
        })
    }
}

const fn word(period: Period) -> &'static str {
    match period {
        Period::Second => "second",
        Period::Minute => "minute",
        Period::Hour => "hour",
        Period::Day => "day",
        Period::Month => "month",
        Period::Year => "year",
    }
}

impl ResponseRatelimiting {
    // Who is counted; whoever cannot be told by what is asked for is counted by address.
    fn key(&self, x: &Exchange, counter: &Counter) -> Key {
        let named = match self.limit_by {
            LimitBy::Consumer => caller::consumer(x).or_else(|| caller::credential(x)),
            LimitBy::Credential => caller::credential(x),
            LimitBy::Ip => None,
        };
        let address = caller::address(x);
        let who: [&[u8]; 2] = named.map_or([b"ip", &address], |name| [b"name", name]);
        let name = counter.name.as_bytes();
        let parts: [&[u8]; 5] = [&self.scope, b"response", name, who[0], who[1]];
        shared_counts::key(self.shared.as_ref(), x, &parts)
    }

    // Refuses the request if a limit is spent that does so; else what was found is kept for the answer.
    fn found(&self, x: &mut Exchange, moment: Moment, found: Vec<(Key, Uses)>) -> Flow {
        let mut counters = Vec::with_capacity(found.len());
        for (counter, (key, uses)) in self.counters.iter().zip(found) {
            if self.blocks_first && uses.iter().any(Use::is_spent) {
                let message = format!("API rate limit exceeded for '{}'", counter.name);
                return Flow::Answer(Answer::error(429, message));
            }
            counters.push((key, uses, 0));
        }
        x.keep(Found {
            moment,
            counters,
            is_stopped: false,
        });
        Flow::Continue
    }

    // The windows of what an answer has cost.
    fn spent(&self, found: &Found) -> Vec<SharedWindow> {
        let mut windows = Vec::new();
        for (counter, (key, _, cost)) in self.counters.iter().zip(&found.counters) {
            let limits = counter.limits.iter().filter(|_| *cost > 0);
            let second = found.moment.second();
            windows.extend(limits.map(|limit| SharedWindow::of(*key, limit, second).adding(*cost)));
        }
        windows
    }

    // What the answer costs under each name it has limits for, as `name=amount, name=amount`; the last of a name counts.
    fn costs(&self, headers: &Headers) -> Vec<u64> {
        let mut costs = vec![0; self.counters.len()];
        for value in headers.get_all(&self.header_name) {
            for part in value.split(|byte| *byte == b',') {
                let Some((name, amount)) = std::str::from_utf8(part).ok().and_then(cost) else {
                    continue;
                };
                let named = self
                    .counters
                    .iter()
                    .position(|counter| *counter.name == *name);
                if let Some(at) = named {
                    costs[at] = amount;
                }
            }
        }
        costs
    }
}

// The most that an answer costs: all that a store can count in one window.
const COST_MAX: f64 = 9_007_199_254_740_992.0;

// A cost that is no number, or below nothing, is none.
fn cost(part: &str) -> Option<(&str, u64)> {
    let (name, amount) = part.split_once('=')?;
    let amount = amount.trim().parse::<f64>().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked for its sign, and bounded"
    )]
    let amount = (amount > 0.0).then(|| amount.ceil().min(COST_MAX) as u64)?;
    Some((name.trim(), amount))
}

impl Filter for ResponseRatelimiting {
    fn phases(&self) -> Phases {
        Phases::ACCESS.and(Phases::HEADER_FILTER).and(Phases::LOG)
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        let moment = shared_counts::moment(x);
        let counters = self.counters.iter();
        let keyed = counters.map(|counter| (counter, self.key(x, counter)));
        let Some(shared) = &self.shared else {
            let look = |(counter, key): (&Counter, Key)| {
                (key, x.node.limiter.look(key, &counter.limits, moment))
            };
            let found = keyed.map(look).collect();
            return self.found(x, moment, found);
        };
        let (mut keys, mut windows) = (Vec::new(), Vec::new());
        for (counter, key) in keyed {
            let limits = counter.limits.iter();
            windows.extend(limits.map(|limit| SharedWindow::of(key, limit, moment.second())));
            keys.push(key);
        }
        x.keep(Asked { moment, keys });
        shared.ask(windows)
    }

    fn resume(&self, _: Phase, x: &mut Exchange, outcome: Outcome) -> Flow {
        let (Outcome::Counted(answer), Some(shared), Some(asked)) =
            (outcome, &self.shared, x.kept::<Asked>())
        else {
            return Flow::Answer(Answer::unexpected());
        };
        let Ok(counted) = answer else {
            return shared.without();
        };
        let moment = asked.moment;
        let mut first = 0;
        let uses = self.counters.iter().zip(&asked.keys).map(|(counter, key)| {
            let uses = counted.uses(first, &counter.limits);
            first += counter.limits.len();
            (*key, uses)
        });
        let found = uses.collect();
        self.found(x, moment, found)
    }

    fn header_filter(&self, x: &mut Exchange) {
        let is_upstream = x.response.source == Source::Upstream;
        let costs = if is_upstream {
            self.costs(&x.response.headers)
        } else {
            vec![0; self.counters.len()]
        };
        if is_upstream {
            x.response.headers.remove(&self.header_name);
        }
        let Some(found) = x.kept_mut::<Found>() else {
            return;
        };
        for ((_, uses, cost), costs) in found.counters.iter_mut().zip(costs) {
            *cost = costs;
            found.is_stopped |= costs > 0 && uses.iter().any(Use::is_spent);
        }
        let is_stopped = found.is_stopped;
        let told: Vec<(Uses, u64)> = found
            .counters
            .iter()
            .map(|(_, uses, cost)| (*uses, *cost))
            .collect();
        let headers = &mut x.response.headers;
        for (counter, (uses, cost)) in self.counters.iter().zip(told) {
            counter.tell(&uses, cost, self.hides_headers, headers);
        }
        if is_stopped {
            headers.remove("Content-Length");
            headers.append("Content-Length", Text::from_static("0"));
            x.response.status = 429;
            x.response.reason = Some(Text::from_static("Too Many Requests"));
            x.response.content_length = Some(0);
            x.response.is_body_dropped = true;
        }
    }

    fn log(&self, x: &Exchange, sink: &mut dyn LogSink) {
        let Some(found) = x.kept::<Found>().filter(|found| !found.is_stopped) else {
            return;
        };
        if let Some(shared) = &self.shared {
            let windows = self.spent(found);
            if !windows.is_empty() {
                sink.count_shared(shared.counting(windows));
            }
            return;
        }
        for (counter, (key, _, cost)) in self.counters.iter().zip(&found.counters) {
            if *cost > 0 {
                let limits = &counter.limits;
                x.node.limiter.spend(*key, limits, found.moment, *cost);
            }
        }
    }
}

impl Counter {
    // What was left before this answer is told even where the rest is not, as a real node has it.
    fn tell(&self, uses: &Uses, cost: u64, hides_rest: bool, headers: &mut Headers) {
        let least = uses.iter().map(|found| found.remaining);
        let least = least.fold(f64::INFINITY, f64::min);
        headers.set(self.remaining_header.clone(), plain(least));
        if hides_rest {
            return;
        }
        for (found, (limit_name, remaining_name)) in uses.iter().zip(&self.limit_headers) {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let remaining = (found.remaining - cost as f64).max(0.0);
            headers.set(limit_name.clone(), plain(found.limit.requests));
            headers.set(remaining_name.clone(), plain(remaining));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cost;

    #[test]
    fn a_cost_is_a_name_and_an_amount() {
        for (part, wanted) in [
            ("video=1", Some(("video", 1))),
            (" video = 2 ", Some(("video", 2))),
            ("video=1.5", Some(("video", 2))),
            ("video=1e30", Some(("video", 1 << 53))),
            ("video=inf", Some(("video", 1 << 53))),
            ("video=1;x", None),
            ("video=-1", None),
            ("video=NaN", None),
            ("video", None),
        ] {
            assert_eq!(cost(part), wanted, "{part}");
        }
    }
}
