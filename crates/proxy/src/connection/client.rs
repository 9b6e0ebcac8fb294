//! An HTTP/1 connection as the walk of a request sees it.
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use twinplane_engine::exchange::Exchange;
use twinplane_engine::headers::Headers;

use super::{Connection, respond};
use crate::client_side::{ByteCounts, ClientFault, ClientSide, ResponseBody};
use crate::h1::chunked::Decoded;
use crate::h1::fault::RequestFault;
use crate::recorder::Counter;
use crate::trailers;
use crate::upstream::connection::poll_fill;

// A client may send its next request early; more than this waits in the socket.
const EARLY_BYTES_MAX: usize = 65_536;

impl<S: AsyncRead + AsyncWrite + Unpin> ClientSide for Connection<S> {
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientFault>> {
        loop {
            let before = self.room.buffer.len();
            let taken = self.body.take(&mut self.room.buffer);
            self.counts.received += (before - self.room.buffer.len()) as u64;
            match taken {
                Ok(Decoded::Data(data)) => {
                    self.body_taken += data.len() as u64;
                    if self.body_taken > self.body_bytes_max {
                        return self.fault(RequestFault::BodyTooLarge);
                    }
                    return Poll::Ready(Ok(Some(data)));
                }
                Ok(Decoded::Trailers(fields)) => {
                    self.trailers = Some(Box::new(trailers::parse(&fields)));
                    return Poll::Ready(Ok(None));
                }
                Ok(Decoded::End) => return Poll::Ready(Ok(None)),
                Ok(Decoded::More) => {}
                Err(fault) => return self.fault(fault),
            }
            match poll_fill(&mut self.io, &mut self.room.buffer, true, context) {
                Poll::Ready(Ok(read @ 1..)) => {
                    self.timer.disarm();
                    let clock = self.worker.clock;
                    self.pace.moved(read as u64, || clock.now_ms());
                }
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(ClientFault::Gone)),
                Poll::Pending => {
                    let silence_ms = self.worker.settings().start.limits.body_timeout_ms;
                    return self.poll_slow_body(context, silence_ms);
                }
            }
        }
    }

    fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take().map(|fields| *fields)
    }

    fn limit_body(&mut self, bytes_max: u64) {
        self.body_bytes_max = self.body_bytes_max.min(bytes_max);
    }

    fn release_pace(&mut self) {
        self.pace.release();
    }

    fn is_body_ended(&self) -> bool {
        self.body.is_ended()
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.room.buffer.len() < EARLY_BYTES_MAX {
            match poll_fill(&mut self.io, &mut self.room.buffer, false, context) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }

    fn send_continue(&mut self) {
        self.reply.is_continue_owed = false;
        self.room
            .output
            .head()
            .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    fn send_interim(&mut self, status: u16, headers: &Headers) {
        if self.reply.version >= twinplane_engine::exchange::HttpVersion::Http11 {
            respond::write_interim(status, headers, self.room.output.head());
        }
    }

    fn send_head(&mut self, x: &Exchange, body: ResponseBody) {
        self.reply.keeps_alive &= !self.worker.is_draining();
        self.reply.settle(body, x, self.body.is_ended());
        self.reply.is_begun = true;
        let date = self.worker.date(x.wall_us);
        let before = self.room.output.pending();
        respond::write_head(x, body, &self.reply, &date, self.room.output.head());
        self.counts.sent += (self.room.output.pending() - before) as u64;
    }

    fn send_data(&mut self, data: Bytes) {
        if self.reply.is_bodiless || data.is_empty() {
            return;
        }
        self.counts.sent_body += data.len() as u64;
        let before = self.room.output.pending();
        if self.reply.is_chunked {
            self.room.output.push_chunk(data);
        } else {
            self.room.output.push(data);
        }
        self.counts.sent += (self.room.output.pending() - before) as u64;
    }

    fn send_trailers(&mut self, fields: HeaderMap) {
        if self.reply.is_chunked && !self.reply.is_bodiless {
            let before = self.room.output.pending();
            trailers::write(&fields, self.room.output.head());
            self.counts.sent += (self.room.output.pending() - before) as u64;
            // The end is told with them.
            self.reply.is_chunked = false;
        }
    }

    fn send_end(&mut self) {
        self.reply.is_ended = true;
        if self.reply.is_chunked && !self.reply.is_bodiless {
            self.counts.sent += 5;
            self.room.output.head().extend_from_slice(b"0\r\n\r\n");
        }
    }

    fn cut(&mut self) {
        // What was queued before still counts as sent; closing tells the client that more was to come.
        self.reply.is_cut = true;
        self.reply.keeps_alive = false;
        self.room.output.clear();
    }

    fn end_connection(&mut self) {
        self.reply.keeps_alive = false;
    }

    fn queued(&self) -> usize {
        self.room.output.pending()
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        let before = self.room.output.pending();
        match self.room.output.poll_write_all(&mut self.io, context) {
            Poll::Ready(Ok(())) => {
                if before > 0 {
                    self.timer.disarm();
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(ClientFault::Gone)),
            Poll::Pending => {
                if self.room.output.pending() != before {
                    self.timer.disarm();
                }
                let silence_ms = self.worker.settings().start.limits.send_timeout_ms;
                self.poll_slow(context, silence_ms)
                    .map(|slow: Result<Option<Bytes>, _>| slow.map(|_| ()))
            }
        }
    }

    fn counts(&self) -> ByteCounts {
        self.counts
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    // The connection stays as it is: what follows the fault in the stream means nothing.
    fn fault<T>(&mut self, fault: RequestFault) -> Poll<Result<T, ClientFault>> {
        self.reply.keeps_alive = false;
        Poll::Ready(Err(ClientFault::Request(fault)))
    }

    // As [`Self::poll_slow`], and a body that comes too slowly is not waited for either.
    fn poll_slow_body<T>(
        &mut self,
        context: &mut Context<'_>,
        silence_ms: u64,
    ) -> Poll<Result<T, ClientFault>> {
        let clock = self.worker.clock;
        let patience_ms = if self.timer.is_armed() {
            None
        } else {
            self.pace.patience_ms(clock.now_ms())
        };
        let patience_ms = patience_ms.map_or(silence_ms, |ms| ms.min(silence_ms));
        let slow = self.poll_slow(context, patience_ms);
        if slow.is_ready() && self.pace.is_broken(clock.now_ms()) {
            self.worker.recorder.count(Counter::LimitsBroken, 1);
        }
        slow
    }

    // Nothing moves: the client's silence is timed from here on.
    fn poll_slow<T>(
        &mut self,
        context: &mut Context<'_>,
        silence_ms: u64,
    ) -> Poll<Result<T, ClientFault>> {
        if !self.timer.is_armed() {
            self.timer.arm(silence_ms);
        }
        match self.timer.poll_elapsed(context) {
            Poll::Ready(()) => self.fault(RequestFault::TimedOut),
            Poll::Pending => Poll::Pending,
        }
    }
}
