//! What of a response was read ahead of a client that is slow, so that its upstream is done with it early. Bounded for each
//! response and for the node; where there is no room for more, the upstream waits for the client. Nothing is delayed: it
//! begins when a client does not take what it was sent.
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderMap;
use twinplane_engine::ascii::same_name;
use twinplane_engine::exchange::Exchange;

use super::leg::{Broken, Piece};
use crate::recorder::Counter;
use crate::upstream::connection::STREAM_BYTES;
use crate::worker::Worker;

/// What a piece costs beside its bytes.
const PIECE_BYTES: usize = 64;

/// What came of a response's body, and how it ended.
#[derive(Debug)]
pub(super) enum Came {
    /// Bytes.
    Data(Bytes),
    /// Its end, with the trailers that pass.
    End(Option<HeaderMap>),
    /// The rest will not come.
    Broken(Broken),
    /// The upstream said nothing for too long.
    Silent,
}

impl From<Result<Piece, Broken>> for Came {
    fn from(piece: Result<Piece, Broken>) -> Self {
        match piece {
            Ok(Piece::Data(data)) => Self::Data(data),
            Ok(Piece::End(trailers)) => Self::End(trailers),
            Err(broken) => Self::Broken(broken),
        }
    }
}

/// A response's pieces that came before their client had room for them.
pub(super) struct Ahead<'a> {
    worker: &'a Worker,
    waiting: VecDeque<Came>,
    bytes: usize,
    // Asked for when a client is first found to be slow: most never are.
    bytes_max: Option<usize>,
    is_refused: bool,
}

impl<'a> Ahead<'a> {
    /// Of a response that begins.
    pub(super) fn new(worker: &'a Worker) -> Self {
        Self {
            worker,
            waiting: VecDeque::new(),
            bytes: 0,
            bytes_max: None,
            is_refused: false,
        }
    }

    /// Whether a piece waits for the client, or the end of a body that is whole: what is cut goes out before the cut.
    pub(super) fn has_more(&self) -> bool {
        matches!(self.waiting.front(), Some(Came::Data(_) | Came::End(_)))
    }

    /// Whether another read may be kept.
    pub(super) fn has_room(&mut self, x: &Exchange, asked: Option<bool>) -> bool {
        let worker = self.worker;
        let most = *self
            .bytes_max
            .get_or_insert_with(|| bytes_max(worker, x, asked));
        if self.bytes + STREAM_BYTES > most {
            return false;
        }
        let all = worker.node.bytes_ahead.load(Ordering::Relaxed);
        let all_max = worker.settings().start.limits.responses_ahead_bytes_max;
        let is_free = all + STREAM_BYTES <= all_max;
        if !is_free && !self.is_refused {
            self.is_refused = true;
            worker.recorder.count(Counter::ResponsesNotAhead, 1);
        }
        is_free
    }

    /// Keeps what came.
    pub(super) fn push(&mut self, came: Came) {
        let cost = cost(&came);
        self.bytes += cost;
        self.worker
            .node
            .bytes_ahead
            .fetch_add(cost, Ordering::Relaxed);
        self.waiting.push_back(came);
    }

    /// What came first.
    pub(super) fn pop(&mut self) -> Option<Came> {
        let came = self.waiting.pop_front()?;
        self.release(cost(&came));
        Some(came)
    }

    fn release(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.worker
            .node
            .bytes_ahead
            .fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        if self.bytes != 0 {
            self.release(self.bytes);
        }
    }
}

fn cost(came: &Came) -> usize {
    match came {
        Came::Data(data) => PIECE_BYTES + data.len(),
        Came::End(_) | Came::Broken(_) | Came::Silent => PIECE_BYTES,
    }
}

// How much of this response may be kept; `asked` is the upstream's own word, which counts more than the route's, as on a
// real node. Events are made to be seen as they come: a source that hears nothing of a slow reader would only fill memory.
fn bytes_max(worker: &Worker, x: &Exchange, asked: Option<bool>) -> usize {
    let is_set = x
        .route()
        .is_some_and(|route| route.model.response_buffering);
    if !asked.unwrap_or(is_set) || is_of_events(x) {
        return 0;
    }
    worker.settings().start.limits.response_ahead_bytes_max
}

fn is_of_events(x: &Exchange) -> bool {
    let content_type = x.response.headers.get("content-type").unwrap_or_default();
    let essence = content_type.split(|byte| *byte == b';').next();
    essence.is_some_and(|essence| same_name(essence.trim_ascii(), b"text/event-stream"))
}
