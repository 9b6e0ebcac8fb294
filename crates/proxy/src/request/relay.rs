//! Passes a response's body on, piece by piece, through the body filters; and what is left of the request's body the
//! other way. A slow client slows its upstream, and a body that is cut is never delivered as whole.
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use twinplane_engine::chain::Step;
use twinplane_engine::exchange::{BodyChunk, Exchange};
use twinplane_engine::filter::{Effect, Outcome};

use super::Stop;
use super::leg::{Broken, Leg, Piece};
use super::phases;
use super::visit::Visiting;
use crate::client_side::{ClientFault, ClientSide};
use crate::error_page::GatewayError;
use crate::grpc;
use crate::timers::Timer;
use crate::trailers;
use crate::upstream::peers::PeerInUse;
use crate::worker::Worker;

/// A response whose head is queued.
#[derive(Debug)]
pub(super) struct Relayed {
    /// Where it comes from.
    pub(super) leg: Leg,
    /// What was held back of its body for the response phase: goes first.
    pub(super) held: Option<Bytes>,
    /// Trailers that came with what was held back.
    pub(super) trailers: Option<HeaderMap>,
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
    mut relayed: Relayed,
    timer: &Timer,
) -> Result<(), Stop> {
    let trailers = relayed.trailers.take();
    let mut relay = Relay {
        worker,
        x,
        client,
        relayed: Some(relayed),
        timer,
        is_waiting: false,
        visiting: None,
        trailers,
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
    // What goes with the end.
    trailers: Option<HeaderMap>,
}

impl<C: ClientSide> Relay<'_, C> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        // Bytes may be at hand that are no piece yet, such as half of a chunk's size: nothing waits for the other half.
        let mut is_dry = false;
        loop {
            if self.client.queued() > 0 {
                // What is at hand goes out together with what is queued; so does the end, once it is known.
                let is_urgent = self.relayed.as_ref().is_none_or(|relayed| {
                    is_dry || !relayed.leg.has_more() || self.client.queued() >= 16_384
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
                Poll::Ready(Ok(Piece::End(trailers))) => {
                    self.trailers = trailers.or(self.trailers.take());
                    if !self.end() {
                        return Poll::Ready(Err(Stop::Cut));
                    }
                }
                Poll::Ready(Err(broken)) => {
                    // The code of a reset means to a client what it meant here.
                    if let Some(reason) = broken.0 {
                        return Poll::Ready(Err(Stop::Reset(reason)));
                    }
                    if !self.end_call(&GatewayError::UpstreamInvalid) {
                        return Poll::Ready(Err(Stop::Cut));
                    }
                }
                Poll::Pending => {
                    if self.client.queued() > 0 {
                        is_dry = true;
                        continue;
                    }
                    let read_ms = relayed.read_ms;
                    if !self.is_waiting {
                        self.is_waiting = true;
                        self.timer.arm(read_ms);
                    }
                    if self.timer.poll_elapsed(context).is_ready() {
                        relayed.leg.give_up();
                        self.stop_waiting();
                        if !self.end_call(&GatewayError::UpstreamTimeout) {
                            return Poll::Ready(Err(Stop::Cut));
                        }
                        continue;
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
            && relayed.leg.is_uploading()
        {
            return match relayed.leg.poll_upload(self.client, context) {
                Poll::Ready(Err(ClientFault::Gone)) => Poll::Ready(Stop::ClientGone),
                Poll::Ready(Err(ClientFault::Request(_))) => Poll::Ready(Stop::Cut),
                _ if relayed.leg.is_blocked() => {
                    self.client.poll_gone(context).map(|()| Stop::ClientGone)
                }
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
            self.send_end();
        }
        true
    }

    fn send_end(&mut self) {
        if let Some(trailers) = self.trailers.take()
            && trailers::are_wanted(self.x)
        {
            self.client.send_trailers(trailers);
        }
        self.client.send_end();
    }

    // A call that breaks off is told its status, as long as the client can be told. False where it is no call, or where its
    // trailers would not be sent: without them a body that is cut looks whole.
    fn end_call(&mut self, error: &GatewayError) -> bool {
        if !grpc::is_answered(self.x) || !trailers::are_wanted(self.x) {
            return false;
        }
        self.relayed = None;
        self.trailers = Some(grpc::trailers(error));
        self.send_end();
        true
    }

    fn end(&mut self) -> bool {
        let Some(relayed) = self.relayed.take() else {
            return true;
        };
        relayed.leg.end(self.worker);
        if !relayed.is_filtered {
            self.send_end();
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
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece, Broken>> {
        match self.held.take().filter(|held| !held.is_empty()) {
            Some(held) => Poll::Ready(Ok(Piece::Data(held))),
            None => self.leg.poll_piece(context),
        }
    }
}
