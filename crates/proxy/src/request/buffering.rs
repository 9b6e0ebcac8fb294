//! Holds an upstream's response back for the response phase, within what the filter that asks for it allows. What is longer
//! goes on as it comes, if the filter lets it.
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use twinplane_engine::chain::Step;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Effect, LogSink, Outcome};

use super::Stop;
use super::leg::{Leg, Piece};
use super::phases;
use super::visit;
use crate::client_side::ClientSide;
use crate::error_page::GatewayError;
use crate::h1::framing::ResponseFraming;
use crate::recorder::Counter;
use crate::timers::Timer;
use crate::worker::Worker;

/// Where a response's body comes from.
pub(super) struct Incoming<'a> {
    /// The upstream's side.
    pub(super) leg: &'a mut Leg,
    /// Silence of the upstream that ends the response.
    pub(super) read_ms: u64,
}

/// What was held back of a body.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The bytes, from the first, as filters have left them.
    pub(super) bytes: Bytes,
    /// What came behind them.
    pub(super) trailers: Option<HeaderMap>,
    /// Whether nothing follows them.
    is_whole: bool,
}

impl Held {
    /// How the body is framed now: what was held back whole has a length, whatever it came in.
    pub(super) fn framing(&self, came: ResponseFraming) -> ResponseFraming {
        match came {
            _ if !self.is_whole => came,
            ResponseFraming::None { length } => ResponseFraming::None {
                length: length.filter(|_| self.bytes.is_empty()),
            },
            _ => ResponseFraming::Length(self.bytes.len() as u64),
        }
    }
}

// What has come once the wait is over.
enum Collected {
    // All, no longer than was asked for, with the trailers.
    Whole(Option<HeaderMap>),
    // More than that.
    Longer,
}

/// Runs the response phase.
pub(super) async fn response<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    mut from: Incoming<'_>,
) -> Result<Held, Stop> {
    let timer = worker.timers.timer();
    let (mut came, mut trailers) = (BytesMut::new(), None);
    let mut outcome = None;
    loop {
        match phases::response(worker, x, outcome.take()) {
            None => {
                x.response.headers.clear();
                return Err(GatewayError::Unexpected.into());
            }
            Some(Step::Done) => break,
            Some(Step::Answered(answer)) => {
                x.response.headers.clear();
                return Err(Stop::Answer(answer));
            }
            Some(Step::Wait(Effect::Visit(visit))) => {
                outcome = Some(visit::perform(worker, x, visit).await);
            }
            Some(Step::Wait(Effect::ResponseBody { bytes_max })) => {
                let most = worker.settings().start.limits.buffered_response_bytes_max;
                let bytes_max = bytes_max.min(most);
                let whole = from.collect(client, &timer, &mut came, bytes_max).await;
                let whole = whole.inspect_err(|_| x.response.headers.clear())?;
                outcome = Some(if let Collected::Whole(fields) = whole {
                    trailers = fields.or(trailers.take());
                    x.response.buffered = Some(std::mem::take(&mut came).freeze());
                    Outcome::ResponseBody
                } else {
                    let mut entry = worker.recorder.open();
                    let plugin = x.snapshot.plugins[x.chain.current() as usize].name;
                    let name = "twinplane_response_buffer_overruns_total";
                    entry.count(name, &[("plugin", plugin)], 1);
                    Outcome::ResponseBodyTooLarge
                });
            }
            Some(Step::Wait(_)) => {
                worker.recorder.count(Counter::InvariantBroken, 1);
                x.response.headers.clear();
                return Err(GatewayError::Unexpected.into());
            }
        }
        worker.touch(x);
    }
    let whole = x.response.buffered.take();
    Ok(Held {
        trailers,
        is_whole: whole.is_some(),
        bytes: whole.unwrap_or_else(|| came.freeze()),
    })
}

impl Incoming<'_> {
    async fn collect<C: ClientSide>(
        &mut self,
        client: &mut C,
        timer: &Timer,
        came: &mut BytesMut,
        bytes_max: usize,
    ) -> Result<Collected, Stop> {
        timer.arm(self.read_ms);
        let collected =
            poll_fn(|context| self.poll_collect(client, timer, came, bytes_max, context)).await;
        timer.disarm();
        collected
    }

    fn poll_collect<C: ClientSide>(
        &mut self,
        client: &mut C,
        timer: &Timer,
        came: &mut BytesMut,
        bytes_max: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<Collected, Stop>> {
        while came.len() <= bytes_max {
            match self.leg.poll_piece(context) {
                Poll::Ready(Ok(Piece::Data(data))) => {
                    came.extend_from_slice(&data);
                    timer.arm(self.read_ms);
                }
                Poll::Ready(Ok(Piece::End(trailers))) => {
                    return Poll::Ready(Ok(Collected::Whole(trailers)));
                }
                Poll::Ready(Err(_)) => {
                    return Poll::Ready(Err(GatewayError::UpstreamInvalid.into()));
                }
                Poll::Pending if timer.poll_elapsed(context).is_ready() => {
                    return Poll::Ready(Err(GatewayError::UpstreamTimeout.into()));
                }
                Poll::Pending => return self.poll_client(client, context).map(Err),
            }
        }
        Poll::Ready(Ok(Collected::Longer))
    }

    // Ready only with a reason to stop.
    fn poll_client<C: ClientSide>(
        &mut self,
        client: &mut C,
        context: &mut Context<'_>,
    ) -> Poll<Stop> {
        if self.leg.is_uploading()
            && let Poll::Ready(Err(fault)) = self.leg.poll_upload(client, context)
        {
            return Poll::Ready(fault.into());
        }
        if client.queued() > 0
            && let Poll::Ready(Err(fault)) = client.poll_flush(context)
        {
            return Poll::Ready(fault.into());
        }
        if client.is_body_ended() {
            return client.poll_gone(context).map(|()| Stop::ClientGone);
        }
        Poll::Pending
    }
}
