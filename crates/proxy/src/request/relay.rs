//! Passes a response's body on, piece by piece, through the body filters; and what is left of the request's body the
//! other way. A client that is slower than what may be read ahead slows its upstream, and a body that is cut is never
//! delivered as whole.
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use twinplane_engine::chain::Step;
use twinplane_engine::exchange::{BodyChunk, Exchange};
use twinplane_engine::filter::{Effect, Outcome};

use super::Stop;
use super::ahead::{Ahead, Came};
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

// So much goes out at once, whatever follows.
const GATHERED_BYTES: usize = 16_384;

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
    /// Whether the upstream itself asks for it to be read ahead of a slow client, or not to be.
    pub(super) is_ahead_asked: Option<bool>,
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
        is_filtered: relayed.is_filtered,
        relayed: Some(relayed),
        ahead: Ahead::new(worker),
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
    is_filtered: bool,
    // What came before the client had room for it.
    ahead: Ahead<'a>,
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
            // What is at hand goes out together with what is queued; so does the end, once it is known.
            let queued = self.client.queued();
            if queued > 0 && (is_dry || queued >= GATHERED_BYTES || !self.has_more()) {
                match self.client.poll_flush(context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(ClientFault::Gone)) => {
                        return Poll::Ready(Err(Stop::ClientGone));
                    }
                    Poll::Ready(Err(ClientFault::Request(_))) => {
                        return Poll::Ready(Err(Stop::Cut));
                    }
                    Poll::Pending => return self.poll_ahead(context).map(Err),
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
            let came = if let Some(came) = self.ahead.pop() {
                came
            } else if let Some(relayed) = &mut self.relayed {
                match relayed.poll_piece(context) {
                    Poll::Ready(piece) => self.received(piece),
                    Poll::Pending if self.client.queued() > 0 => {
                        is_dry = true;
                        continue;
                    }
                    Poll::Pending => match self.poll_silence(context) {
                        Poll::Ready(silent) => silent,
                        Poll::Pending => return self.poll_upload(context).map(Err),
                    },
                }
            } else {
                return Poll::Ready(Ok(()));
            };
            if let Err(stop) = self.take(came) {
                return Poll::Ready(Err(stop));
            }
        }
    }

    // Whether a piece, or the end, is at hand without a further read.
    fn has_more(&self) -> bool {
        self.ahead.has_more() || self.relayed.as_ref().is_some_and(|of| of.leg.has_more())
    }

    // The client takes nothing for now: its upstream may go on as far as there is room.
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<Stop> {
        while let Some(relayed) = &mut self.relayed {
            // An upstream that still takes the request would be let go of with the end of its answer.
            let may_end = !relayed.leg.is_uploading();
            let is_kept = may_end
                && (relayed.leg.is_ended() || self.ahead.has_room(self.x, relayed.is_ahead_asked));
            if !is_kept {
                // The upstream waits for the client: its silence is ours.
                self.stop_waiting();
                break;
            }
            let came = match relayed.poll_piece(context) {
                Poll::Ready(piece) => self.received(piece),
                Poll::Pending => match self.poll_silence(context) {
                    Poll::Ready(silent) => silent,
                    Poll::Pending => break,
                },
            };
            self.ahead.push(came);
        }
        self.poll_upload(context)
    }

    // The upstream's side, free as soon as all has come.
    fn received(&mut self, piece: Result<Piece, Broken>) -> Came {
        self.stop_waiting();
        match &piece {
            Ok(Piece::Data(_)) => {}
            Ok(Piece::End(_)) => {
                if let Some(relayed) = self.relayed.take() {
                    relayed.leg.end(self.worker);
                }
            }
            Err(_) => self.relayed = None,
        }
        piece.into()
    }

    // Times a wait for the upstream. Ready once it has been silent for too long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Came> {
        let Some(relayed) = &self.relayed else {
            return Poll::Pending;
        };
        if !self.is_waiting {
            self.is_waiting = true;
            self.timer.arm(relayed.read_ms);
        }
        ready!(self.timer.poll_elapsed(context));
        relayed.leg.give_up();
        self.relayed = None;
        self.stop_waiting();
        Poll::Ready(Came::Silent)
    }

    // Passes on what came next.
    fn take(&mut self, came: Came) -> Result<(), Stop> {
        let is_passed = match came {
            Came::Data(data) => self.pass(data),
            Came::End(trailers) => {
                self.trailers = trailers.or(self.trailers.take());
                self.end()
            }
            // The code of a reset means to a client what it meant here.
            Came::Broken(Broken(Some(reason))) => return Err(Stop::Reset(reason)),
            Came::Broken(Broken(None)) => self.end_call(&GatewayError::UpstreamInvalid),
            Came::Silent => self.end_call(&GatewayError::UpstreamTimeout),
        };
        if is_passed { Ok(()) } else { Err(Stop::Cut) }
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
        if !self.is_filtered {
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
        self.trailers = Some(grpc::trailers(error));
        self.send_end();
        true
    }

    fn end(&mut self) -> bool {
        if !self.is_filtered {
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
