//! Sends a request to a plugin outside of the workers' threads and waits for its verdict, as long as the plugin has.
//! The worker goes on with other requests meanwhile.
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{LogSink, Outcome, Phase};
use twinplane_engine::visit::{Verdict, Visit};

use crate::timers::Timer;
use crate::worker::Worker;

const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// A visit that has begun. Dropped before its end, it is given up: the request is no more.
#[derive(Debug)]
pub(super) struct Visiting {
    visit: Arc<Visit>,
    timer: Timer,
    began_us: u64,
    is_let_in: bool,
}

impl Visiting {
    /// Asks the host to let the request in.
    pub(super) fn begin(worker: &Worker, x: &Exchange, visit: Arc<Visit>) -> Self {
        let is_let_in = x.node.host.as_ref().is_some_and(|host| host.enter(&visit));
        let timer = worker.timers.timer();
        timer.arm(visit.guest.timeout_ms);
        Self {
            visit,
            timer,
            began_us: worker.now_us(),
            is_let_in,
        }
    }

    /// Ready once the request is back.
    pub(super) fn poll(
        &mut self,
        worker: &Worker,
        x: &mut Exchange,
        context: &mut Context<'_>,
    ) -> Poll<Outcome> {
        let otherwise = if !self.is_let_in {
            Verdict::Refused
        } else if self.visit.poll_verdict(context).is_ready()
            || self.timer.poll_elapsed(context).is_ready()
        {
            Verdict::Late
        } else {
            return Poll::Pending;
        };
        let visited = self.visit.end(x, otherwise);
        self.tell(worker, &visited.verdict);
        worker.touch(x);
        Poll::Ready(Outcome::Visited(visited))
    }

    /// Ends it before its time: the exchange is whole again.
    pub(super) fn give_up(self, x: &mut Exchange) {
        self.visit.end(x, Verdict::Late);
    }

    fn tell(&self, worker: &Worker, verdict: &Verdict) {
        let result = match verdict {
            Verdict::Continue => "continued",
            Verdict::Answer(_) => "answered",
            Verdict::Failed => "failed",
            Verdict::Late => "late",
            Verdict::Refused => "refused",
        };
        let phase = match self.visit.phase {
            Phase::Rewrite => "rewrite",
            Phase::Access => "access",
            Phase::HeaderFilter => "header_filter",
            Phase::BodyFilter => "body_filter",
            Phase::Log => "log",
            Phase::Response => "response",
            Phase::Upstream => "upstream",
            Phase::Preread => "preread",
        };
        let mut entry = worker.recorder.open();
        let plugin = self.visit.plugin;
        entry.count(
            "twinplane_python_plugin_calls_total",
            &[("plugin", plugin), ("phase", phase), ("result", result)],
            1,
        );
        #[expect(
            clippy::cast_precision_loss,
            reason = "a visit lasts far less than 2^52 microseconds"
        )]
        let took_s = worker.now_us().saturating_sub(self.began_us) as f64 / 1e6;
        entry.observe(
            "twinplane_python_plugin_seconds",
            &[("plugin", plugin), ("phase", phase)],
            took_s,
            SECONDS,
        );
    }
}

impl Drop for Visiting {
    fn drop(&mut self) {
        self.visit.abandon();
    }
}

/// A visit from its beginning to its end.
pub(super) async fn perform(worker: &Worker, x: &mut Exchange, visit: Arc<Visit>) -> Outcome {
    let mut visiting = pin!(Visiting::begin(worker, x, visit));
    poll_fn(|context| visiting.poll(worker, x, context)).await
}
