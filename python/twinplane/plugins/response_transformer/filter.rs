//! response-transformer: changes headers and the members of a JSON body on their way to the client. A body is held back
//! only where it is JSON and something is to be done to it; all others stream as they come.
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;
use twinplane_engine::exchange::{BodyChunk, Exchange};
use twinplane_engine::filter::{Filter, LogSink, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError};

use super::config::Config;
use super::header_changes::HeaderChanges;
use super::json_changes::JsonChanges;

struct ResponseTransformer {
    headers: HeaderChanges,
    json: JsonChanges,
}

/// What came of a body that is to be changed.
#[derive(Default)]
struct Held {
    body: BytesMut,
    // It is longer than what is looked into: it passes as it is.
    is_too_long: bool,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    Ok(Arc::new(ResponseTransformer {
        headers: HeaderChanges::compile(&config)?,
        json: JsonChanges::compile(&config),
    }))
}

impl Filter for ResponseTransformer {
    fn phases(&self) -> Phases {
        if self.json.is_empty() {
            Phases::HEADER_FILTER
        } else {
            Phases::HEADER_FILTER
                .and(Phases::BODY_FILTER)
                .and(Phases::LOG)
        }
    }

    fn header_filter(&self, x: &mut Exchange) {
        let is_bodiless = matches!(x.response.status, 100..=199 | 204 | 304);
        let content_type = x.response.headers.get("Content-Type");
        let holds = !self.json.is_empty() && !is_bodiless && content_type.is_some_and(is_json);
        self.headers.apply(&mut x.response.headers);
        if holds {
            x.response.is_body_changed = true;
            x.keep(Held::default());
        }
    }

    fn body_filter(&self, x: &mut Exchange, chunk: &mut BodyChunk) {
        let bytes_max = x.node.changed_body_bytes_max;
        let Some(held) = x.kept_mut::<Held>().filter(|held| !held.is_too_long) else {
            return;
        };
        if held.body.len() + chunk.data.len() > bytes_max {
            held.is_too_long = true;
            let mut body = std::mem::take(&mut held.body);
            body.extend_from_slice(&chunk.data);
            chunk.data = body.freeze();
            return;
        }
        held.body.extend_from_slice(&chunk.data);
        chunk.data = Bytes::new();
        if chunk.is_last {
            let body = std::mem::take(&mut held.body).freeze();
            chunk.data = self.json.apply(&body).map_or(body, Bytes::from);
        }
    }

    fn log(&self, x: &Exchange, sink: &mut dyn LogSink) {
        if x.kept::<Held>().is_some_and(|held| held.is_too_long) {
            sink.count("twinplane_response_bodies_unchanged_total", &[], 1);
        }
    }
}

// `application/json` and `application/*+json`, with or without parameters.
fn is_json(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|byte| *byte == b';').next();
    let media_type = media_type
        .unwrap_or_default()
        .trim_ascii()
        .to_ascii_lowercase();
    media_type
        .strip_prefix(b"application/")
        .is_some_and(|kind| kind == b"json" || kind.ends_with(b"+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_by_its_media_type() {
        for (content_type, wanted) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("text/plain", false),
            ("application/json-seq", false),
        ] {
            assert_eq!(is_json(content_type.as_bytes()), wanted, "{content_type}");
        }
    }
}
