//! Asks the upstream: pick a destination, connect, send, read the response's head. A failure goes to `engine::retry`,
//! which says whether to go round again; that loop is bounded by the service's `retries`.
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use twinplane_engine::balancer::{Ask, Outcome, hash_input};
use twinplane_engine::exchange::{Exchange, Framing, Try};
use twinplane_engine::headers::Headers;
use twinplane_engine::retry::{self, Attempt, Decision, Failure};
use twinplane_engine::snapshot::ServiceTarget;

use super::Stop;
use super::body::{Collected, Outgoing};
use crate::client_side::{ClientFault, ClientSide};
use crate::error_page::GatewayError;
use crate::h1::scan::{self, StatusLine};
use crate::timers::Timer;
use crate::upstream::connection::UpstreamConnection;
use crate::upstream::head;
use crate::upstream::peers::{self, Destination, NoDestination, PeerInUse};
use crate::worker::Worker;

// What of a request's body is held so that it can be sent again.
const HELD_BYTES_MAX: usize = 131_072;
// Interim responses before the final one.
const INTERIM_MAX: usize = 16;

/// An upstream's answer: its head was read, its body not yet.
#[derive(Debug)]
pub(super) struct Answered {
    /// The connection.
    pub(super) connection: UpstreamConnection,
    /// The head.
    pub(super) status_line: StatusLine,
    /// What of the request's body is still to be sent.
    pub(super) upload: Upload,
    /// The peer, busy until the response has ended.
    pub(super) peer: Option<PeerInUse>,
}

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

enum Failed {
    Client(ClientFault),
    Upstream { failure: Failure, is_sent: bool },
}

impl From<ClientFault> for Failed {
    fn from(fault: ClientFault) -> Self {
        Self::Client(fault)
    }
}

struct Timeouts {
    connect_ms: u64,
    write_ms: u64,
    read_ms: u64,
}

/// Asks until an answer begins or no attempt is left.
pub(super) async fn ask<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    body: &mut Collected,
    timer: &Timer,
) -> Result<Answered, Stop> {
    let held_bytes_max = worker
        .settings
        .start
        .limits
        .buffered_body_bytes_max
        .min(HELD_BYTES_MAX);
    let mut outgoing = body.outgoing(x, client, held_bytes_max).await?;
    let timeouts = timeouts(x);
    let retries = x
        .service()
        .and_then(|service| service.model.retries)
        .unwrap_or(5);
    let mut retries_left = u32::try_from(retries).unwrap_or(0);
    let mut is_free_attempt_used = false;
    let mut tried = Vec::new();
    let mut last_failure = None;
    let hash = hash(x);
    loop {
        worker.touch(x);
        let began_us = x.now_us;
        let ask = Ask {
            tried: &tried,
            hash,
            now_us: began_us,
        };
        let mut destination = match destination(worker, x, &ask, &timeouts).await {
            Ok(destination) => destination,
            // After a failure the failure is the answer.
            Err(none) => return Err(error_of(last_failure, none).into()),
        };
        let reused = if is_free_attempt_used {
            None
        } else {
            worker.pool.take(&destination.key, worker.clock.now_ms())
        };
        let is_reused = reused.is_some();
        let attempted = attempt(
            worker,
            x,
            client,
            &mut outgoing,
            &destination,
            reused,
            timer,
            &timeouts,
        )
        .await;
        worker.touch(x);
        x.times.answered_us = x.now_us;
        let (failure, is_sent) = match attempted {
            Ok(mut answered) => {
                peers::report(
                    x,
                    &destination,
                    Outcome::Status(answered.status_line.status),
                );
                answered.peer = destination.peer.take();
                if let Some(peer) = &mut answered.peer {
                    peer.answered(x.now_us - began_us, x.now_us);
                }
                return Ok(answered);
            }
            Err(Failed::Client(fault)) => return Err(fault.into()),
            Err(Failed::Upstream { failure, is_sent }) => (failure, is_sent),
        };
        let attempt = Attempt {
            method: x
                .upstream
                .method
                .as_ref()
                .unwrap_or(&x.request.method)
                .as_bytes(),
            retries_left,
            is_sent,
            is_replayable: matches!(outgoing, Outgoing::Held(_)),
            is_reused,
            is_free_attempt_used,
        };
        let decision = retry::decide(failure, &attempt);
        if decision != Decision::RetryFree {
            peers::report(
                x,
                &destination,
                if is_timeout(failure) {
                    Outcome::TimedOut
                } else {
                    Outcome::ConnectionFailed
                },
            );
        }
        if let Some(last) = x.tries.last_mut() {
            last.state = Some("failed");
            last.code = Some(if is_timeout(failure) { 504 } else { 502 });
        }
        match decision {
            Decision::Retry => retries_left -= 1,
            Decision::RetryFree => is_free_attempt_used = true,
            Decision::GiveUp => return Err(gateway_error(failure).into()),
        }
        tried.extend(destination.tried.filter(|_| decision == Decision::Retry));
        last_failure = Some(failure);
    }
}

// What the request hashes to, where its upstream asks for that; a new cookie goes back with the response.
fn hash(x: &mut Exchange) -> Option<u32> {
    let ServiceTarget::Upstream(upstream) = x.service()?.target else {
        return None;
    };
    let found = hash_input(&x.snapshot.upstreams.get(upstream as usize)?.policy, x);
    if let Some(cookie) = found.set_cookie {
        x.response.headers.append("Set-Cookie", cookie);
    }
    found.hash
}

fn timeouts(x: &Exchange) -> Timeouts {
    let model = x.service().map(|service| &service.model);
    let ms = |value: Option<i64>| {
        value
            .and_then(|ms| u64::try_from(ms).ok())
            .unwrap_or(60_000)
    };
    Timeouts {
        connect_ms: ms(model.and_then(|model| model.connect_timeout)),
        write_ms: ms(model.and_then(|model| model.write_timeout)),
        read_ms: ms(model.and_then(|model| model.read_timeout)),
    }
}

async fn destination(
    worker: &Worker,
    x: &mut Exchange,
    ask: &Ask<'_>,
    timeouts: &Timeouts,
) -> Result<Destination, NoDestination> {
    let (began_us, began_wall_us) = (x.now_us, x.wall_us);
    let destination =
        peers::next(worker, x, ask, Duration::from_millis(timeouts.connect_ms)).await?;
    x.tries.push(Try {
        ip: destination.ip.clone(),
        port: destination.port,
        started_wall_us: began_wall_us,
        balancer_us: x.now_us - began_us,
        code: None,
        state: None,
    });
    Ok(destination)
}

fn error_of(last: Option<Failure>, none: NoDestination) -> GatewayError {
    last.map_or(GatewayError::NoDestination(none), gateway_error)
}

fn is_timeout(failure: Failure) -> bool {
    matches!(
        failure,
        Failure::ConnectTimeout | Failure::ReadTimeout | Failure::WriteTimeout
    )
}

fn gateway_error(failure: Failure) -> GatewayError {
    if is_timeout(failure) {
        GatewayError::UpstreamTimeout
    } else {
        GatewayError::UpstreamInvalid
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one attempt with all that it touches"
)]
async fn attempt<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    outgoing: &mut Outgoing,
    destination: &Destination,
    reused: Option<UpstreamConnection>,
    timer: &Timer,
    timeouts: &Timeouts,
) -> Result<Answered, Failed> {
    let unsent = |failure| Failed::Upstream {
        failure,
        is_sent: false,
    };
    let mut connection = match reused {
        Some(connection) => connection,
        None => {
            let opening =
                UpstreamConnection::open(destination.key.clone(), destination.tls.as_ref());
            let opened = timer
                .within(timeouts.connect_ms, unless_gone(client, opening))
                .await;
            match opened {
                Ok(Ok(Ok(connection))) => connection,
                Ok(Ok(Err(_))) => return Err(unsent(Failure::Connect)),
                Ok(Err(fault)) => return Err(fault.into()),
                Err(_) => return Err(unsent(Failure::ConnectTimeout)),
            }
        }
    };
    worker.touch(x);
    x.times.connected_us = x.now_us;
    connection.served += 1;
    let upload = write_request(worker, x, outgoing, destination, &mut connection);
    let mut asking = Asking {
        client,
        connection: &mut connection,
        upload,
        wait: Wait::Write,
        is_sent: false,
        timer,
        timeouts,
    };
    let found = asking.run(worker, x).await;
    timer.disarm();
    let (upload, is_sent) = (asking.upload, asking.is_sent);
    match found {
        Ok(status_line) => Ok(Answered {
            connection,
            status_line,
            upload,
            peer: None,
        }),
        Err(Refusal::Client(fault)) => Err(Failed::Client(fault)),
        Err(Refusal::Upstream(failure)) => Err(Failed::Upstream { failure, is_sent }),
    }
}

// Waits for a future as long as the client is there.
async fn unless_gone<C: ClientSide, F: Future>(
    client: &mut C,
    future: F,
) -> Result<F::Output, ClientFault> {
    let mut future = std::pin::pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending if client.is_body_ended() => {
            client.poll_gone(context).map(|()| Err(ClientFault::Gone))
        }
        Poll::Pending => Poll::Pending,
    })
    .await
}

fn write_request(
    worker: &Worker,
    x: &Exchange,
    outgoing: &mut Outgoing,
    destination: &Destination,
    connection: &mut UpstreamConnection,
) -> Upload {
    let host = x
        .upstream
        .host_header
        .as_ref()
        .unwrap_or(&destination.host_header);
    let out = &mut connection.output;
    match outgoing {
        Outgoing::Held(body) => {
            let has_none = body.is_empty() && x.request.body == Framing::None;
            let framing = if has_none {
                Framing::None
            } else {
                Framing::Length(body.len() as u64)
            };
            head::write(x, &worker.settings, host, framing, out.head());
            out.push(body.clone());
            Upload::Done
        }
        Outgoing::Streamed { framing, first } => {
            head::write(x, &worker.settings, host, *framing, out.head());
            let is_chunked = *framing == Framing::Chunked;
            let first = std::mem::take(first);
            if !first.is_empty() {
                push(connection, first, is_chunked);
            }
            Upload::Running { is_chunked }
        }
    }
}

fn push(connection: &mut UpstreamConnection, data: Bytes, is_chunked: bool) {
    if is_chunked {
        connection.output.push_chunk(data);
    } else {
        connection.output.push(data);
    }
}

// What the upstream is being waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Write,
    Body,
    Read,
}

enum Refusal {
    Client(ClientFault),
    Upstream(Failure),
}

// Sending and awaiting the head, both at once.
struct Asking<'a, C> {
    client: &'a mut C,
    connection: &'a mut UpstreamConnection,
    upload: Upload,
    wait: Wait,
    is_sent: bool,
    timer: &'a Timer,
    timeouts: &'a Timeouts,
}

impl<C: ClientSide> Asking<'_, C> {
    async fn run(&mut self, worker: &Worker, x: &mut Exchange) -> Result<StatusLine, Refusal> {
        let head_bytes_max = worker.settings.start.limits.head_bytes_max;
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
            Wait::Read if self.wait != Wait::Read => self.timer.arm(self.timeouts.read_ms),
            Wait::Write if self.wait != Wait::Write || has_moved || !self.is_sent => {
                self.timer.arm(self.timeouts.write_ms);
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
                    connection.output.head().extend_from_slice(b"0\r\n\r\n");
                }
            }
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
            Poll::Pending => return Poll::Pending,
        }
    }
}
