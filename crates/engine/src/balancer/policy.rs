//! What an upstream's row says about spreading requests and about judging peers, parsed once.
use twinplane_model::{Upstream, UpstreamHealthchecksActive, UpstreamHealthchecksPassive};

use super::health::{Report, Thresholds};

/// How requests are spread over peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// By a property of the request.
    ConsistentHashing,
    /// To the peer with the fewest open requests for its weight.
    LeastConnections,
    /// To the peer that answered fastest lately.
    Latency,
    /// In turn, and to the same peer from then on.
    StickySessions,
}

/// The cookie that ties a client to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StickyCookie {
    /// Its name.
    pub name: Box<str>,
    /// Path it is set for.
    pub path: Box<str>,
}

/// Which property of a request is hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HashSource {
    /// None.
    #[default]
    None,
    /// The consumer, else the credential.
    Consumer,
    /// The client's address.
    Ip,
    /// The path.
    Path,
    /// All values of a header.
    Header(Box<str>),
    /// A cookie, set where the client sends none.
    Cookie {
        /// Its name.
        name: Box<str>,
        /// Path it is set for.
        path: Box<str>,
    },
    /// All values of a query argument.
    QueryArgument(Box<str>),
    /// A capture of the route's regex path.
    UriCapture(Box<str>),
}

/// How an attempt at a peer, or a probe of it, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered with this status.
    Status(u16),
    /// It took the connection, which was all that was asked.
    Alive,
    /// What it said is no answer.
    Garbage,
    /// No connection, or it broke.
    ConnectionFailed,
    /// Too late.
    TimedOut,
}

/// An upstream's rules.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// How requests are spread.
    pub algorithm: Algorithm,
    /// What is hashed.
    pub hash_on: HashSource,
    /// What is hashed where the first is absent.
    pub hash_fallback: HashSource,
    /// Ties clients to peers, where the algorithm does.
    pub sticky: Option<StickyCookie>,
    /// Length of the ring.
    pub slots: u32,
    /// Percentage of the weight that must be available; at or under it no peer is given out.
    pub threshold_percent: f64,
    /// What traffic says about peers.
    pub passive: Checks,
    /// What probes say about peers.
    pub active: Checks,
    /// Whether peers are probed at all.
    pub is_probed: bool,
}

impl Policy {
    /// The rules of a row. An algorithm or source that is not known is said.
    pub fn of(upstream: &Upstream) -> Result<Self, String> {
        let algorithm = match upstream.algorithm.as_deref() {
            None | Some("round-robin") => Algorithm::RoundRobin,
            Some("consistent-hashing") => Algorithm::ConsistentHashing,
            Some("least-connections") => Algorithm::LeastConnections,
            Some("latency") => Algorithm::Latency,
            Some("sticky-sessions") => Algorithm::StickySessions,
            Some(other) => return Err(format!("algorithm: '{other}' is not known to this node")),
        };
        let checks = &upstream.healthchecks;
        Ok(Self {
            algorithm,
            hash_on: primary_source(upstream)?,
            hash_fallback: fallback_source(upstream)?,
            sticky: sticky_cookie(upstream, algorithm)?,
            slots: upstream
                .slots
                .and_then(|slots| u32::try_from(slots).ok())
                .unwrap_or(0),
            threshold_percent: checks.threshold.unwrap_or(0.0),
            passive: Checks::passive(&checks.passive),
            active: Checks::active(&checks.active),
            is_probed: [
                checks.active.healthy.interval,
                checks.active.unhealthy.interval,
            ]
            .iter()
            .any(|interval| interval.unwrap_or(0.0) > 0.0),
        })
    }

    /// What an attempt of a request says about the peer; none where it says nothing.
    pub fn judge(&self, outcome: Outcome) -> Option<Report> {
        match outcome {
            // A gateway behind us that gave up on its own upstream.
            Outcome::Status(504) => Some(Report::Timeout),
            outcome => self.passive.judge(outcome),
        }
    }

    /// Whether the health of its peers is looked after in any way.
    pub fn is_checked(&self) -> bool {
        self.is_probed || self.passive.thresholds != Thresholds::default()
    }
}

/// What counts for or against a peer, and how much of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// When the peer's state changes.
    pub thresholds: Thresholds,
    /// Statuses that count as success, rising.
    pub healthy_statuses: Box<[u16]>,
    /// Statuses that count as failure, rising.
    pub unhealthy_statuses: Box<[u16]>,
}

impl Checks {
    fn passive(row: &UpstreamHealthchecksPassive) -> Self {
        // Statuses say nothing where only connections are judged.
        let judges_statuses = row.r#type.as_deref() != Some("tcp");
        let statuses =
            |list: &Option<Vec<i64>>| sorted(list.as_deref().filter(|_| judges_statuses));
        Self {
            thresholds: Thresholds {
                successes: count(row.healthy.successes),
                http_failures: count(row.unhealthy.http_failures),
                tcp_failures: count(row.unhealthy.tcp_failures),
                timeouts: count(row.unhealthy.timeouts),
            },
            healthy_statuses: statuses(&row.healthy.http_statuses),
            unhealthy_statuses: statuses(&row.unhealthy.http_statuses),
        }
    }

    fn active(row: &UpstreamHealthchecksActive) -> Self {
        Self {
            thresholds: Thresholds {
                successes: count(row.healthy.successes),
                http_failures: count(row.unhealthy.http_failures),
                tcp_failures: count(row.unhealthy.tcp_failures),
                timeouts: count(row.unhealthy.timeouts),
            },
            healthy_statuses: sorted(row.healthy.http_statuses.as_deref()),
            unhealthy_statuses: sorted(row.unhealthy.http_statuses.as_deref()),
        }
    }

    /// What an outcome says about the peer; none where it says nothing.
    pub fn judge(&self, outcome: Outcome) -> Option<Report> {
        let lists = |list: &[u16], status: u16| list.binary_search(&status).is_ok();
        match outcome {
            Outcome::Alive => Some(Report::Success),
            Outcome::Garbage => Some(Report::HttpFailure),
            Outcome::ConnectionFailed => Some(Report::TcpFailure),
            Outcome::TimedOut => Some(Report::Timeout),
            Outcome::Status(status) if lists(&self.healthy_statuses, status) => {
                Some(Report::Success)
            }
            Outcome::Status(status) if lists(&self.unhealthy_statuses, status) => {
                Some(Report::HttpFailure)
            }
            Outcome::Status(_) => None,
        }
    }
}

fn count(limit: Option<i64>) -> u8 {
    limit.map_or(0, |limit| u8::try_from(limit.max(0)).unwrap_or(u8::MAX))
}

fn sorted(statuses: Option<&[i64]>) -> Box<[u16]> {
    let mut sorted: Vec<u16> = statuses
        .unwrap_or_default()
        .iter()
        .filter_map(|status| u16::try_from(*status).ok())
        .collect();
    sorted.sort_unstable();
    sorted.into()
}

fn sticky_cookie(
    upstream: &Upstream,
    algorithm: Algorithm,
) -> Result<Option<StickyCookie>, String> {
    if algorithm != Algorithm::StickySessions {
        return Ok(None);
    }
    let path = upstream.sticky_sessions_cookie_path.as_deref();
    Ok(Some(StickyCookie {
        name: upstream
            .sticky_sessions_cookie
            .as_deref()
            .map(Box::from)
            .ok_or("sticky_sessions_cookie: the name of the cookie is missing")?,
        path: path.unwrap_or("/").into(),
    }))
}

fn primary_source(upstream: &Upstream) -> Result<HashSource, String> {
    let source = upstream.hash_on.as_deref();
    match source {
        Some("header") => named(upstream.hash_on_header.as_deref()).map(HashSource::Header),
        Some("cookie") => Ok(HashSource::Cookie {
            name: named(upstream.hash_on_cookie.as_deref())?,
            path: upstream
                .hash_on_cookie_path
                .as_deref()
                .unwrap_or("/")
                .into(),
        }),
        Some("query_arg") => {
            named(upstream.hash_on_query_arg.as_deref()).map(HashSource::QueryArgument)
        }
        Some("uri_capture") => {
            named(upstream.hash_on_uri_capture.as_deref()).map(HashSource::UriCapture)
        }
        other => plain_source(other),
    }
}

fn fallback_source(upstream: &Upstream) -> Result<HashSource, String> {
    let source = upstream.hash_fallback.as_deref();
    match source {
        Some("header") => named(upstream.hash_fallback_header.as_deref()).map(HashSource::Header),
        Some("cookie") => Ok(HashSource::Cookie {
            name: named(upstream.hash_on_cookie.as_deref())?,
            path: upstream
                .hash_on_cookie_path
                .as_deref()
                .unwrap_or("/")
                .into(),
        }),
        Some("query_arg") => {
            named(upstream.hash_fallback_query_arg.as_deref()).map(HashSource::QueryArgument)
        }
        Some("uri_capture") => {
            named(upstream.hash_fallback_uri_capture.as_deref()).map(HashSource::UriCapture)
        }
        other => plain_source(other),
    }
}

fn plain_source(source: Option<&str>) -> Result<HashSource, String> {
    match source {
        None | Some("none") => Ok(HashSource::None),
        Some("consumer") => Ok(HashSource::Consumer),
        Some("ip") => Ok(HashSource::Ip),
        Some("path") => Ok(HashSource::Path),
        Some(other) => Err(format!("hash on '{other}' is not known to this node")),
    }
}

fn named(name: Option<&str>) -> Result<Box<str>, String> {
    name.map(Box::from)
        .ok_or_else(|| "the name of what is hashed is missing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_judged_by_the_lists() {
        let policy = Policy {
            passive: Checks {
                healthy_statuses: [200, 302].into(),
                unhealthy_statuses: [429, 500, 504].into(),
                ..Checks::default()
            },
            ..Policy::default()
        };
        for (outcome, wanted) in [
            (Outcome::Status(200), Some(Report::Success)),
            (Outcome::Status(500), Some(Report::HttpFailure)),
            (Outcome::Status(504), Some(Report::Timeout)),
            (Outcome::Status(404), None),
            (Outcome::ConnectionFailed, Some(Report::TcpFailure)),
            (Outcome::TimedOut, Some(Report::Timeout)),
        ] {
            assert_eq!(policy.judge(outcome), wanted, "{outcome:?}");
        }
        // A probe that is answered 504 was answered.
        assert_eq!(
            policy.passive.judge(Outcome::Status(504)),
            Some(Report::HttpFailure)
        );
    }
}
