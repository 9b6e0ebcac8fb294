//! Sends a request and awaits the head of its answer, both at once: an upstream may answer before it has read the body, and
//! a client may leave before it is answered.
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::headers::Headers;
use twinplane_engine::retry::Failure;

use crate::client_side::{ClientFault, ClientSide};
use crate::h1::scan::{self, StatusLine};
use crate::timers::Timer;
use crate::trailers;
use crate::upstream::connection::UpstreamConnection;
use crate::upstream::head;
use crate::upstream::rounds::Timeouts;
use crate::worker::Worker;

// Interim responses before the final one.
const INTERIM_MAX: usize = 16;

/// The sending of a request's body, which may outlast the response's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upload {
    /// All was sent.
    Done,
    /// More is to come from the client.
    Running {
        /// Whether it goes out in chunks.
        is_chunked: bool,
    },
    /// The upstream takes no more; its answer may come all the same.
    Refused,
}

/// Queues a piece of the request's body.
pub(super) fn push(connection: &mut UpstreamConnection, data: Bytes, is_chunked: bool) {
    if is_chunked {
        connection.output.push_chunk(data);
    } else {
        connection.output.push(data);
    }
}

/// What the upstream is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// To take bytes.
    Write,
    /// Nothing: the client's body is slower.
    Body,
    /// To answer.
    Read,
}

/// Why no answer came.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The client's side.
    Client(ClientFault),
    /// The upstream's side.
    Upstream(Failure),
}

/// Sending and awaiting the head, both at once.
pub(super) struct Asking<'a, C> {
    pub(super) client: &'a mut C,
    pub(super) connection: &'a mut UpstreamConnection,
    pub(super) upload: Upload,
    pub(super) wait: Wait,
    pub(super) is_sent: bool,
    pub(super) timer: &'a Timer,
    pub(super) began_ms: u64,
    pub(super) timeouts: &'a Timeouts,
}

impl<C: ClientSide> Asking<'_, C> {
    /// Gives the head of the final answer; its bytes are still in the buffer.
    pub(super) async fn run(
        &mut self,
        worker: &Worker,
        x: &mut Exchange,
    ) -> Result<StatusLine, Refusal> {
        let head_bytes_max = worker.settings().start.limits.response_head_most();
        for _ in 0..INTERIM_MAX {
            let line = poll_fn(|context| self.poll(x, head_bytes_max, context)).await?;
            let is_upgrade = line.status == 101 && head::asks_for_upgrade(x);
            if line.status >= 200 || line.status < 100 || is_upgrade {
                return Ok(line);
            }
            if line.status == 101 {
                break;
            }
            self.pass_interim(x, &line);
        }
        Err(Refusal::Upstream(Failure::InvalidResponse))
    }

    // Hints pass; `100 Continue` was ours to say.
    fn pass_interim(&mut self, x: &mut Exchange, line: &StatusLine) {
        let head = self.connection.buffer.split_to(line.head_bytes).freeze();
        if line.status != 100 {
            let mut headers = Headers::new();
            // Scanned before, so it scans again.
            if let Ok(Some(_)) = scan::response(&head, head.len(), &mut headers) {
                headers.attach(head);
                self.client.send_interim(line.status, &headers);
            }
        }
        x.response.headers.clear_spans();
    }

    fn poll(
        &mut self,
        x: &mut Exchange,
        head_bytes_max: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<StatusLine, Refusal>> {
        if let Poll::Ready(Err(refusal)) = self.poll_upload(context) {
            return Poll::Ready(Err(refusal));
        }
        loop {
            if !self.connection.buffer.is_empty() {
                match scan::response(
                    &self.connection.buffer,
                    head_bytes_max,
                    &mut x.response.headers,
                ) {
                    Ok(Some(line)) => return Poll::Ready(Ok(line)),
                    Ok(None) => {}
                    Err(_) => return Poll::Ready(Err(Refusal::Upstream(Failure::InvalidResponse))),
                }
            }
            match self.connection.poll_fill(context) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => {
                    return Poll::Ready(Err(Refusal::Upstream(Failure::Broken)));
                }
                Poll::Pending => break,
            }
        }
        if self.timer.poll_elapsed(context).is_ready() {
            let failure = if self.wait == Wait::Write {
                Failure::WriteTimeout
            } else {
                Failure::ReadTimeout
            };
            return Poll::Ready(Err(Refusal::Upstream(failure)));
        }
        if self.client.queued() > 0
            && let Poll::Ready(Err(fault)) = self.client.poll_flush(context)
        {
            return Poll::Ready(Err(Refusal::Client(fault)));
        }
        if self.upload == Upload::Done && self.client.is_body_ended() {
            return self
                .client
                .poll_gone(context)
                .map(|()| Err(Refusal::Client(ClientFault::Gone)));
        }
        Poll::Pending
    }

    fn poll_upload(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        let before = self.connection.output.pending();
        let moved = poll_upload(self.client, self.connection, &mut self.upload, context);
        self.is_sent |= before > 0;
        let wait = match (&moved, self.connection.output.pending()) {
            (Poll::Ready(_), _) => Wait::Read,
            (Poll::Pending, 0) => Wait::Body,
            (Poll::Pending, _) => Wait::Write,
        };
        let has_moved = self.connection.output.pending() != before;
        // Armed by the wait's kind, and anew with each byte that moves; the client's slowness is timed on its own side.
        match wait {
            Wait::Read if self.wait != Wait::Read => {
                let now_ms = std::mem::take(&mut self.began_ms);
                if now_ms == 0 {
                    self.timer.arm(self.timeouts.read);
                } else {
                    self.timer.arm_from(now_ms, self.timeouts.read);
                }
            }
            Wait::Write if self.wait != Wait::Write || has_moved || !self.is_sent => {
                self.timer.arm(self.timeouts.write);
            }
            Wait::Body => self.timer.disarm(),
            _ => {}
        }
        self.wait = wait;
        moved.map_err(Refusal::Client)
    }
}

/// Moves the request's body to the upstream as far as both sides allow. Ready when there is no more to send.
pub(super) fn poll_upload<C: ClientSide>(
    client: &mut C,
    connection: &mut UpstreamConnection,
    upload: &mut Upload,
    context: &mut Context<'_>,
) -> Poll<Result<(), ClientFault>> {
    loop {
        if connection.output.pending() > 0 {
            match connection
                .output
                .poll_write_all(&mut connection.io, context)
            {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    connection.output.clear();
                    *upload = Upload::Refused;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        let Upload::Running { is_chunked } = *upload else {
            return Poll::Ready(Ok(()));
        };
        match client.poll_body(context) {
            Poll::Ready(Ok(Some(data))) => push(connection, data, is_chunked),
            Poll::Ready(Ok(None)) => {
                *upload = Upload::Done;
                if is_chunked {
                    let fields = client.take_trailers().and_then(trailers::of_request);
                    trailers::write(&fields.unwrap_or_default(), connection.output.head());
                }
            }
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
            Poll::Pending => return Poll::Pending,
        }
    }
}
