//! Passes a response's body on, piece by piece, through the body filters; and what is left of the request's body the
//! other way. A slow client slows its upstream, and a body that is cut is never delivered as whole.
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use twinplane_engine::chain::Step;
use twinplane_engine::exchange::{BodyChunk, Exchange};
use twinplane_engine::filter::{Effect, Outcome};

use super::Stop;
use super::asking::{Upload, poll_upload};
use super::phases;
use super::visit::Visiting;
use crate::client_side::{ClientFault, ClientSide};
use crate::h1::body::IncomingBody;
use crate::h1::chunked::Decoded;
use crate::timers::Timer;
use crate::upstream::connection::UpstreamConnection;
use crate::upstream::peers::PeerInUse;
use crate::worker::Worker;

/// A response whose head is queued.
#[derive(Debug)]
pub(super) struct Relayed {
    /// The connection it comes over.
    pub(super) connection: Box<UpstreamConnection>,
    /// What is left of its body.
    pub(super) body: IncomingBody,
    /// What was held back of it for the response phase: goes first.
    pub(super) held: Option<Bytes>,
    /// What is left of the request's body.
    pub(super) upload: Upload,
    /// Whether the connection may serve another request afterwards.
    pub(super) is_reusable: bool,
    /// Whether pieces go through body filters.
    pub(super) is_filtered: bool,
    /// The peer, busy until the end.
    pub(super) _peer: Option<PeerInUse>,
    /// Silence of the upstream that ends the response.
    pub(super) read_ms: u64,
}

/// Passes the body on, to its end or to a cut.
pub(super) async fn run<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    relayed: Relayed,
    timer: &Timer,
) -> Result<(), Stop> {
    let mut relay = Relay {
        worker,
        x,
        client,
        relayed: Some(relayed),
        timer,
        is_waiting: false,
        visiting: None,
    };
    let ended = poll_fn(|context| relay.poll(context)).await;
    timer.disarm();
    if let Some((_, visiting)) = relay.visiting.take() {
        visiting.give_up(relay.x);
    }
    ended
}

struct Relay<'a, C> {
    worker: &'a Rc<Worker>,
    x: &'a mut Exchange,
    client: &'a mut C,
    // None once the body has ended and the connection has gone back to its pool.
    relayed: Option<Relayed>,
    timer: &'a Timer,
    is_waiting: bool,
    // A piece that is at a plugin.
    visiting: Option<(BodyChunk, Visiting)>,
}

/// What has come of a response's body.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes.
    Data(Bytes),
    /// The end.
    End,
}

impl<C: ClientSide> Relay<'_, C> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        loop {
            if self.client.queued() > 0 {
                // What is at hand goes out together with what is queued.
                let is_urgent = self.relayed.as_ref().is_none_or(|relayed| {
                    relayed.connection.buffer.is_empty() || self.client.queued() >= 16_384
                });
                if is_urgent {
                    match self.client.poll_flush(context) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(ClientFault::Gone)) => {
                            return Poll::Ready(Err(Stop::ClientGone));
                        }
                        Poll::Ready(Err(ClientFault::Request(_))) => {
                            return Poll::Ready(Err(Stop::Cut));
                        }
                        Poll::Pending => {
                            // The upstream waits for the client: its silence is ours.
                            self.stop_waiting();
                            return self.poll_upload(context).map(Err);
                        }
                    }
                }
            }
            if let Some((chunk, mut visiting)) = self.visiting.take() {
                let Poll::Ready(outcome) = visiting.poll(self.worker, self.x, context) else {
                    self.visiting = Some((chunk, visiting));
                    return self.poll_upload(context).map(Err);
                };
                if !self.filter(chunk, Some(outcome)) {
                    return Poll::Ready(Err(Stop::Cut));
                }
                continue;
            }
            let Some(relayed) = &mut self.relayed else {
                return Poll::Ready(Ok(()));
            };
            match relayed.poll_piece(context) {
                Poll::Ready(Ok(Piece::Data(data))) => {
                    self.stop_waiting();
                    if !self.pass(data) {
                        return Poll::Ready(Err(Stop::Cut));
                    }
                }
                Poll::Ready(Ok(Piece::End)) => {
                    if !self.end() {
                        return Poll::Ready(Err(Stop::Cut));
                    }
                }
                Poll::Ready(Err(())) => return Poll::Ready(Err(Stop::Cut)),
                Poll::Pending => {
                    if self.client.queued() > 0 {
                        continue;
                    }
                    let read_ms = relayed.read_ms;
                    if !self.is_waiting {
                        self.is_waiting = true;
                        self.timer.arm(read_ms);
                    }
                    if self.timer.poll_elapsed(context).is_ready() {
                        return Poll::Ready(Err(Stop::Cut));
                    }
                    return self.poll_upload(context).map(Err);
                }
            }
        }
    }

    fn stop_waiting(&mut self) {
        if self.is_waiting {
            self.is_waiting = false;
            self.timer.disarm();
        }
    }

    // Ready only with a reason to stop.
    fn poll_upload(&mut self, context: &mut Context<'_>) -> Poll<Stop> {
        if let Some(relayed) = &mut self.relayed
            && relayed.upload != Upload::Done
        {
            return match poll_upload(
                self.client,
                &mut relayed.connection,
                &mut relayed.upload,
                context,
            ) {
                Poll::Ready(Err(ClientFault::Gone)) => Poll::Ready(Stop::ClientGone),
                Poll::Ready(Err(ClientFault::Request(_))) => Poll::Ready(Stop::Cut),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            };
        }
        if self.client.is_body_ended() {
            return self.client.poll_gone(context).map(|()| Stop::ClientGone);
        }
        Poll::Pending
    }

    fn pass(&mut self, data: Bytes) -> bool {
        if self.x.response.is_body_dropped {
            return true;
        }
        if !self
            .relayed
            .as_ref()
            .is_some_and(|relayed| relayed.is_filtered)
        {
            self.client.send_data(data);
            return true;
        }
        let chunk = BodyChunk {
            data,
            is_last: false,
        };
        self.filter(chunk, None)
    }

    fn filter(&mut self, mut chunk: BodyChunk, outcome: Option<Outcome>) -> bool {
        self.worker.touch(self.x);
        match phases::body_filter(self.worker, self.x, &mut chunk, outcome) {
            Some(Step::Done) => {}
            Some(Step::Wait(Effect::Visit(visit))) => {
                let visiting = Visiting::begin(self.worker, self.x, visit);
                self.visiting = Some((chunk, visiting));
                return true;
            }
            Some(Step::Wait(_) | Step::Answered(_)) | None => return false,
        }
        if !chunk.data.is_empty() {
            self.client.send_data(chunk.data);
        }
        if chunk.is_last {
            self.client.send_end();
        }
        true
    }

    fn end(&mut self) -> bool {
        let Some(relayed) = self.relayed.take() else {
            return true;
        };
        let Relayed {
            connection,
            upload,
            is_reusable,
            is_filtered,
            ..
        } = relayed;
        if is_reusable && upload == Upload::Done && connection.output.pending() == 0 {
            self.worker.pool.put(connection, self.worker.recent_ms());
        }
        if !is_filtered {
            self.client.send_end();
            return true;
        }
        let chunk = BodyChunk {
            data: Bytes::new(),
            is_last: true,
        };
        self.filter(chunk, None)
    }
}

impl Relayed {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece, ()>> {
        match self.held.take().filter(|held| !held.is_empty()) {
            Some(held) => Poll::Ready(Ok(Piece::Data(held))),
            None => poll_piece(&mut self.connection, &mut self.body, context),
        }
    }
}

/// The next piece of a response's body, or its end; an error where it is cut.
pub(super) fn poll_piece(
    connection: &mut UpstreamConnection,
    body: &mut IncomingBody,
    context: &mut Context<'_>,
) -> Poll<Result<Piece, ()>> {
    loop {
        match body.take(&mut connection.buffer) {
            Ok(Decoded::Data(data)) => return Poll::Ready(Ok(Piece::Data(data))),
            Ok(Decoded::End) => return Poll::Ready(Ok(Piece::End)),
            Ok(Decoded::More) => {}
            Err(_) => return Poll::Ready(Err(())),
        }
        match connection.poll_fill(context) {
            Poll::Ready(Ok(0)) if matches!(body, IncomingBody::Close) => {
                return Poll::Ready(Ok(Piece::End));
            }
            Poll::Ready(Ok(1..)) => {}
            Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(())),
            Poll::Pending => return Poll::Pending,
        }
    }
}
