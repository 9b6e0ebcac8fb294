//! Reaches the upstream of a stream: pick a destination, connect, shake hands where it is spoken to over TLS. A failure
//! goes to `engine::retry`; the loop is bounded by the service's `retries`. Once there is a connection nothing is repeated.
use std::pin::pin;
use std::rc::Rc;

use twinplane_engine::balancer::Outcome;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::retry::Failure;
use twinplane_engine::stream::{NOT_REACHED, NOT_SERVED, Transport};

use super::session::Session;
use crate::settings::AttemptSettings;
use crate::timers::Timer;
use crate::upstream::connection::UpstreamConnection;
use crate::upstream::io::UpstreamIo;
use crate::upstream::peers::{self, Destination, NoDestination};
use crate::upstream::rounds::{How, Rounds};

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
        let tls = destination.tls.as_ref();
        let opened = UpstreamConnection::open(destination.key.clone(), tls).await;
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
    worker.touch(x);
    x.times.proxied_us = x.now_us;
    // What settings say of attempts is about requests.
    let mut rounds = Rounds::of(x, AttemptSettings::default());
    let timeouts = rounds.timeouts;
    loop {
        worker.touch(x);
        let began_us = x.now_us;
        let mut destination = match rounds.next(&worker, x).await {
            Ok(destination) => destination,
            Err(none) => {
                // After a failure the failure is what counts.
                let after = rounds.last_failure.map(|_| NOT_REACHED);
                session.refuse(after.unwrap_or_else(|| status_of(&none)));
                return None;
            }
        };
        let opened = timer
            .within(timeouts.connect, pin!(open(&destination)))
            .await;
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
                    // As on a real node the longer one of reading and writing.
                    idle_ms: timeouts.read.max(timeouts.write),
                });
            }
            Ok(Err(())) => Failure::Connect,
            Err(_) => Failure::ConnectTimeout,
        };
        let how = How {
            failure,
            is_sent: false,
            is_reused: false,
            is_replayable: true,
        };
        if rounds.after(x, &destination, how).is_err() {
            session.refuse(NOT_REACHED);
            return None;
        }
    }
}

fn is_udp(x: &Exchange) -> bool {
    let stream = x.stream.as_ref();
    stream.is_some_and(|stream| stream.transport == Transport::Udp)
}

/// As the log has it.
pub(crate) fn status_of(none: &NoDestination) -> u16 {
    match none {
        NoDestination::NoPeer | NoDestination::Name { .. } => NOWHERE,
        NoDestination::Tls(_) => NOT_SERVED,
    }
}
