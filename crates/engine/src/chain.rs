//! Which plugins run for a request, in which order, and how far they have come. A synchronous state machine: the proxy
//! performs what it waits for.
//!
//! One configuration per plugin name runs, the most specific one. What applies without a consumer is precomputed per
//! route; a consumer found on the way adds the few plugins of its own, from its place in the order on.
mod condition;
mod ordering;
mod run;

use std::rc::Rc;

use crate::answer::Answer;
use crate::exchange::{BodyChunk, Exchange, Source};
use crate::filter::{Effect, Filter, Flow, LogSink, Outcome, Phase, Phases};
use crate::snapshot::Snapshot;
pub use condition::unmet;
pub use ordering::Ordering;
pub(crate) use ordering::{circle, most_specific};
pub use run::ChainRun;

/// One plugin in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// Index in `snapshot.plugins`.
    pub plugin: u32,
    /// Place of the plugin's name among all plugins, see `PluginInstance::order`.
    pub order: u16,
    /// How specific its scope is, see [`rank`].
    pub rank: u8,
}

/// A plugin of a consumer, its own or a group's, with the rest of its scope.
#[derive(Clone, Copy, Debug)]
pub struct OverlayLink {
    /// The plugin.
    pub link: Link,
    /// Only for this route.
    pub route: Option<u32>,
    /// Only for this service.
    pub service: Option<u32>,
}

/// The plugins of a route (or, without a route, the global ones) in order.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// In rising order; one per plugin name.
    pub links: Box<[Link]>,
    /// All phases that any of them acts in.
    pub phases: Phases,
    /// Whether any of them asks for a place of its own in the access phase.
    pub is_ordered: bool,
}

/// For whom a plugin acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// For everybody.
    Anybody,
    /// For the members of a group of consumers.
    Group,
    /// For one consumer.
    Consumer,
}

/// How specific a scope is: of two configurations of a plugin that both apply, the higher rank runs.
pub const fn rank(has_route: bool, has_service: bool, whose: Whose) -> u8 {
    use Whose::{Anybody, Consumer, Group};
    match (whose, has_route, has_service) {
        (Consumer, true, true) => 11,
        (Group, true, true) => 10,
        (Consumer, true, false) => 9,
        (Consumer, false, true) => 8,
        (Group, true, false) => 7,
        (Group, false, true) => 6,
        (Anybody, true, true) => 5,
        (Consumer, false, false) => 4,
        (Group, false, false) => 3,
        (Anybody, true, false) => 2,
        (Anybody, false, true) => 1,
        (Anybody, false, false) => 0,
    }
}

/// What a scope of this rank (see [`rank`]) is bound to.
pub const fn scope_of(rank: u8) -> &'static [&'static str] {
    match rank {
        11 => &["consumer", "route", "service"],
        10 => &["consumer group", "route", "service"],
        9 => &["consumer", "route"],
        8 => &["consumer", "service"],
        7 => &["consumer group", "route"],
        6 => &["consumer group", "service"],
        5 => &["route", "service"],
        4 => &["consumer"],
        3 => &["consumer group"],
        2 => &["route"],
        1 => &["service"],
        _ => &[],
    }
}

/// What a phase came to.
#[derive(Debug)]
pub enum Step {
    /// All filters have run.
    Done,
    /// A filter answered.
    Answered(Box<Answer>),
    /// A filter waits; call again with the outcome.
    Wait(Effect),
}

impl OverlayLink {
    fn applies(&self, (route, service): (Option<u32>, Option<u32>)) -> bool {
        (self.route.is_none() || self.route == route)
            && (self.service.is_none() || self.service == service)
    }
}

/// The plugins that apply to a request with this route, service and consumer, in the order of the access phase.
pub fn applying(x: &Exchange) -> Vec<Link> {
    let snapshot = Rc::clone(&x.snapshot);
    let chain = x.route().map_or(snapshot.global_chain, |route| route.chain);
    let scope = (x.route, x.service);
    let mut run = ChainRun::new(chain);
    let mut links = Vec::new();
    while let Some(plugin) = run.next_of_access(&snapshot, x.consumer.as_deref(), scope) {
        let own = x.consumer.iter().flat_map(|consumer| &consumer.plugins);
        let mut known = snapshot.chains[chain as usize]
            .links
            .iter()
            .chain(own.map(|own| &own.link));
        links.extend(known.find(|link| link.plugin == plugin));
    }
    links
}

/// The plugins that apply to a stream whose route has been found, in the order of all their phases.
pub fn of_stream(x: &Exchange) -> Vec<Link> {
    let chain = x
        .route()
        .map_or(x.snapshot.global_chain, |route| route.chain);
    x.snapshot.chains[chain as usize].links.to_vec()
}

/// Runs the rewrite phase of the global plugins, or goes on with it.
pub fn rewrite(x: &mut Exchange, outcome: Option<Outcome>) -> Step {
    let snapshot = Rc::clone(&x.snapshot);
    if outcome.is_none() {
        x.chain = ChainRun::new(snapshot.global_chain);
    }
    if !snapshot.chains[snapshot.global_chain as usize]
        .phases
        .has(Phase::Rewrite)
    {
        return Step::Done;
    }
    run(x, &snapshot, Phase::Rewrite, outcome)
}

/// Runs the access phase of the matched route's plugins, or goes on with it.
pub fn access(x: &mut Exchange, outcome: Option<Outcome>) -> Step {
    let snapshot = Rc::clone(&x.snapshot);
    if outcome.is_none() {
        x.chain = ChainRun {
            chain: x.route().map_or(snapshot.global_chain, |route| route.chain),
            decided: std::mem::take(&mut x.chain.decided),
            ..ChainRun::default()
        };
    }
    run(x, &snapshot, Phase::Access, outcome)
}

/// Runs the preread phase of the plugins of a stream's route.
pub fn preread(x: &mut Exchange) -> Step {
    let snapshot = Rc::clone(&x.snapshot);
    x.chain = ChainRun::new(x.route().map_or(snapshot.global_chain, |route| route.chain));
    run(x, &snapshot, Phase::Preread, None)
}

fn run(x: &mut Exchange, snapshot: &Snapshot, phase: Phase, mut outcome: Option<Outcome>) -> Step {
    loop {
        let flow = if let Some(outcome) = outcome.take().filter(|_| x.chain.is_waiting) {
            x.chain.is_waiting = false;
            x.request.is_buffered_whole |= matches!(outcome, Outcome::RequestBody);
            snapshot.plugins[x.chain.current as usize]
                .filter
                .resume(phase, x, outcome)
        } else {
            let scope = (x.route, x.service);
            let consumer = x.consumer.as_deref();
            let next = if phase == Phase::Access {
                x.chain.next_of_access(snapshot, consumer, scope)
            } else {
                x.chain.next(snapshot, consumer, scope)
            };
            let Some(plugin) = next else {
                return Step::Done;
            };
            let instance = &snapshot.plugins[plugin as usize];
            let acts = instance.phases.has(phase);
            // In the access phase those that act later are asked too: it is their turn all the same.
            if (acts || phase == Phase::Access) && !condition::holds(x, plugin, instance) {
                continue;
            }
            if !acts {
                continue;
            }
            x.chain.current = plugin;
            match phase {
                Phase::Rewrite => instance.filter.rewrite(x),
                Phase::Preread => instance.filter.preread(x),
                _ => instance.filter.access(x),
            }
        };
        match flow {
            Flow::Continue => {}
            Flow::Answer(answer) => {
                finish(x, snapshot);
                return Step::Answered(answer);
            }
            Flow::Wait(effect) => {
                x.chain.is_waiting = true;
                return Step::Wait(effect);
            }
        }
    }
}

/// Ends the access phase before its time (an answer, an error): the plugins not yet reached still take part in later phases.
pub fn finish(x: &mut Exchange, snapshot: &Snapshot) {
    let scope = (x.route, x.service);
    let current = x.chain.current;
    x.chain.is_waiting = false;
    while x
        .chain
        .next_of_access(snapshot, x.consumer.as_deref(), scope)
        .is_some()
    {}
    x.chain.current = current;
}

/// Runs the response phase of all plugins that apply, or goes on with it.
pub fn response(x: &mut Exchange, outcome: Option<Outcome>) -> Step {
    filters(
        x,
        Phase::Response,
        outcome,
        |filter, x, outcome| match outcome {
            Some(outcome) => filter.resume(Phase::Response, x, outcome),
            None => filter.response(x),
        },
    )
}

/// Runs the header filters of all plugins that apply, or goes on with them.
pub fn header_filter(x: &mut Exchange, outcome: Option<Outcome>) -> Step {
    if x.chain.is_answered {
        return Step::Done;
    }
    if outcome.is_none() {
        upstream(x, |filter, x| filter.upstream_head(x));
    }
    let step = filters(
        x,
        Phase::HeaderFilter,
        outcome,
        |filter, x, outcome| match outcome {
            Some(outcome) => filter.resume(Phase::HeaderFilter, x, outcome),
            None => filter.header_filter_flow(x),
        },
    );
    x.chain.is_answered = matches!(step, Step::Answered(_));
    step
}

/// Runs the body filters of all plugins that apply over one piece, or goes on with them. An answer cuts the response.
pub fn body_filter(x: &mut Exchange, chunk: &mut BodyChunk, outcome: Option<Outcome>) -> Step {
    if outcome.is_none() {
        upstream(x, |filter, x| {
            filter.upstream_body(x, &chunk.data, chunk.is_last);
        });
    }
    filters(
        x,
        Phase::BodyFilter,
        outcome,
        |filter, x, outcome| match outcome {
            Some(outcome) => filter.resume_body(x, chunk, outcome),
            None => filter.body_filter_flow(x, chunk),
        },
    )
}

// What an upstream has said is shown as it came before a filter changes it.
fn upstream(x: &mut Exchange, mut show: impl FnMut(&dyn Filter, &mut Exchange)) {
    if x.response.source == Source::Upstream {
        filters(x, Phase::Upstream, None, |filter, x, _| {
            show(filter, x);
            Flow::Continue
        });
    }
}

fn filters(
    x: &mut Exchange,
    phase: Phase,
    mut outcome: Option<Outcome>,
    mut act: impl FnMut(&dyn Filter, &mut Exchange, Option<Outcome>) -> Flow,
) -> Step {
    if !has_phase(x, phase) {
        return Step::Done;
    }
    let snapshot = Rc::clone(&x.snapshot);
    let mut at = if outcome.is_some() {
        x.chain.filtered
    } else {
        0
    };
    loop {
        let plugin = match &x.chain.collected {
            Some(collected) => collected.get(at).copied(),
            None => snapshot.chains[x.chain.chain as usize]
                .links
                .get(at)
                .map(|link| link.plugin),
        };
        let Some(plugin) = plugin else {
            return Step::Done;
        };
        let instance = &snapshot.plugins[plugin as usize];
        let is_resumed = outcome.is_some();
        if instance.phases.has(phase) && (is_resumed || condition::holds(x, plugin, instance)) {
            x.chain.current = plugin;
            match act(&*instance.filter, x, outcome.take()) {
                Flow::Continue => {}
                Flow::Answer(answer) => return Step::Answered(answer),
                Flow::Wait(effect) => {
                    x.chain.filtered = at;
                    return Step::Wait(effect);
                }
            }
        }
        at += 1;
    }
}

/// Whether any plugin that may apply acts in a phase.
pub fn has_phase(x: &Exchange, phase: Phase) -> bool {
    x.chain.collected.is_some() || x.snapshot.chains[x.chain.chain as usize].phases.has(phase)
}

/// Runs the log phase of all plugins that apply.
pub fn log(x: &mut Exchange, sink: &mut dyn LogSink) {
    filters(x, Phase::Log, None, |filter, x, _| {
        filter.log(x, sink);
        Flow::Continue
    });
}

#[cfg(test)]
mod tests;
