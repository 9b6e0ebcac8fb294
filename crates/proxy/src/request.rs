//! The walk of a request: snapshot, route, plugins, upstream, response, record. Only forward, with one bounded loop; every
//! way out ends in the response filters, the log phase and the record.
mod ahead;
mod asking;
mod asking_h2;
mod body;
mod buffering;
mod leg;
mod open;
pub(crate) mod phases;
pub(crate) mod proxy;
mod receive;
mod relay;
mod respond;
pub(crate) mod route;
mod visit;

use std::rc::Rc;

use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::{Exchange, Source};

use self::proxy::Via;
use crate::client_side::{ClientFault, ClientSide};
use crate::error_page::GatewayError;
use crate::h1::fault::RequestFault;
use crate::recorder::Counter;
use crate::timers::Timer;
use crate::upgrade::Tunnel;
use crate::worker::Worker;

pub use open::{Opening, open};

/// How a request left the walk.
#[derive(Debug)]
pub enum Handled {
    /// Answered, or there was nobody left to answer.
    Done,
    /// The upstream agreed to another protocol; after the tunnel [`finish`] ends the request.
    Tunnel(Tunnel, Active),
}

/// A request under way: counted as long as this is held, whatever ends it.
#[derive(Debug)]
pub struct Active(Rc<Worker>);

impl Active {
    fn begin(worker: &Rc<Worker>) -> Self {
        worker.recorder.count(Counter::RequestsActive, 1);
        Self(Rc::clone(worker))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.recorder.uncount(Counter::RequestsActive, 1);
    }
}

/// Why the walk stops before the upstream has answered.
#[derive(Debug)]
enum Stop {
    /// A filter answers.
    Answer(Box<Answer>),
    /// The gateway answers.
    Error(GatewayError),
    /// The client has gone; nobody is answered.
    ClientGone,
    /// A response has begun and cannot be completed.
    Cut,
    /// The same, after a reset of the upstream with this code.
    Reset(::h2::Reason),
}

impl From<ClientFault> for Stop {
    fn from(fault: ClientFault) -> Self {
        match fault {
            ClientFault::Gone => Self::ClientGone,
            ClientFault::Request(fault) => Self::Error(GatewayError::Request(fault)),
        }
    }
}

impl From<GatewayError> for Stop {
    fn from(error: GatewayError) -> Self {
        Self::Error(error)
    }
}

/// Serves one request to its end. `timer` is for waits on upstreams.
pub async fn handle<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    timer: &Timer,
) -> Handled {
    let active = Active::begin(worker);
    match walk(worker, x, client, timer).await {
        Ok(Some(tunnel)) => return Handled::Tunnel(tunnel, active),
        Ok(None) => {}
        Err(stop) => stopped(worker, x, client, stop).await,
    }
    finish(worker, x, client);
    Handled::Done
}

/// Answers a request that could not even be opened.
pub async fn refuse<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    fault: RequestFault,
) {
    let _active = Active::begin(worker);
    phases::skip_to_response(x);
    stopped(worker, x, client, Stop::Error(GatewayError::Request(fault))).await;
    finish(worker, x, client);
}

async fn walk<C: ClientSide>(
    worker: &Rc<Worker>,
    x: &mut Exchange,
    client: &mut C,
    timer: &Timer,
) -> Result<Option<Tunnel>, Stop> {
    let mut body = body::Collected::default();
    let step = phases::run(worker, x, client, &mut body, phases::Before::Rewrite).await;
    step?;
    route::find(&worker.settings(), x)?;
    phases::run(worker, x, client, &mut body, phases::Before::Access).await?;
    if x.service.is_none() {
        return Err(GatewayError::NoService.into());
    }
    phases::limit_body(x, client);
    worker.touch(x);
    x.times.proxied_us = x.now_us;
    let answered = proxy::ask(worker, x, client, &mut body, timer).await?;
    let relayed = match answered.via {
        Via::H1(answer) if answer.status_line.status == 101 => {
            let tunnel = respond::tunnel(worker, x, client, answer).await;
            return Ok(Some(tunnel));
        }
        via => respond::upstream(worker, x, client, via, answered.peer).await?,
    };
    relay::run(worker, x, client, relayed, timer).await?;
    Ok(None)
}

// Ends a request that the upstream did not answer.
async fn stopped<C: ClientSide>(worker: &Rc<Worker>, x: &mut Exchange, client: &mut C, stop: Stop) {
    let is_flushed = match stop {
        Stop::Answer(answer) => respond::answer(worker, x, client, &answer, false).await,
        Stop::Error(error) => {
            if matches!(error, GatewayError::Request(_)) {
                client.end_connection();
            }
            respond::error(worker, x, client, &error).await
        }
        Stop::ClientGone => {
            x.response.source = Source::ClientClosed;
            x.response.status = 499;
            false
        }
        Stop::Cut => false,
        Stop::Reset(reason) => {
            client.reset(reason);
            return;
        }
    };
    if !is_flushed {
        client.cut();
    }
}

/// Ends a request: sizes and times, log phase, record.
pub fn finish<C: ClientSide>(worker: &Rc<Worker>, x: &mut Exchange, client: &C) {
    worker.touch(x);
    x.times.ended_us = x.now_us;
    let counts = client.counts();
    x.request.bytes = counts.received;
    x.response.bytes = counts.sent;
    x.response.body_bytes = counts.sent_body;
    phases::log(worker, x);
}
