//! One HTTP/1 connection of a client: heads in, requests handed to the walk, one after the other, until somebody has had
//! enough. When none follows, it lets go of what requests need.
mod client;
mod respond;
pub(crate) mod room;
pub(crate) mod target;

use std::rc::Rc;

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use twinplane_engine::exchange::{Exchange, Framing, HttpVersion};
use twinplane_engine::headers::Headers;
use twinplane_engine::text::Text;

use self::room::Room;
use self::target::{glimpse, host_of, target_of};
use crate::client_side::ByteCounts;
use crate::conn_info::ConnInfo;
use crate::h1::body::IncomingBody;
use crate::h1::fault::RequestFault;
use crate::h1::framing;
use crate::h1::names::Known;
use crate::h1::scan::{self, HeadLimits, RequestLine};
use crate::pace::Pace;
use crate::recorder::Counter;
use crate::request::{self, Active, Handled, Opening};
use crate::timers::Timer;
use crate::upgrade;
use crate::upstream::connection::poll_fill;
use crate::worker::Worker;

// Silence after an answer that makes a connection an idle one. Who asks again within it finds everything at hand.
const QUIET_MS: u64 = 100;
// Of a body that nobody wanted, so much is read to keep the connection.
const UNWANTED_BYTES_MAX: u64 = 262_144;
const UNWANTED_MS: u64 = 2_000;

/// A client's connection, and the request it is at.
struct Connection<S> {
    io: S,
    worker: Rc<Worker>,
    info: ConnInfo,
    timer: Timer,
    served: u64,
    room: Room,
    // Of the request under way.
    body: IncomingBody,
    body_taken: u64,
    body_bytes_max: u64,
    pace: Pace,
    counts: ByteCounts,
    reply: Reply,
    trailers: Option<Box<HeaderMap>>,
}

/// What is settled of the response to the request under way.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that are settled one by one"
)]
struct Reply {
    version: HttpVersion,
    is_head_request: bool,
    keeps_alive: bool,
    is_continue_owed: bool,
    is_chunked: bool,
    is_bodiless: bool,
    is_begun: bool,
    is_ended: bool,
    is_cut: bool,
}

enum Next {
    Request(RequestLine),
    Fault(RequestFault),
    Quiet,
    Closed,
}

/// How a spell of requests came to its end.
enum Spell {
    /// The client may ask again some time.
    Quiet,
    Closed,
}

/// Serves a connection to its end.
pub async fn serve_h1<S: AsyncRead + AsyncWrite + Unpin>(
    io: S,
    info: ConnInfo,
    worker: Rc<Worker>,
) {
    let timer = worker.timers.timer();
    let mut connection = Connection {
        io,
        info,
        timer,
        served: 0,
        room: Room::default(),
        body: IncomingBody::Length(0),
        body_taken: 0,
        body_bytes_max: u64::MAX,
        pace: Pace::default(),
        counts: ByteCounts::default(),
        reply: Reply::default(),
        trailers: None,
        worker,
    };
    connection.serve().await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn serve(&mut self) {
        // What requests need lies in a box for as long as they come: an idle connection has no place for it.
        while self.wake().await {
            match Box::pin(self.spell()).await {
                Spell::Quiet => self.worker.rooms.give_back(&mut self.room),
                Spell::Closed => break,
            }
        }
        self.worker.rooms.give_back(&mut self.room);
    }

    // Waits for the first bytes of a spell; says whether they came. Meanwhile the room is others'.
    async fn wake(&mut self) -> bool {
        let idle_ms = self.idle_ms();
        self.timer.arm_idle(idle_ms);
        self.worker.recorder.count(Counter::ConnectionsIdle, 1);
        let Self {
            io,
            room,
            timer,
            worker,
            ..
        } = self;
        let read = std::future::poll_fn(|context| {
            worker.rooms.furnish(room);
            let filled = poll_fill(io, &mut room.buffer, false, context);
            if filled.is_pending() {
                worker.rooms.give_back(room);
            }
            filled
        });
        let read = timer.unless_elapsed(read).await;
        worker.recorder.uncount(Counter::ConnectionsIdle, 1);
        timer.disarm();
        matches!(read, Ok(Ok(1..)))
    }

    fn idle_ms(&self) -> u64 {
        let limits = self.worker.settings().start.limits;
        if self.served == 0 {
            limits.head_timeout_ms
        } else {
            limits.idle_timeout_ms.saturating_sub(QUIET_MS)
        }
    }

    // Serves requests for as long as one follows the other.
    async fn spell(&mut self) -> Spell {
        let upstream_timer = self.worker.timers.timer();
        loop {
            let next = self.next_head().await;
            self.timer.disarm();
            let headers = std::mem::take(&mut self.room.request);
            let keeps = match next {
                Next::Quiet => {
                    self.room.request = headers;
                    return Spell::Quiet;
                }
                Next::Closed => return Spell::Closed,
                Next::Fault(fault) => {
                    self.refuse(headers, fault).await;
                    false
                }
                Next::Request(line) => self.request(line, headers, &upstream_timer).await,
            };
            if !keeps {
                self.close().await;
                return Spell::Closed;
            }
        }
    }

    // Waits for the next request's head.
    async fn next_head(&mut self) -> Next {
        let limits = self.worker.settings().start.limits;
        let head_limits = HeadLimits {
            head_bytes_max: limits.head_bytes_max,
            line_bytes_max: limits.line_bytes_max,
            fields_max: limits.fields_max,
        };
        let mut is_timed = false;
        loop {
            if !self.room.buffer.is_empty() {
                let Room {
                    buffer, request, ..
                } = &mut self.room;
                match scan::request(buffer, &head_limits, request) {
                    Ok(Some(line)) => return Next::Request(line),
                    Ok(None) => {}
                    Err(fault) => return Next::Fault(fault),
                }
            }
            let is_idle = self.room.buffer.is_empty();
            if is_idle {
                // A request has just ended.
                let quiet_ms = limits.idle_timeout_ms.min(QUIET_MS);
                self.timer.arm_idle_from(self.worker.recent_ms(), quiet_ms);
                self.worker.recorder.count(Counter::ConnectionsIdle, 1);
            } else if !is_timed {
                is_timed = true;
                self.timer.arm(limits.head_timeout_ms);
            }
            let filled = self.fill().await;
            if is_idle {
                self.worker.recorder.uncount(Counter::ConnectionsIdle, 1);
            }
            match filled {
                Some(1..) => {}
                Some(0) => return Next::Closed,
                None if is_idle => return Next::Quiet,
                None => return Next::Fault(RequestFault::TimedOut),
            }
        }
    }

    // Bytes read; none when the time is over. A broken connection reads as closed.
    async fn fill(&mut self) -> Option<usize> {
        let Self {
            io, room, timer, ..
        } = self;
        let read = std::future::poll_fn(|context| poll_fill(io, &mut room.buffer, false, context));
        timer
            .unless_elapsed(read)
            .await
            .ok()
            .map(|read| read.unwrap_or(0))
    }

    // Serves one request. Says whether another one may follow.
    async fn request(
        &mut self,
        line: RequestLine,
        mut headers: Headers,
        upstream_timer: &Timer,
    ) -> bool {
        self.served += 1;
        let started_us = self.worker.now_us();
        let head = self.room.buffer.split_to(line.head_bytes).freeze();
        headers.attach(head.clone());
        let framed = framing::of_request(&headers, line.seen, line.version);
        let target = target_of(&head, &line);
        let host = host_of(&headers, &line, &target);
        self.begin(&line, &headers, framed.unwrap_or_default());
        let fault = framed
            .err()
            .or(target.as_ref().err().copied())
            .or(host.as_ref().err().copied());
        let opening = Opening {
            method: Text::from(head.slice(line.method.clone())),
            target: target.map_or(Text::EMPTY, |target| target.origin),
            host: host.unwrap_or_default(),
            headers,
            body: framed.unwrap_or_default(),
            version: line.version,
            expects_continue: self.reply.is_continue_owed,
            started_us,
        };
        let worker = Rc::clone(&self.worker);
        let mut x = request::open(&worker, &self.info, opening);
        if let Some(fault) = fault.or_else(|| self.body_fault(&x)) {
            self.reply.keeps_alive = false;
            x.request.path = raw_path(&x);
            request::refuse(&worker, &mut x, self, fault).await;
            return false;
        }
        x.response.headers = std::mem::take(&mut self.room.response);
        let handled = request::handle(&worker, &mut x, self, upstream_timer).await;
        match handled {
            Handled::Done => {
                self.room.take_back(x.request.headers, x.response.headers);
                self.reply.is_ended
                    && !self.reply.is_cut
                    && self.drain_body().await
                    && self.reply.keeps_alive
            }
            Handled::Tunnel(tunnel, active) => {
                self.tunnel(&mut x, tunnel, active).await;
                false
            }
        }
    }

    fn begin(&mut self, line: &RequestLine, headers: &Headers, body: Framing) {
        let limits = self.worker.settings().start.limits;
        let is_last = limits.requests_max != 0 && self.served >= limits.requests_max;
        self.reply = Reply {
            version: line.version,
            is_head_request: false,
            keeps_alive: !is_last
                && !self.worker.is_draining()
                && !self.info.closing.is_asked()
                && keeps_alive(line, headers),
            is_continue_owed: line.version == HttpVersion::Http11
                && line.seen.has(Known::Expect)
                && headers
                    .get("expect")
                    .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")),
            ..Reply::default()
        };
        self.counts = ByteCounts {
            received: line.head_bytes as u64,
            ..ByteCounts::default()
        };
        self.body = IncomingBody::of_request(body);
        self.trailers = None;
        self.body_taken = 0;
        let limits = self.worker.settings().start.limits;
        self.body_bytes_max = limits.body_most();
        self.pace = Pace::new(&limits);
    }

    fn body_fault(&mut self, x: &Exchange) -> Option<RequestFault> {
        self.reply.is_head_request = x.request.method.as_bytes() == b"HEAD";
        match x.request.body {
            Framing::Length(length) if length > self.body_bytes_max => {
                Some(RequestFault::BodyTooLarge)
            }
            _ => None,
        }
    }

    // A head that could not be read is still a request that was refused: it is answered, logged and recorded.
    async fn refuse(&mut self, mut headers: Headers, fault: RequestFault) {
        let started_us = self.worker.now_us();
        let bytes = self.room.buffer.split().freeze();
        let (method, target) = glimpse(&bytes);
        self.counts = ByteCounts {
            received: bytes.len() as u64,
            ..ByteCounts::default()
        };
        headers.attach(bytes);
        self.body = IncomingBody::Length(0);
        self.reply = Reply::default();
        let opening = Opening {
            method,
            target,
            host: headers.get("host").map(Text::copy_from).unwrap_or_default(),
            headers,
            body: Framing::None,
            version: HttpVersion::Http11,
            expects_continue: false,
            started_us,
        };
        let worker = Rc::clone(&self.worker);
        let mut x = request::open(&worker, &self.info, opening);
        x.request.path = raw_path(&x);
        if fault != RequestFault::TimedOut {
            worker.recorder.count(
                Counter::LimitsBroken,
                u64::from(matches!(
                    fault,
                    RequestFault::HeadTooLarge | RequestFault::TargetTooLong
                )),
            );
        }
        request::refuse(&worker, &mut x, self, fault).await;
    }

    async fn tunnel(&mut self, x: &mut Exchange, tunnel: upgrade::Tunnel, active: Active) {
        let flushed =
            std::future::poll_fn(|context| self.room.output.poll_write_all(&mut self.io, context));
        if flushed.await.is_ok() {
            let early = self.room.buffer.split();
            let passed = upgrade::run(&mut self.io, early, tunnel, &self.timer).await;
            self.counts.received += passed.up;
            self.counts.sent += passed.down;
            self.counts.sent_body += passed.down;
        }
        let worker = Rc::clone(&self.worker);
        request::finish(&worker, x, self);
        drop(active);
    }

    // Reads what is left of a body that was not wanted, so that the next head is found behind it.
    async fn drain_body(&mut self) -> bool {
        if self.body.is_ended() {
            return true;
        }
        if self.reply.is_continue_owed || !self.reply.keeps_alive {
            return false;
        }
        let before = self.body_taken;
        self.timer.arm(UNWANTED_MS);
        let drained = std::future::poll_fn(|context| {
            use crate::client_side::ClientSide;
            loop {
                match self.poll_body(context) {
                    std::task::Poll::Ready(Ok(Some(_)))
                        if self.body_taken - before <= UNWANTED_BYTES_MAX => {}
                    std::task::Poll::Ready(Ok(None)) => return std::task::Poll::Ready(true),
                    std::task::Poll::Ready(_) => return std::task::Poll::Ready(false),
                    std::task::Poll::Pending => return std::task::Poll::Pending,
                }
            }
        })
        .await;
        self.timer.disarm();
        drained
    }

    // Closes so that the client can still read what was written: what it sends meanwhile is read and dropped for a while,
    // since closing over unread bytes would reset the connection.
    async fn close(&mut self) {
        if self.reply.is_cut {
            return;
        }
        let shut =
            std::future::poll_fn(|context| std::pin::Pin::new(&mut self.io).poll_shutdown(context));
        self.timer.arm(UNWANTED_MS);
        if !matches!(self.timer.unless_elapsed(shut).await, Ok(Ok(()))) {
            return;
        }
        let mut dropped = 0;
        while dropped < UNWANTED_BYTES_MAX {
            self.room.buffer.clear();
            match self.fill().await {
                Some(read @ 1..) => dropped += read as u64,
                _ => return,
            }
        }
    }
}

// What a refused request's record shows of its target, which has no normal form or was never asked for one.
fn raw_path(x: &Exchange) -> Text {
    Text::copy_from(crate::forwarded::raw_path(x.request.target.as_bytes()))
}

fn keeps_alive(line: &RequestLine, headers: &Headers) -> bool {
    let is_11 = line.version == HttpVersion::Http11;
    if !line.seen.has(Known::Connection) {
        return is_11;
    }
    let says = |option: &[u8]| {
        let mut options = headers
            .get_all("connection")
            .flat_map(|value| value.split(|byte| *byte == b','));
        options.any(|one| one.trim_ascii().eq_ignore_ascii_case(option))
    };
    !says(b"close") && (is_11 || says(b"keep-alive"))
}
