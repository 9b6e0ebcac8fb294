//! The attempts at an upstream, of a request or of a stream: where each goes, how long it may take, what its failure means
//! for the peer, and whether another one follows.
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use twinplane_engine::balancer::{Ask, Outcome, hash_input};
use twinplane_engine::exchange::{Exchange, Try};
use twinplane_engine::retry::{self, Attempt, Decision, Failure};
use twinplane_engine::snapshot::ServiceTarget;
use twinplane_model::Service;

use crate::settings::attempts::{self, AttemptSettings};
use crate::upstream::peers::{self, Destination, NoDestination};
use crate::worker::Worker;

/// The service's patience, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// Until there is a connection.
    pub(crate) connect: u64,
    /// Without a byte being taken.
    pub(crate) write: u64,
    /// Without a byte coming.
    pub(crate) read: u64,
}

impl Timeouts {
    fn of(x: &Exchange, usual: &AttemptSettings) -> Self {
        let model = x.service().map(|service| &service.model);
        let of = |read: fn(&Service) -> Option<i64>, usual| {
            attempts::timeout(model.and_then(read), usual)
        };
        Self {
            connect: of(|model| model.connect_timeout, usual.connect_timeout_ms),
            write: of(|model| model.write_timeout, usual.write_timeout_ms),
            read: of(|model| model.read_timeout, usual.read_timeout_ms),
        }
    }
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// What happened.
    pub(crate) failure: Failure,
    /// Whether the upstream may have acted on it.
    pub(crate) is_sent: bool,
    /// Whether the connection had served others before.
    pub(crate) is_reused: bool,
    /// Whether all of it can be sent once more.
    pub(crate) is_replayable: bool,
}

/// What is left of the attempts that a request or a stream may make.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// How long each may take.
    pub(crate) timeouts: Timeouts,
    /// What the balancer hashes by.
    pub(crate) hash: Option<u32>,
    /// Whether a connection was found stale, so that another attempt was free.
    pub(crate) is_free_attempt_used: bool,
    /// How the last attempt failed; none before the first.
    pub(crate) last_failure: Option<Failure>,
    rules: AttemptSettings,
    retries_left: u32,
    tried: Vec<(IpAddr, u16)>,
}

impl Rounds {
    /// Before the first one.
    pub(crate) fn of(x: &mut Exchange, rules: AttemptSettings) -> Self {
        let retries = x
            .service()
            .and_then(|service| service.model.retries)
            .unwrap_or(5);
        Self {
            timeouts: Timeouts::of(x, &rules),
            hash: hash(x),
            is_free_attempt_used: false,
            last_failure: None,
            retries_left: rules.further(u32::try_from(retries).unwrap_or(0)),
            rules,
            tried: Vec::new(),
        }
    }

    /// Where the next one goes; it is noted as begun.
    pub(crate) async fn next(
        &self,
        worker: &Rc<Worker>,
        x: &mut Exchange,
    ) -> Result<Destination, NoDestination> {
        let (began_us, began_wall_us) = (x.now_us, x.wall_us);
        let ask = Ask {
            tried: &self.tried,
            hash: self.hash,
            now_us: began_us,
        };
        let within = Duration::from_millis(self.timeouts.connect);
        let destination = peers::next(worker, x, &ask, within).await?;
        x.tries.push(Try {
            ip: destination.ip.clone(),
            port: destination.port,
            started_wall_us: began_wall_us,
            balancer_us: worker.recent_us().saturating_sub(began_us),
            code: None,
            state: None,
        });
        Ok(destination)
    }

    /// Takes a failure into account; gives it back where no further attempt is made.
    pub(crate) fn after(
        &mut self,
        x: &mut Exchange,
        destination: &Destination,
        how: How,
    ) -> Result<(), Failure> {
        let method = x.upstream.method.as_ref().unwrap_or(&x.request.method);
        let attempt = Attempt {
            method: method.as_bytes(),
            retries_left: if self.rules.may_follow(how.failure) {
                self.retries_left
            } else {
                0
            },
            is_sent: how.is_sent,
            is_replayable: how.is_replayable,
            is_reused: how.is_reused,
            is_free_attempt_used: self.is_free_attempt_used,
        };
        let decision = retry::decide(how.failure, &attempt);
        let is_late = is_timeout(how.failure);
        if decision != Decision::RetryFree {
            let outcome = if is_late {
                Outcome::TimedOut
            } else {
                Outcome::ConnectionFailed
            };
            peers::report(x, destination, outcome);
        }
        if let Some(last) = x.tries.last_mut() {
            last.state = Some("failed");
            last.code = Some(if is_late { 504 } else { 502 });
        }
        self.last_failure = Some(how.failure);
        match decision {
            Decision::GiveUp => return Err(how.failure),
            Decision::RetryFree => self.is_free_attempt_used = true,
            Decision::Retry => {
                self.retries_left -= 1;
                self.tried.extend(destination.tried);
            }
        }
        Ok(())
    }
}

/// What the request hashes to, where its upstream asks for that; a new cookie goes back with the response.
pub(crate) fn hash(x: &mut Exchange) -> Option<u32> {
    let ServiceTarget::Upstream(upstream) = x.service()?.target else {
        return None;
    };
    let found = hash_input(&x.snapshot.upstreams.get(upstream as usize)?.policy, x);
    if let Some(cookie) = found.set_cookie {
        x.response.headers.append("Set-Cookie", cookie);
    }
    found.hash
}

/// Whether nothing happened for too long.
pub(crate) fn is_timeout(failure: Failure) -> bool {
    matches!(
        failure,
        Failure::ConnectTimeout | Failure::ReadTimeout | Failure::WriteTimeout
    )
}
