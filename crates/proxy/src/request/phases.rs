//! Runs the plugin phases and performs what filters wait for. A filter that panics costs its request alone.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use twinplane_engine::answer::Answer;
use twinplane_engine::chain::{self, Step};
use twinplane_engine::exchange::{BodyChunk, Exchange};
use twinplane_engine::filter::{Effect, LogSink, Outcome, Phase};

use super::Stop;
use super::body::Collected;
use super::visit;
use crate::client_side::ClientSide;
use crate::error_page::GatewayError;
use crate::recorder::Counter;
use crate::worker::Worker;

/// A phase before the upstream is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Global plugins, before the route is known.
    Rewrite,
    /// The plugins of the route.
    Access,
}

/// Runs a phase to its end.
pub(super) async fn run<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    body: &mut Collected,
    phase: Before,
) -> Result<(), Stop> {
    let mut outcome = None;
    loop {
        let given = outcome.take();
        let step = guarded(worker, x, |x| match phase {
            Before::Rewrite => chain::rewrite(x, given),
            Before::Access => chain::access(x, given),
        });
        let Some(step) = step else {
            let snapshot = Rc::clone(&x.snapshot);
            chain::finish(x, &snapshot);
            return Err(GatewayError::Unexpected.into());
        };
        match step {
            Step::Done => return Ok(()),
            Step::Answered(answer) => return Err(Stop::Answer(answer)),
            Step::Wait(effect) => outcome = Some(perform(worker, x, client, body, effect).await?),
        }
        worker.touch(x);
    }
}

async fn perform<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    body: &mut Collected,
    effect: Effect,
) -> Result<Outcome, Stop> {
    match effect {
        Effect::RequestBody { bytes_max } => {
            limit_body(x, client);
            let bytes_max = bytes_max.min(worker.settings().start.limits.buffered_body_bytes_max);
            let is_whole = body.collect(x, client, bytes_max).await?;
            x.request.buffered = Some(body.bytes.clone());
            if is_whole {
                return Ok(Outcome::RequestBody);
            }
            let name = "twinplane_request_buffer_overruns_total";
            let plugin = x.snapshot.plugins[x.chain.current() as usize].name;
            let mut entry = worker.recorder.open();
            entry.count(name, &[("plugin", plugin)], 1);
            Ok(Outcome::RequestBodyTooLarge)
        }
        Effect::Timer { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(Outcome::Timer)
        }
        Effect::Visit(visit) => Ok(visit::perform(worker, x, visit).await),
        Effect::Count(counting) => Ok(Outcome::Counted(
            worker.counter_links.ask(worker, *counting).await,
        )),
        // There is no response yet.
        Effect::ResponseBody { .. } => {
            worker.recorder.count(Counter::InvariantBroken, 1);
            Err(GatewayError::Unexpected.into())
        }
    }
}

/// Holds the client's body to what filters allow.
pub(super) fn limit_body<C: ClientSide>(x: &Exchange, client: &mut C) {
    if let Some(limit) = &x.request.body_limit {
        client.limit_body(limit.bytes);
    }
    if x.route()
        .is_some_and(|route| route.is_grpc || !route.model.request_buffering)
    {
        client.release_pace();
    }
}

/// The request ends before its plugins ran: the global ones take part in what is left.
pub(super) fn skip_to_response(x: &mut Exchange) {
    x.chain = chain::ChainRun::new(x.snapshot.global_chain);
}

/// Runs the response phase, or goes on with it; none where a filter panicked.
pub(super) fn response(
    worker: &Worker,
    x: &mut Exchange,
    outcome: Option<Outcome>,
) -> Option<Step> {
    guarded(worker, x, |x| chain::response(x, outcome))
}

/// What came of the header filters.
#[derive(Debug)]
pub(super) enum Filtered {
    /// The head goes out as it now is.
    Passed,
    /// A filter answers in place of it.
    Answered(Box<Answer>),
    /// A filter panicked.
    Broken,
}

/// Runs the header filters.
pub(super) async fn header_filter(worker: &Worker, x: &mut Exchange) -> Filtered {
    if !chain::has_phase(x, Phase::HeaderFilter) {
        return Filtered::Passed;
    }
    let mut outcome = None;
    loop {
        let given = outcome.take();
        let step = guarded(worker, x, |x| chain::header_filter(x, given));
        match step {
            None => return Filtered::Broken,
            Some(Step::Done) => return Filtered::Passed,
            Some(Step::Answered(answer)) => return Filtered::Answered(answer),
            Some(Step::Wait(Effect::Visit(visit))) => {
                outcome = Some(visit::perform(worker, x, visit).await);
            }
            // The body has been sent upstream, and the head is not to wait for nothing.
            Some(Step::Wait(_)) => return broken(worker),
        }
    }
}

fn broken(worker: &Worker) -> Filtered {
    worker.recorder.count(Counter::InvariantBroken, 1);
    Filtered::Broken
}

/// Runs the body filters over a piece, or goes on with them; none where one panicked.
pub(super) fn body_filter(
    worker: &Worker,
    x: &mut Exchange,
    chunk: &mut BodyChunk,
    outcome: Option<Outcome>,
) -> Option<Step> {
    guarded(worker, x, |x| chain::body_filter(x, chunk, outcome))
}

/// Runs the log phase and writes the record. A panic costs the later log plugins of this request, as on a real node.
pub(crate) fn log(worker: &Worker, x: &mut Exchange) {
    let mut entry = worker.recorder.open();
    if chain::has_phase(x, Phase::Log)
        && catch_unwind(AssertUnwindSafe(|| chain::log(x, &mut entry))).is_err()
    {
        worker.recorder.count(Counter::InvariantBroken, 1);
    }
    entry.record(x);
    for counting in entry.close() {
        worker.counter_links.send(worker, counting);
    }
}

pub(crate) fn guarded<T>(
    worker: &Worker,
    x: &mut Exchange,
    act: impl FnOnce(&mut Exchange) -> T,
) -> Option<T> {
    let acted = catch_unwind(AssertUnwindSafe(|| act(x)));
    if acted.is_err() {
        worker.recorder.count(Counter::InvariantBroken, 1);
    }
    acted.ok()
}
