//! request-size-limiting: refuses requests with large bodies, by the length they tell, else by counting what comes. Nothing
//! is held for it.
use std::sync::Arc;

use serde_json::value::RawValue;
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::{BodyLimit, Exchange, Framing};
use twinplane_engine::filter::{Filter, Flow, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError};

use super::config::Config;

struct RequestSizeLimiting {
    bytes_max: u64,
    needs_length: bool,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let Some(size) = config.allowed_payload_size else {
        return Err(BuildError::Invalid(
            "config.allowed_payload_size: required".to_owned(),
        ));
    };
    let unit = match &*config.size_unit {
        "megabytes" => 1_048_576,
        "kilobytes" => 1_024,
        _ => 1,
    };
    // Less than nothing lets no body through.
    let size = u64::try_from(size).unwrap_or(0);
    Ok(Arc::new(RequestSizeLimiting {
        bytes_max: size.saturating_mul(unit),
        needs_length: config.require_content_length,
    }))
}

// Whoever asked first is told that the expectation fails, whoever sent at once that it was too much.
fn refusal(x: &Exchange) -> Box<Answer> {
    let status = if x.request.expects_continue { 417 } else { 413 };
    Answer::error(status, "Request size limit exceeded")
}

impl RequestSizeLimiting {
    fn is_exceeded(&self, x: &Exchange) -> bool {
        let held = x
            .request
            .buffered
            .as_ref()
            .map_or(0, |body| body.len() as u64);
        let told = match x.request.body {
            Framing::Length(length) => length,
            Framing::None | Framing::Chunked => 0,
        };
        held.max(told) > self.bytes_max
    }
}

impl Filter for RequestSizeLimiting {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access(&self, x: &mut Exchange) -> Flow {
        if self.is_exceeded(x) {
            return Flow::Answer(refusal(x));
        }
        let has_length = x.request.headers.contains("Content-Length");
        match x.request.body {
            Framing::Chunked => {
                let limit = BodyLimit {
                    bytes: self.bytes_max,
                    refusal: refusal(x),
                };
                x.request.body_limit = Some(limit);
            }
            Framing::None if self.needs_length && !has_length => {
                let message = "A valid Content-Length header is required";
                return Flow::Answer(Answer::error(411, message));
            }
            Framing::None | Framing::Length(_) => {}
        }
        Flow::Continue
    }
}
