//! One HTTP/2 stream as the walk of a request sees its client. A slow client slows its upstream: nothing is queued beyond
//! what flow control lets go.
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream, SendStream};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE, HeaderMap, HeaderValue};
use twinplane_engine::exchange::{Exchange, Source};
use twinplane_engine::headers::Headers;

use crate::client_side::{ByteCounts, ClientFault, ClientSide, ResponseBody};
use crate::h1::fault::RequestFault;
use crate::h2::fields::{Turn, header_map};
use crate::pace::Pace;
use crate::recorder::Counter;
use crate::timers::Timer;
use crate::worker::Worker;

/// One stream.
#[derive(Debug)]
pub(crate) struct H2Client {
    worker: Rc<Worker>,
    body: RecvStream,
    is_body_ended: bool,
    body_taken: u64,
    body_bytes_max: u64,
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    queue: VecDeque<Bytes>,
    queued: usize,
    is_end_queued: bool,
    is_over: bool,
    // What came behind the body, and what goes with the end.
    trailers: Option<HeaderMap>,
    last: Option<HeaderMap>,
    turn: Turn,
    timer: Timer,
    body_stall_ms: u64,
    pace: Pace,
    send_stall_ms: u64,
    counts: ByteCounts,
}

impl H2Client {
    pub(crate) fn new(
        worker: &Rc<Worker>,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        head_bytes: u64,
        turn: Turn,
    ) -> Self {
        let limits = worker.settings().start.limits;
        Self {
            worker: Rc::clone(worker),
            is_body_ended: body.is_end_stream(),
            body,
            body_taken: 0,
            body_bytes_max: limits.body_most(),
            respond,
            stream: None,
            queue: VecDeque::new(),
            queued: 0,
            is_end_queued: false,
            is_over: false,
            trailers: None,
            last: None,
            turn,
            timer: worker.timers.timer(),
            body_stall_ms: limits.body_timeout_ms,
            pace: Pace::new(&limits),
            send_stall_ms: limits.send_timeout_ms,
            counts: ByteCounts {
                received: head_bytes,
                ..ByteCounts::default()
            },
        }
    }

    fn end(&mut self) -> Result<(), ClientFault> {
        if self.is_over {
            return Ok(());
        }
        self.is_over = true;
        let stream = self.stream.as_mut().ok_or(ClientFault::Gone)?;
        match self.last.take() {
            Some(trailers) => stream.send_trailers(trailers),
            None => stream.send_data(Bytes::new(), true),
        }
        .map_err(|_| ClientFault::Gone)
    }

    /// Sends what flow control lets go of the first piece in the queue.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        let Some(first) = self.queue.front_mut() else {
            return Poll::Ready(Ok(()));
        };
        let stream = self.stream.as_mut().ok_or(ClientFault::Gone)?;
        stream.reserve_capacity(first.len());
        let capacity = if stream.capacity() > 0 {
            stream.capacity()
        } else {
            match ready!(stream.poll_capacity(context)) {
                Some(Ok(capacity)) => capacity,
                Some(Err(_)) | None => return Poll::Ready(Err(ClientFault::Gone)),
            }
        };
        let piece = first.split_to(capacity.min(first.len()));
        let is_taken = first.is_empty();
        if is_taken {
            self.queue.pop_front();
        }
        self.queued -= piece.len();
        let is_last = is_taken && self.queue.is_empty() && self.is_end_queued;
        self.is_over = is_last && self.last.is_none();
        let sent = stream.send_data(piece, self.is_over);
        if sent.is_ok() && is_last && !self.is_over {
            return Poll::Ready(self.end());
        }
        Poll::Ready(sent.map_err(|_| ClientFault::Gone))
    }
}

impl ClientSide for H2Client {
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientFault>> {
        if self.is_body_ended {
            return Poll::Ready(Ok(None));
        }
        match self.body.poll_data(context) {
            Poll::Ready(Some(Ok(data))) => {
                self.timer.disarm();
                let clock = self.worker.clock;
                self.pace.moved(data.len() as u64, || clock.now_ms());
                self.counts.received += data.len() as u64;
                self.body_taken += data.len() as u64;
                // The window is given back as the bytes are taken on, so that a slow upstream slows its client.
                if self
                    .body
                    .flow_control()
                    .release_capacity(data.len())
                    .is_err()
                {
                    return Poll::Ready(Err(ClientFault::Gone));
                }
                if self.body_taken > self.body_bytes_max {
                    return Poll::Ready(Err(ClientFault::Request(RequestFault::BodyTooLarge)));
                }
                self.is_body_ended = self.body.is_end_stream();
                Poll::Ready(Ok(Some(data)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Err(ClientFault::Gone)),
            Poll::Ready(None) => match self.body.poll_trailers(context) {
                Poll::Ready(Ok(trailers)) => {
                    self.is_body_ended = true;
                    self.trailers = trailers;
                    self.timer.disarm();
                    Poll::Ready(Ok(None))
                }
                Poll::Ready(Err(_)) => Poll::Ready(Err(ClientFault::Gone)),
                Poll::Pending => Poll::Pending,
            },
            Poll::Pending => {
                let clock = self.worker.clock;
                if !self.timer.is_armed() {
                    let patience_ms = self.pace.patience_ms(clock.now_ms());
                    self.timer.arm(
                        patience_ms.map_or(self.body_stall_ms, |ms| ms.min(self.body_stall_ms)),
                    );
                }
                ready!(self.timer.poll_elapsed(context));
                if self.pace.is_broken(clock.now_ms()) {
                    self.worker.recorder.count(Counter::LimitsBroken, 1);
                }
                Poll::Ready(Err(ClientFault::Request(RequestFault::TimedOut)))
            }
        }
    }

    fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    fn limit_body(&mut self, bytes_max: u64) {
        self.body_bytes_max = self.body_bytes_max.min(bytes_max);
    }

    fn release_pace(&mut self) {
        self.pace.release();
    }

    fn is_body_ended(&self) -> bool {
        self.is_body_ended
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.stream {
            Some(stream) => stream.poll_reset(context).map(drop),
            None => self.respond.poll_reset(context).map(drop),
        }
    }

    fn send_continue(&mut self) {
        self.send_interim(100, &Headers::new());
    }

    fn send_interim(&mut self, status: u16, headers: &Headers) {
        let Ok(status) = http::StatusCode::from_u16(status) else {
            return;
        };
        let mut response = http::Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = header_map(headers, Turn::Later);
        // A stream that is gone is noticed by the next step that waits.
        let _gone = self.respond.send_informational(response);
    }

    fn send_head(&mut self, x: &Exchange, body: ResponseBody) {
        let mut response = http::Response::new(());
        *response.status_mut() =
            http::StatusCode::from_u16(x.response.status).unwrap_or(http::StatusCode::BAD_GATEWAY);
        *response.headers_mut() = header_map(&x.response.headers, self.turn);
        let length = match body {
            ResponseBody::None { length } => length,
            ResponseBody::Length(length) => Some(length),
            ResponseBody::Unknown => None,
        };
        if let Some(length) = length {
            response
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if x.response.source == Source::Kong && !response.headers().contains_key(DATE) {
            let date = self.worker.date(x.wall_us);
            let date = HeaderValue::from_bytes(date.as_bytes());
            response
                .headers_mut()
                .extend(date.ok().map(|date| (DATE, date)));
        }
        let fields = response.headers().iter();
        self.counts.sent += fields
            .map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64)
            .sum::<u64>()
            + 14;
        let is_end = matches!(body, ResponseBody::None { .. } | ResponseBody::Length(0));
        self.is_over = is_end;
        self.stream = self.respond.send_response(response, is_end).ok();
    }

    fn send_data(&mut self, data: Bytes) {
        if data.is_empty() || self.is_over {
            return;
        }
        self.counts.sent += data.len() as u64;
        self.counts.sent_body += data.len() as u64;
        self.queued += data.len();
        self.queue.push_back(data);
    }

    fn send_trailers(&mut self, trailers: HeaderMap) {
        if self.is_over {
            return;
        }
        let fields = trailers.iter();
        self.counts.sent += fields
            .map(|(name, value)| (name.as_str().len() + value.len() + 4) as u64)
            .sum::<u64>();
        self.last = Some(trailers);
    }

    fn send_end(&mut self) {
        self.is_end_queued = true;
        if self.queue.is_empty() {
            // Nothing is left to flush; a stream that is gone is noticed by the next step that waits.
            let _gone = self.end();
        }
    }

    fn cut(&mut self) {
        self.reset(Reason::INTERNAL_ERROR);
    }

    fn reset(&mut self, reason: Reason) {
        self.is_over = true;
        self.queue.clear();
        self.queued = 0;
        match &mut self.stream {
            Some(stream) => stream.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    fn queued(&self) -> usize {
        self.queued
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        while !self.queue.is_empty() {
            match self.poll_send(context) {
                Poll::Ready(result) => {
                    self.timer.disarm();
                    result?;
                }
                Poll::Pending => {
                    if !self.timer.is_armed() {
                        self.timer.arm(self.send_stall_ms);
                    }
                    ready!(self.timer.poll_elapsed(context));
                    // A client that takes nothing holds memory here and a connection upstream.
                    self.cut();
                    return Poll::Ready(Err(ClientFault::Gone));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn counts(&self) -> ByteCounts {
        self.counts
    }
}
