//! What every plugin that decides who may pass asks first: whether the path says the same to all servers behind it.
use crate::answer::Answer;
use crate::exchange::Exchange;
use crate::filter::Flow;
use crate::path;

/// Refuses a path that an upstream may read otherwise than this node did, unless the node is told to let such paths pass.
pub fn refusal(x: &Exchange) -> Option<Flow> {
    let is_refused =
        !x.node.allows_ambiguous_paths && path::is_ambiguous(x.request.path.as_bytes());
    is_refused.then(|| Flow::Answer(Answer::error(400, "Bad request")))
}
