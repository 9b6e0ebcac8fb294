//! One attempt over HTTP/2: a stream on a shared connection, the request's body up and the head of the answer down, both
//! at once.
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use twinplane_engine::exchange::Exchange;
use twinplane_engine::retry::Failure;

use super::asking::{Refusal, Wait};
use super::body::Outgoing;
use super::proxy::{Answered, Failed, Via, unless_gone};
use crate::client_side::{ClientFault, ClientSide};
use crate::error_page::GatewayError;
use crate::h1::fault::RequestFault;
use crate::timers::Timer;
use crate::upstream::h2::head;
use crate::upstream::h2::stream::{Answering, Asked, Sending, Upload};
use crate::upstream::peers::Destination;
use crate::upstream::rounds::Timeouts;
use crate::worker::Worker;

/// The head of an answer over HTTP/2.
pub(super) type Head = http::response::Parts;

/// Sends the request and awaits the head of its answer.
pub(super) async fn attempt<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    outgoing: &mut Outgoing,
    destination: &Destination,
    timer: &Timer,
    timeouts: &Timeouts,
) -> Result<Answered, Failed> {
    let unsent = |failure| Failed::Upstream {
        failure,
        is_sent: false,
    };
    let host = x.upstream.host_header.as_ref();
    let host = host.unwrap_or(&destination.host_header);
    // What HTTP/2 cannot say is no failure of the peer.
    let request = head::request(x, &worker.settings(), host)
        .ok_or(Failed::Own(GatewayError::Request(RequestFault::Malformed)))?;
    let tls = destination.tls.as_ref();
    let is_reached = Cell::new(false);
    let timer_of = || (worker.timers.timer(), timeouts.connect);
    let leasing = worker
        .h2_pool
        .lease(&destination.key, tls, timer_of, &is_reached);
    let leased = timer
        .within(timeouts.connect, unless_gone(client, pin!(leasing)))
        .await;
    let lease = match leased {
        Ok(Ok(Ok(lease))) => lease,
        Ok(Ok(Err(_))) => return Err(unsent(Failure::Connect)),
        Ok(Err(fault)) => return Err(fault.into()),
        // A peer that takes connections, but whose streams others have taken all the time, is in good health.
        Err(_) if is_reached.get() => return Err(Failed::Own(GatewayError::UpstreamTimeout)),
        Err(_) => return Err(unsent(Failure::ConnectTimeout)),
    };
    worker.touch(x);
    x.times.connected_us = x.now_us;
    let (first, upload) = match outgoing {
        Outgoing::Held(body) if body.is_empty() => (Bytes::new(), Upload::Done),
        Outgoing::Held(body) => (body.clone(), Upload::Ending),
        Outgoing::Streamed { first, .. } => (first.clone(), Upload::Running),
    };
    let begun = lease.sender().send_request(request, upload == Upload::Done);
    let Ok((response, stream)) = begun else {
        return Err(unsent(Failure::Broken));
    };
    let mut asking = Asking {
        client,
        asked: Asked {
            response,
            sending: Sending::new(stream, first, upload),
            lease,
        },
        wait: None,
        timer,
        timeouts,
    };
    let found = std::future::poll_fn(|context| asking.poll(context)).await;
    timer.disarm();
    let Asked { sending, lease, .. } = asking.asked;
    match found {
        Ok(response) => {
            let (head, body) = response.into_parts();
            let answering = Box::new(Answering {
                body,
                sending,
                lease,
            });
            Ok(Answered {
                via: Via::H2 { head, answering },
                peer: None,
            })
        }
        Err((Refusal::Client(fault), _)) => Err(Failed::Client(fault)),
        Err((Refusal::Upstream(failure), is_untouched)) => {
            if failure == Failure::ReadTimeout {
                lease.retire();
            }
            // What the upstream says it did not look at may be sent again, if all of it is still here.
            let is_sent = !is_untouched || sending.has_drawn();
            Err(Failed::Upstream { failure, is_sent })
        }
    }
}

struct Asking<'a, C> {
    client: &'a mut C,
    asked: Asked,
    wait: Option<(Wait, usize)>,
    timer: &'a Timer,
    timeouts: &'a Timeouts,
}

type Found = Result<http::Response<::h2::RecvStream>, (Refusal, bool)>;

impl<C: ClientSide> Asking<'_, C> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Found> {
        let moved = self.asked.sending.poll(self.client, context);
        if let Poll::Ready(Err(fault)) = moved {
            return Poll::Ready(Err((Refusal::Client(fault), false)));
        }
        if let Poll::Ready(answered) = Pin::new(&mut self.asked.response).poll(context) {
            return Poll::Ready(answered.map_err(|error| refusal(&error)));
        }
        self.await_upstream(moved.is_ready());
        if self.timer.poll_elapsed(context).is_ready() {
            let failure = match self.wait {
                Some((Wait::Write, _)) => Failure::WriteTimeout,
                _ => Failure::ReadTimeout,
            };
            return Poll::Ready(Err((Refusal::Upstream(failure), false)));
        }
        if self.client.queued() > 0
            && let Poll::Ready(Err(fault)) = self.client.poll_flush(context)
        {
            return Poll::Ready(Err((Refusal::Client(fault), false)));
        }
        if self.client.is_body_ended() || self.asked.sending.is_blocked() {
            let gone = self.client.poll_gone(context);
            return gone.map(|()| Err((Refusal::Client(ClientFault::Gone), false)));
        }
        Poll::Pending
    }

    // Armed by the kind of wait, and anew as bytes move; the client's slowness is timed on its own side.
    fn await_upstream(&mut self, is_sent: bool) {
        let waiting = self.asked.sending.waiting();
        let wait = match (is_sent, waiting) {
            (true, _) => (Wait::Read, 0),
            (false, 0) => (Wait::Body, 0),
            (false, _) => (Wait::Write, waiting),
        };
        if self.wait == Some(wait) {
            return;
        }
        self.wait = Some(wait);
        match wait.0 {
            Wait::Read => self.timer.arm(self.timeouts.read),
            Wait::Write => self.timer.arm(self.timeouts.write),
            Wait::Body => self.timer.disarm(),
        }
    }
}

// Why there is no answer, and whether the upstream says that it has not looked at the request.
fn refusal(error: &::h2::Error) -> (Refusal, bool) {
    let is_refused = error.is_reset() && error.reason() == Some(::h2::Reason::REFUSED_STREAM);
    let is_untouched = error.is_remote() && (is_refused || error.is_go_away());
    let failure = if error.is_reset() && !is_untouched {
        Failure::InvalidResponse
    } else {
        Failure::Broken
    };
    (Refusal::Upstream(failure), is_untouched)
}
