//! The filter of a plugin in Python, which lives outside of the workers' threads: in each phase that the plugin has, the request
//! visits it, and the verdict is turned into what the chain understands.
use std::sync::Arc;

use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::{BodyChunk, Exchange};
use twinplane_engine::filter::{Effect, Filter, Flow, LogSink, Outcome, Phase, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError};
use twinplane_engine::visit::{Guest, OnFailure, Verdict, Visit, Visited};

use crate::log_entry;

/// Builds the filter of a plugin that the node's host keeps.
pub(crate) fn build(
    _config: &RawValue,
    context: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let Some(host) = &context.node.host else {
        return Err(BuildError::Unavailable(
            "this process runs no plugins in Python".to_owned(),
        ));
    };
    let guest = host.build(context.plugin)?;
    Ok(Arc::new(GuestFilter { guest }))
}

struct GuestFilter {
    guest: Guest,
}

impl GuestFilter {
    fn visit(&self, x: &mut Exchange, phase: Phase) -> Flow {
        Flow::Wait(Effect::Visit(Visit::begin(x, phase, &self.guest)))
    }

    fn access_or_read(&self, x: &mut Exchange, phase: Phase) -> Flow {
        match self.guest.body_bytes_max {
            Some(bytes_max) if !x.request.is_buffered_whole => {
                Flow::Wait(Effect::RequestBody { bytes_max })
            }
            _ => self.visit(x, phase),
        }
    }

    fn judged(&self, verdict: Verdict) -> Flow {
        let refusal = match verdict {
            Verdict::Continue => return Flow::Continue,
            Verdict::Answer(answer) => return Flow::Answer(answer),
            Verdict::Failed | Verdict::Late => Answer::unexpected(),
            Verdict::Refused => Answer::error(503, "The gateway is overloaded"),
        };
        self.failed(refusal)
    }

    fn too_large(&self) -> Flow {
        let refusal = "The upstream's response is too large to be held back";
        self.failed(Answer::error(502, refusal))
    }

    fn failed(&self, refusal: Box<Answer>) -> Flow {
        match self.guest.on_failure {
            OnFailure::Refuse => Flow::Answer(refusal),
            OnFailure::Pass => Flow::Continue,
        }
    }
}

impl Filter for GuestFilter {
    fn phases(&self) -> Phases {
        let phases = self.guest.phases;
        if phases.has(Phase::BodyFilter) {
            // The head says that the length is not known.
            phases.and(Phases::HEADER_FILTER)
        } else {
            phases
        }
    }

    fn rewrite(&self, x: &mut Exchange) -> Flow {
        self.visit(x, Phase::Rewrite)
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        self.access_or_read(x, Phase::Access)
    }

    fn resume(&self, phase: Phase, x: &mut Exchange, outcome: Outcome) -> Flow {
        match outcome {
            Outcome::Visited(visited) => self.judged(visited.verdict),
            Outcome::ResponseBodyTooLarge => self.too_large(),
            _ => self.visit(x, phase),
        }
    }

    fn response(&self, x: &mut Exchange) -> Flow {
        let bytes_max = self.guest.response_bytes_max;
        match &x.response.buffered {
            None => Flow::Wait(Effect::ResponseBody { bytes_max }),
            // Held back for a plugin that allows more.
            Some(body) if body.len() > bytes_max => self.too_large(),
            Some(_) => self.visit(x, Phase::Response),
        }
    }

    fn header_filter_flow(&self, x: &mut Exchange) -> Flow {
        x.response.is_body_changed |= self.guest.phases.has(Phase::BodyFilter);
        if self.guest.phases.has(Phase::HeaderFilter) {
            self.visit(x, Phase::HeaderFilter)
        } else {
            Flow::Continue
        }
    }

    fn body_filter_flow(&self, x: &mut Exchange, chunk: &mut BodyChunk) -> Flow {
        let visit = Visit::begin(x, Phase::BodyFilter, &self.guest);
        visit.put_chunk(chunk.clone());
        Flow::Wait(Effect::Visit(visit))
    }

    fn resume_body(&self, _x: &mut Exchange, chunk: &mut BodyChunk, outcome: Outcome) -> Flow {
        let Outcome::Visited(Visited {
            verdict,
            chunk: returned,
        }) = outcome
        else {
            return Flow::Continue;
        };
        if let Some(returned) = returned {
            *chunk = returned;
        }
        self.judged(verdict)
    }

    fn log(&self, x: &Exchange, _sink: &mut dyn LogSink) {
        let Some(host) = &x.node.host else { return };
        let mut entry = Vec::with_capacity(1024);
        log_entry::write(x, &mut entry);
        host.log(&self.guest, entry);
    }
}
