//! Asks the upstream: pick a destination, connect, send, read the response's head. A failure goes to `engine::retry`,
//! which says whether to go round again; that loop is bounded by the service's `retries`.
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use twinplane_engine::balancer::Outcome;
use twinplane_engine::exchange::{Exchange, Framing};
use twinplane_engine::retry::Failure;

use super::asking::{Asking, Refusal, Upload, Wait, push};
use super::body::{Collected, Outgoing};
use super::{Stop, asking_h2};
use crate::client_side::{ClientFault, ClientSide};
use crate::error_page::GatewayError;
use crate::h1::scan::StatusLine;
use crate::timers::Timer;
use crate::upstream::connection::UpstreamConnection;
use crate::upstream::h2::stream::Answering;
use crate::upstream::head;
use crate::upstream::peers::{self, Destination, PeerInUse};
use crate::upstream::rounds::{self, How, Rounds, Timeouts};
use crate::worker::Worker;

// What of a request's body is held so that it can be sent again.
const HELD_BYTES_MAX: usize = 131_072;

/// An upstream's answer: its head was read, its body not yet.
#[derive(Debug)]
pub(super) struct Answered {
    /// How it comes.
    pub(super) via: Via,
    /// The peer, busy until the response has ended.
    pub(super) peer: Option<PeerInUse>,
}

/// The ways in which an answer comes.
#[derive(Debug)]
pub(super) enum Via {
    /// Over HTTP/1.
    H1(H1Answer),
    /// Over a stream of HTTP/2.
    H2 {
        /// The head.
        head: asking_h2::Head,
        /// The stream.
        answering: Box<Answering>,
    },
}

/// An answer over HTTP/1; its head is still in the connection's buffer.
#[derive(Debug)]
pub(super) struct H1Answer {
    /// The connection.
    pub(super) connection: Box<UpstreamConnection>,
    /// The head.
    pub(super) status_line: StatusLine,
    /// What of the request's body is still to be sent.
    pub(super) upload: Upload,
}

impl Via {
    fn status(&self) -> u16 {
        match self {
            Self::H1(answer) => answer.status_line.status,
            Self::H2 { head, .. } => head.status.as_u16(),
        }
    }
}

/// Why an attempt failed.
pub(super) enum Failed {
    /// The client's side.
    Client(ClientFault),
    /// Neither the client's connection nor the peer's: it does not count against the peer.
    Own(GatewayError),
    /// The upstream's side.
    Upstream {
        /// How.
        failure: Failure,
        /// Whether the upstream may have acted on it.
        is_sent: bool,
    },
}

impl From<ClientFault> for Failed {
    fn from(fault: ClientFault) -> Self {
        Self::Client(fault)
    }
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
        .settings()
        .start
        .limits
        .buffered_body_bytes_max
        .min(HELD_BYTES_MAX);
    let mut outgoing = None;
    let mut rounds = Rounds::of(x, worker.settings().start.attempts);
    let timeouts = rounds.timeouts;
    let is_h2 = x.service().is_some_and(|service| service.is_grpc);
    let mut is_first = true;
    loop {
        // The first round begins where the access phase ended.
        if !std::mem::take(&mut is_first) {
            worker.touch(x);
        }
        let began_us = x.now_us;
        let sought = unless_gone(client, pin!(rounds.next(worker, x))).await?;
        let mut destination = match sought {
            Ok(destination) => destination,
            // After a failure the failure is the answer.
            Err(none) => {
                let after = rounds.last_failure.map(gateway_error);
                return Err(after.unwrap_or(GatewayError::NoDestination(none)).into());
            }
        };
        // Read once it is known that there is somewhere to send it.
        if outgoing.is_none() {
            outgoing = Some(body.outgoing(x, client, held_bytes_max).await?);
        }
        let outgoing = outgoing.get_or_insert_with(|| Outgoing::Held(Bytes::new()));
        let (attempted, is_reused) = if is_h2 {
            let place = &destination;
            let asked =
                asking_h2::attempt(worker, x, client, outgoing, place, timer, &timeouts).await;
            // A shared connection may be called off while this request is on its way.
            (asked, true)
        } else {
            // After a stale connection a new one is made, whatever the pool still holds.
            let reused = (!rounds.is_free_attempt_used)
                .then(|| worker.pool.take(&destination.key, worker.recent_ms()))
                .flatten();
            let is_reused = reused.is_some();
            let asked = attempt(
                worker,
                x,
                client,
                outgoing,
                &destination,
                reused,
                timer,
                &timeouts,
            );
            (asked.await, is_reused)
        };
        worker.touch(x);
        x.times.answered_us = x.now_us;
        match attempted {
            Ok(mut answered) => {
                peers::report(x, &destination, Outcome::Status(answered.via.status()));
                if let Some(cookie) = peers::sticky_cookie(x, &destination, rounds.hash) {
                    x.response.headers.append("Set-Cookie", cookie);
                }
                answered.peer = destination.peer.take();
                if let Some(peer) = &mut answered.peer {
                    peer.answered(x.now_us - began_us, x.now_us);
                }
                return Ok(answered);
            }
            Err(Failed::Client(fault)) => return Err(fault.into()),
            Err(Failed::Own(error)) => return Err(error.into()),
            Err(Failed::Upstream { failure, is_sent }) => {
                let is_replayable = matches!(outgoing, Outgoing::Held(_));
                let how = How {
                    failure,
                    is_sent,
                    is_reused,
                    is_replayable,
                };
                let next = rounds.after(x, &destination, how);
                next.map_err(gateway_error)?;
            }
        }
    }
}

fn gateway_error(failure: Failure) -> GatewayError {
    if rounds::is_timeout(failure) {
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
    reused: Option<Box<UpstreamConnection>>,
    timer: &Timer,
    timeouts: &Timeouts,
) -> Result<Answered, Failed> {
    let unsent = |failure| Failed::Upstream {
        failure,
        is_sent: false,
    };
    let mut connection = if let Some(connection) = reused {
        connection
    } else {
        let opening = UpstreamConnection::open(destination.key.clone(), destination.tls.as_ref());
        let opened = timer
            .within(timeouts.connect, unless_gone(client, pin!(opening)))
            .await;
        match opened {
            Ok(Ok(Ok(connection))) => {
                worker.touch(x);
                connection
            }
            Ok(Ok(Err(_))) => return Err(unsent(Failure::Connect)),
            Ok(Err(fault)) => return Err(fault.into()),
            Err(_) => return Err(unsent(Failure::ConnectTimeout)),
        }
    };
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
        began_ms: worker.recent_ms(),
        timeouts,
    };
    let found = asking.run(worker, x).await;
    timer.disarm();
    let (upload, is_sent) = (asking.upload, asking.is_sent);
    match found {
        Ok(status_line) => Ok(Answered {
            via: Via::H1(H1Answer {
                connection,
                status_line,
                upload,
            }),
            peer: None,
        }),
        Err(Refusal::Client(fault)) => Err(Failed::Client(fault)),
        Err(Refusal::Upstream(failure)) => Err(Failed::Upstream { failure, is_sent }),
    }
}

/// Waits for a future as long as the client is there.
pub(super) fn unless_gone<C: ClientSide, F: Future + Unpin>(
    client: &mut C,
    mut future: F,
) -> impl Future<Output = Result<F::Output, ClientFault>> + Unpin {
    poll_fn(move |context| match Pin::new(&mut future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending if client.is_body_ended() => {
            client.poll_gone(context).map(|()| Err(ClientFault::Gone))
        }
        Poll::Pending => Poll::Pending,
    })
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
            head::write(x, &worker.settings(), host, framing, out.head());
            out.push(body.clone());
            Upload::Done
        }
        Outgoing::Streamed { framing, first } => {
            head::write(x, &worker.settings(), host, *framing, out.head());
            let is_chunked = *framing == Framing::Chunked;
            let first = std::mem::take(first);
            if !first.is_empty() {
                push(connection, first, is_chunked);
            }
            Upload::Running { is_chunked }
        }
    }
}
