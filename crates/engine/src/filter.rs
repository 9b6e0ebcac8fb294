//! What a plugin is to the engine: a filter with a method for each phase. A filter decides at once or waits for an
//! effect; it never blocks, and it never sees the server.
use std::sync::Arc;

use bytes::Bytes;
use twinplane_model::Id;

use crate::answer::Answer;
use crate::exchange::{BodyChunk, Exchange};
use crate::limiter::shared::{Counted, Counting, StoreFault};
use crate::visit::{Visit, Visited};

/// A step of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the route is known; plugins of global scope only.
    Rewrite,
    /// Before the upstream is asked.
    Access,
    /// The upstream's answer has come whole; no header filter has seen it.
    Response,
    /// Before the upstream of a stream is asked.
    Preread,
    /// The response head is about to go to the client.
    HeaderFilter,
    /// A piece of the response body is about to go to the client.
    BodyFilter,
    /// The upstream's answer is seen as it came, before any filter.
    Upstream,
    /// The response has gone.
    Log,
}

/// The phases a filter acts in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases(u8);

impl Phases {
    /// No phase.
    pub const NONE: Phases = Phases(0);
    /// `rewrite`
    pub const REWRITE: Phases = Phases(1);
    /// `access`
    pub const ACCESS: Phases = Phases(2);
    /// `header_filter`
    pub const HEADER_FILTER: Phases = Phases(4);
    /// `body_filter`
    pub const BODY_FILTER: Phases = Phases(8);
    /// `log`
    pub const LOG: Phases = Phases(16);
    /// `response`
    pub const RESPONSE: Phases = Phases(64);
    /// `upstream`: no phase of a real node's; comes before `header_filter` and `body_filter`.
    pub const UPSTREAM: Phases = Phases(32);
    /// `preread`
    pub const PREREAD: Phases = Phases(128);

    /// These phases and those.
    #[must_use]
    pub const fn and(self, other: Phases) -> Phases {
        Phases(self.0 | other.0)
    }

    /// Whether a phase is among them.
    pub const fn has(self, phase: Phase) -> bool {
        let bit = match phase {
            Phase::Rewrite => 1,
            Phase::Access => 2,
            Phase::HeaderFilter => 4,
            Phase::BodyFilter => 8,
            Phase::Log => 16,
            Phase::Upstream => 32,
            Phase::Response => 64,
            Phase::Preread => 128,
        };
        self.0 & bit != 0
    }
}

/// What a filter decides.
#[derive(Debug)]
pub enum Flow {
    /// The next filter's turn.
    Continue,
    /// The gateway answers now; the upstream is not asked.
    Answer(Box<Answer>),
    /// The filter goes on in [`Filter::resume`] when this has happened.
    Wait(Effect),
}

/// What a filter can wait for. Performed by the proxy.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The whole request body, which then stands in `request.buffered`.
    RequestBody {
        /// No more than this is kept.
        bytes_max: usize,
    },
    /// The upstream's whole body, which then stands in `response.buffered`; in the response phase only.
    ResponseBody {
        /// No more than this is kept.
        bytes_max: usize,
    },
    /// Some time.
    Timer {
        /// Milliseconds.
        ms: u64,
    },
    /// A plugin outside of the workers' threads.
    Visit(Arc<Visit>),
    /// A store of counters that nodes share; before the upstream is asked only.
    Count(Box<Counting>),
}

/// How an effect went.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The body is in `request.buffered`.
    RequestBody,
    /// The body is longer than was asked for; what came first stands in `request.buffered` and the rest still streams.
    RequestBodyTooLarge,
    /// The body is in `response.buffered`.
    ResponseBody,
    /// The body is longer than was asked for; `response.buffered` is empty, and the response can still go on as it comes.
    ResponseBodyTooLarge,
    /// The time is over.
    Timer,
    /// The request is back.
    Visited(Visited),
    /// What the store answered, or why it did not.
    Counted(Result<Counted, StoreFault>),
}

/// Behaviour of one configured plugin. Built once per configuration, shared by all workers.
pub trait Filter: Send + Sync {
    /// The phases this filter acts in; methods of others are not called.
    fn phases(&self) -> Phases;

    /// Before the route is known.
    fn rewrite(&self, _x: &mut Exchange) -> Flow {
        Flow::Continue
    }

    /// Before the upstream is asked.
    fn access(&self, _x: &mut Exchange) -> Flow {
        Flow::Continue
    }

    /// Before the upstream of a stream is asked; any answer closes the stream. There is nothing to wait for.
    fn preread(&self, _x: &mut Exchange) -> Flow {
        Flow::Continue
    }

    /// The upstream's answer has come. A filter that waits for its body holds the response back until it is whole.
    fn response(&self, _x: &mut Exchange) -> Flow {
        Flow::Continue
    }

    /// Goes on after an effect that this filter waited for.
    fn resume(&self, _phase: Phase, _x: &mut Exchange, _outcome: Outcome) -> Flow {
        Flow::Continue
    }

    /// The upstream's response head as it came; header filters have not yet acted.
    fn upstream_head(&self, _x: &mut Exchange) {}

    /// A piece of the upstream's body as it came, if the filter also acts in `body_filter`.
    fn upstream_body(&self, _x: &mut Exchange, _data: &Bytes, _is_last: bool) {}

    /// The response head is about to go.
    fn header_filter(&self, _x: &mut Exchange) {}

    /// A piece of the body is about to go.
    fn body_filter(&self, _x: &mut Exchange, _chunk: &mut BodyChunk) {}

    /// The same as `header_filter`, for a filter that waits or answers there.
    fn header_filter_flow(&self, x: &mut Exchange) -> Flow {
        self.header_filter(x);
        Flow::Continue
    }

    /// The same as `body_filter`, for a filter that waits there. The head has gone: an answer cuts the response.
    fn body_filter_flow(&self, x: &mut Exchange, chunk: &mut BodyChunk) -> Flow {
        self.body_filter(x, chunk);
        Flow::Continue
    }

    /// Goes on with a piece of the body after an effect that this filter waited for.
    fn resume_body(&self, _x: &mut Exchange, _chunk: &mut BodyChunk, _outcome: Outcome) -> Flow {
        Flow::Continue
    }

    /// Whether a scrape is to tell the health of targets.
    fn shows_target_health(&self) -> bool {
        false
    }

    /// The response has gone.
    fn log(&self, _x: &Exchange, _sink: &mut dyn LogSink) {}
}

/// Where the log phase puts what it makes; implemented by the proxy's recorder, one per worker.
pub trait LogSink {
    /// An entry for a log plugin's delivery, as JSON.
    fn entry(&mut self, plugin_id: &Id, plugin: &'static str, entry: Bytes);

    /// Has something counted in a store that nodes share; nobody waits for it.
    fn count_shared(&mut self, counting: Counting);

    /// Adds to a counter of the scrape.
    fn count(&mut self, name: &'static str, labels: &[(&'static str, &str)], by: u64);

    /// Adds an observation to a histogram of the scrape; `buckets` are its upper bounds, rising.
    fn observe(
        &mut self,
        name: &'static str,
        labels: &[(&'static str, &str)],
        value: f64,
        buckets: &'static [f64],
    );
}
