//! HTTP/2 with clients: one task drives the connection, one each stream. Limits are explicit and on by default; a client
//! that breaks them loses its connection and costs nobody else anything.
mod client;
mod fields;
mod guard;
mod head;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;

use ::h2::server::{Builder, SendResponse};
use ::h2::{Reason, RecvStream};
use bytes::Bytes;
use http::request::Parts;
use tokio::io::{AsyncRead, AsyncWrite};
use twinplane_engine::exchange::{Exchange, Framing, HttpVersion, Source};
use twinplane_engine::headers::Headers;
use twinplane_engine::text::Text;

use crate::conn_info::ConnInfo;
use crate::h1::fault::RequestFault;
use crate::h1::framing;
use crate::h1::scan::HeadLimits;
use crate::h2::client::H2Client;
use crate::h2::fields::Turn;
use crate::h2::guard::{Budget, Guarded};
use crate::h2::head::Head;
use crate::recorder::Counter;
use crate::request::{self, Opening};
use crate::timers::Elapsed;
use crate::worker::Worker;

/// What a client may send ahead of our reading, per stream and per connection.
const STREAM_WINDOW_BYTES: u32 = 262_144;
const CONNECTION_WINDOW_BYTES: u32 = 1_048_576;
/// What a stream may have waiting to be written.
const SEND_BUFFER_BYTES: usize = 65_536;
/// Streams that the client reset before they were looked at, and streams that we had to reset, of one connection.
const RESET_STREAMS_MAX: usize = 20;
const FAULTY_STREAMS_MAX: usize = 64;
/// Time for the last bytes once a connection is shut.
const CLOSE_MS: u64 = 5_000;
/// Whoever calls off a request sooner has not waited for its answer.
const AT_ONCE_US: u64 = 1_000_000;

/// Fields of a response that there is room for at first.
const RESPONSE_FIELDS: usize = 24;

/// What the streams of a connection share.
struct Shared {
    info: ConnInfo,
    worker: Rc<Worker>,
    budget: Rc<Budget>,
    open: Cell<usize>,
    turn: Cell<Turn>,
    // When the last stream ended.
    ended_ms: Cell<u64>,
}

/// Serves one connection to its end.
pub(crate) async fn serve<T>(io: T, info: ConnInfo, worker: Rc<Worker>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let limits = worker.settings().start.limits;
    let budget = Budget::new(worker.clock);
    let timer = worker.timers.timer();
    let handshake = builder(&worker).handshake::<_, Bytes>(Guarded::new(io, Rc::clone(&budget)));
    let Ok(Ok(mut connection)) = timer.within(limits.head_timeout_ms, handshake).await else {
        return worker.recorder.count(Counter::HandshakesFailed, 1);
    };
    let shared = Rc::new(Shared {
        info,
        worker,
        budget,
        open: Cell::new(0),
        turn: Cell::new(Turn::First),
        ended_ms: Cell::new(0),
    });
    let clock = shared.worker.clock;
    let (mut requests, mut is_closing, mut is_flood) = (0, false, false);
    timer.arm_idle(limits.idle_timeout_ms);
    loop {
        let accepted = poll_fn(|context| connection.poll_accept(context));
        match timer.unless_elapsed(accepted).await {
            Ok(Some(Ok((request, respond)))) => {
                requests += 1;
                accept(&shared, request, respond);
                let is_last = (limits.requests_max != 0 && requests >= limits.requests_max)
                    || shared.info.closing.is_asked();
                if is_last && !is_closing {
                    is_closing = true;
                    connection.graceful_shutdown();
                }
                if !is_closing {
                    timer.arm_idle(limits.idle_timeout_ms);
                }
            }
            Ok(Some(Err(error))) => {
                is_flood = error.reason() == Some(Reason::ENHANCE_YOUR_CALM);
                break;
            }
            Ok(None) => break,
            Err(Elapsed) if is_closing && shared.open.get() == 0 => break,
            Err(Elapsed) => {
                let quiet_ms = clock.now_ms() - shared.ended_ms.get();
                let is_quiet = shared.open.get() == 0 && quiet_ms >= limits.idle_timeout_ms;
                if !is_closing && (is_quiet || shared.worker.is_draining()) {
                    is_closing = true;
                    connection.graceful_shutdown();
                }
                // Streams under way have timers of their own; this one only looks again.
                if is_closing {
                    timer.arm(CLOSE_MS);
                } else {
                    timer.arm_idle(limits.idle_timeout_ms.saturating_sub(quiet_ms).max(1_000));
                }
            }
        }
    }
    if is_flood || shared.budget.is_spent() {
        shared.worker.recorder.count(Counter::LimitsBroken, 1);
    }
}

fn builder(worker: &Worker) -> Builder {
    let limits = worker.settings().start.limits;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.h2_streams_max)
        .max_header_list_size(limits.h2_header_list_bytes_max)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_concurrent_reset_streams(RESET_STREAMS_MAX)
        .max_local_error_reset_streams(Some(FAULTY_STREAMS_MAX));
    builder
}

fn accept(
    shared: &Rc<Shared>,
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let limits = shared.worker.settings().start.limits;
    // Streams that the client has reset may still be winding up here; they count against it.
    if shared.open.get() >= limits.h2_streams_max as usize {
        shared.worker.recorder.count(Counter::LimitsBroken, 1);
        respond.send_reset(Reason::REFUSED_STREAM);
        return;
    }
    let open = Open::new(shared);
    // The walk of a request is some kilobytes: boxed it is written once, where a task would move it again and again.
    tokio::task::spawn_local(Box::pin(async move {
        serve_stream(&open.0, request, respond).await;
    }));
}

/// Counts a stream for as long as it is open.
struct Open(Rc<Shared>);

impl Open {
    fn new(shared: &Rc<Shared>) -> Self {
        shared.open.set(shared.open.get() + 1);
        Self(Rc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.worker.recorder.count(Counter::InvariantBroken, 1);
        }
        self.0.open.set(self.0.open.get() - 1);
        self.0.ended_ms.set(self.0.worker.clock.now_ms());
    }
}

/// One request, from its head to its record.
async fn serve_stream(
    shared: &Shared,
    request: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let worker = &shared.worker;
    let limits = worker.settings().start.limits;
    let started_us = worker.clock.now_us();
    let (parts, body) = request.into_parts();
    let head_limits = HeadLimits {
        head_bytes_max: limits.h2_header_list_bytes_max as usize,
        line_bytes_max: limits.line_bytes_max,
        fields_max: limits.fields_max,
    };
    let head = head::scan(&parts, &head_limits);
    let framing = head.as_ref().map_or(Ok(Framing::None), |head| {
        framing(head, body.is_end_stream())
    });
    let turn = shared.turn.replace(Turn::Later);
    let mut client = H2Client::new(worker, body, respond, head::bytes_of(&parts), turn);
    let timer = worker.timers.timer();
    let is_called_off = match (head, framing) {
        (Ok(head), Ok(framing)) => {
            let mut x = request::open(worker, &shared.info, opening(head, framing, started_us));
            x.response.headers = Headers::with_capacity(RESPONSE_FIELDS);
            // A tunnel is an HTTP/1 matter: nothing here asks for one.
            let _done = request::handle(worker, &mut x, &mut client, &timer).await;
            is_called_off(&x)
        }
        (Err(fault), _) | (_, Err(fault)) => {
            let mut x = request::open(worker, &shared.info, unreadable(&parts, started_us));
            request::refuse(worker, &mut x, &mut client, fault).await;
            is_called_off(&x)
        }
    };
    // A body that was not read to its end is called off, after the response, when the stream is let go of here.
    drop(client);
    if !is_called_off {
        shared.budget.request_served();
    }
}

// Whether the client went before it was told anything, and at once: an upstream may have been asked for nothing. Who waits
// for a while, or reads a part, has reasons of its own.
fn is_called_off(x: &Exchange) -> bool {
    let lasted_us = x.times.ended_us.saturating_sub(x.times.started_us);
    x.response.source == Source::ClientClosed && x.response.bytes == 0 && lasted_us < AT_ONCE_US
}

fn framing(head: &Head, is_end: bool) -> Result<Framing, RequestFault> {
    match framing::of_request(&head.headers, head.line.seen, HttpVersion::Http2)? {
        // Without a length the body goes on until the stream ends.
        Framing::None if !is_end => Ok(Framing::Chunked),
        Framing::Length(length) if is_end && length > 0 => Err(RequestFault::Malformed),
        framing => Ok(framing),
    }
}

fn opening(head: Head, body: Framing, started_us: u64) -> Opening {
    let text = |place: std::ops::Range<usize>| Text::copy_from(&head.bytes[place]);
    Opening {
        method: text(head.line.method.clone()),
        target: text(head.line.target.clone()),
        host: head
            .headers
            .get("host")
            .map(Text::copy_from)
            .unwrap_or_default(),
        body,
        version: HttpVersion::Http2,
        expects_continue: head
            .headers
            .get("expect")
            .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")),
        started_us,
        headers: head.headers,
    }
}

/// What is known of a request that is refused: enough for its record.
fn unreadable(parts: &Parts, started_us: u64) -> Opening {
    Opening {
        method: Text::copy_from(parts.method.as_str().as_bytes()),
        target: Text::copy_from(parts.uri.path().as_bytes()),
        host: Text::EMPTY,
        headers: Headers::new(),
        body: Framing::None,
        version: HttpVersion::Http2,
        expects_continue: false,
        started_us,
    }
}
