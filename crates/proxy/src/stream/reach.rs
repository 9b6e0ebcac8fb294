//! Reaches the upstream of a stream: pick a destination, connect, shake hands where it is spoken to over TLS. A failure
//! goes to `engine::retry`; the loop is bounded by the service's `retries`. Once there is a connection nothing is repeated.
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use twinplane_engine::balancer::{Ask, Outcome};
use twinplane_engine::exchange::{Exchange, Try};
use twinplane_engine::retry::{self, Attempt, Decision, Failure};
use twinplane_engine::stream::{NOT_REACHED, NOT_SERVED, Transport};

use super::session::Session;
use crate::request::proxy;
use crate::timers::Timer;
use crate::tls::upstream::UpstreamTls;
use crate::upstream::connection::UpstreamConnection;
use crate::upstream::io::UpstreamIo;
use crate::upstream::peers::{self, Destination, NoDestination};

/// Status where no peer or no address is there.
const NOWHERE: u16 = 503;

/// The upstream's end.
#[derive(Debug)]
pub(super) struct Reached<T> {
    /// The connection.
    pub(super) io: T,
    /// Where it leads; its peer is busy until the stream has ended.
    pub(super) destination: Destination,
    /// Silence after which the stream is closed.
    pub(super) idle_ms: u64,
}

/// Connects. None: the session holds why not.
pub(super) async fn upstream(session: &mut Session, timer: &Timer) -> Option<Reached<UpstreamIo>> {
    attempts(session, timer, async |destination: &Destination| {
        let tls = destination.tls.as_ref().map(of_streams);
        let opened = UpstreamConnection::open(destination.key.clone(), tls.as_ref()).await;
        opened.map(|connection| connection.io).map_err(drop)
    })
    .await
}

/// Goes from peer to peer until `open` succeeds at one.
pub(super) async fn attempts<T>(
    session: &mut Session,
    timer: &Timer,
    open: impl AsyncFn(&Destination) -> Result<T, ()>,
) -> Option<Reached<T>> {
    let worker = Rc::clone(&session.worker);
    let x = &mut session.x;
    let (connect_ms, idle_ms) = timeouts(x);
    let mut retries_left = retries(x);
    let mut tried = Vec::new();
    worker.touch(x);
    x.times.proxied_us = x.now_us;
    let hash = proxy::hash(x);
    loop {
        worker.touch(x);
        let began_us = x.now_us;
        let ask = Ask {
            tried: &tried,
            hash,
            now_us: began_us,
        };
        let within = Duration::from_millis(connect_ms);
        let mut destination = match peers::next(&worker, x, &ask, within).await {
            Ok(destination) => destination,
            Err(none) => {
                // After a failure the failure is what counts.
                let status = if tried.is_empty() {
                    status_of(&none)
                } else {
                    NOT_REACHED
                };
                session.refuse(status);
                return None;
            }
        };
        x.tries.push(Try {
            ip: destination.ip.clone(),
            port: destination.port,
            started_wall_us: x.wall_us,
            balancer_us: worker.now_us().saturating_sub(began_us),
            code: None,
            state: None,
        });
        let opened = timer.within(connect_ms, pin!(open(&destination))).await;
        worker.touch(x);
        let failure = match opened {
            Ok(Ok(io)) => {
                // Of datagrams nobody knows before a reply has come.
                if !is_udp(x) {
                    peers::report(x, &destination, Outcome::Status(200));
                    if let Some(peer) = &mut destination.peer {
                        peer.answered(x.now_us - began_us, x.now_us);
                    }
                }
                session.reached();
                return Some(Reached {
                    io,
                    destination,
                    idle_ms,
                });
            }
            Ok(Err(())) => Failure::Connect,
            Err(_) => Failure::ConnectTimeout,
        };
        note(x, &destination, failure);
        if decide(failure, retries_left) == Decision::GiveUp {
            session.refuse(NOT_REACHED);
            return None;
        }
        retries_left -= 1;
        tried.extend(destination.tried);
    }
}

fn is_udp(x: &Exchange) -> bool {
    let stream = x.stream.as_ref();
    stream.is_some_and(|stream| stream.transport == Transport::Udp)
}

fn decide(failure: Failure, retries_left: u32) -> Decision {
    let attempt = Attempt {
        method: b"",
        retries_left,
        is_sent: false,
        is_replayable: true,
        is_reused: false,
        is_free_attempt_used: true,
    };
    retry::decide(failure, &attempt)
}

fn note(x: &mut Exchange, destination: &Destination, failure: Failure) {
    let (outcome, code) = match failure {
        Failure::ConnectTimeout => (Outcome::TimedOut, 504),
        _ => (Outcome::ConnectionFailed, 502),
    };
    peers::report(x, destination, outcome);
    if let Some(last) = x.tries.last_mut() {
        last.state = Some("failed");
        last.code = Some(code);
    }
}

/// As the log has it.
pub(crate) fn status_of(none: &NoDestination) -> u16 {
    match none {
        NoDestination::NoPeer | NoDestination::Name { .. } => NOWHERE,
        NoDestination::Tls(_) => NOT_SERVED,
    }
}

fn retries(x: &Exchange) -> u32 {
    let retries = x.service().and_then(|service| service.model.retries);
    u32::try_from(retries.unwrap_or(5)).unwrap_or(0)
}

/// Of connecting, and of silence: as on a real node the longer one of reading and writing.
pub(super) fn timeouts(x: &Exchange) -> (u64, u64) {
    let model = x.service().map(|service| &service.model);
    let ms = |value: Option<i64>| {
        let ms = value.and_then(|ms| u64::try_from(ms).ok());
        ms.unwrap_or(60_000)
    };
    let write = ms(model.and_then(|model| model.write_timeout));
    let read = ms(model.and_then(|model| model.read_timeout));
    (
        ms(model.and_then(|model| model.connect_timeout)),
        read.max(write),
    )
}

// What is spoken over the connection is between the two ends: no protocol is asked for.
fn of_streams(tls: &UpstreamTls) -> UpstreamTls {
    let mut config = (*tls.config).clone();
    config.alpn_protocols.clear();
    UpstreamTls {
        number: tls.number,
        config: Arc::new(config),
    }
}
