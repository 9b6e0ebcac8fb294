//! Whether a failed attempt at an upstream is followed by another one. A pure decision; the proxy acts on it.

/// How an attempt failed, before any byte of a response head was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection: refused, unreachable, reset in the handshake, TLS refused.
    Connect,
    /// No connection within the service's connect timeout.
    ConnectTimeout,
    /// The connection broke while the request was sent or before an answer began.
    Broken,
    /// Nothing came within the service's read timeout.
    ReadTimeout,
    /// The request could not be sent within the service's write timeout.
    WriteTimeout,
    /// What came is no HTTP response.
    InvalidResponse,
}

/// The attempt that failed, and what is left.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one attempt"
)]
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The request's method.
    pub method: &'a [u8],
    /// Attempts that the service still allows.
    pub retries_left: u32,
    /// Whether any byte of the request has been handed to the connection.
    pub is_sent: bool,
    /// Whether the whole body can be sent again: there is none, or it is held.
    pub is_replayable: bool,
    /// Whether the connection had served a request before.
    pub is_reused: bool,
    /// Whether the one free attempt after a stale connection was used up.
    pub is_free_attempt_used: bool,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Another attempt, which counts.
    Retry,
    /// Another attempt over a new connection, which does not count: the old one had been closed while idle.
    RetryFree,
    /// No further attempt.
    GiveUp,
}

/// Methods whose repetition after the request was sent could act twice.
fn acts_once(method: &[u8]) -> bool {
    matches!(method, b"POST" | b"LOCK" | b"PATCH")
}

/// Whether to try again. A request that could act twice is never sent twice; answers are never retried, whatever their
/// status; nor is garbage, since something answered.
pub fn decide(failure: Failure, attempt: &Attempt<'_>) -> Decision {
    let could_act_twice = attempt.is_sent && acts_once(attempt.method);
    if failure == Failure::InvalidResponse
        || could_act_twice
        || (attempt.is_sent && !attempt.is_replayable)
    {
        return Decision::GiveUp;
    }
    if failure == Failure::Broken && attempt.is_reused && !attempt.is_free_attempt_used {
        return Decision::RetryFree;
    }
    if attempt.retries_left > 0 {
        Decision::Retry
    } else {
        Decision::GiveUp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Attempt<'_> = Attempt {
        method: b"GET",
        retries_left: 1,
        is_sent: true,
        is_replayable: true,
        is_reused: false,
        is_free_attempt_used: false,
    };

    #[test]
    fn retry_stops_after_retries_left_is_zero() {
        assert_eq!(decide(Failure::Connect, &SENT), Decision::Retry);
        assert_eq!(
            decide(
                Failure::Connect,
                &Attempt {
                    retries_left: 0,
                    ..SENT
                }
            ),
            Decision::GiveUp
        );
    }

    #[test]
    fn a_request_that_could_act_twice_is_sent_once() {
        for method in [b"POST".as_slice(), b"PATCH", b"LOCK"] {
            let attempt = Attempt { method, ..SENT };
            assert_eq!(decide(Failure::Broken, &attempt), Decision::GiveUp);
            assert_eq!(decide(Failure::ReadTimeout, &attempt), Decision::GiveUp);
            assert_eq!(
                decide(
                    Failure::Broken,
                    &Attempt {
                        is_reused: true,
                        ..attempt
                    }
                ),
                Decision::GiveUp
            );
            assert_eq!(
                decide(
                    Failure::Connect,
                    &Attempt {
                        is_sent: false,
                        ..attempt
                    }
                ),
                Decision::Retry
            );
        }
        for method in [b"PUT".as_slice(), b"DELETE", b"GET"] {
            assert_eq!(
                decide(Failure::ReadTimeout, &Attempt { method, ..SENT }),
                Decision::Retry
            );
        }
    }

    #[test]
    fn a_connection_closed_while_idle_costs_no_retry_once() {
        let stale = Attempt {
            is_reused: true,
            retries_left: 0,
            ..SENT
        };
        assert_eq!(decide(Failure::Broken, &stale), Decision::RetryFree);
        assert_eq!(
            decide(
                Failure::Broken,
                &Attempt {
                    is_free_attempt_used: true,
                    ..stale
                }
            ),
            Decision::GiveUp
        );
    }

    #[test]
    fn a_body_that_is_gone_is_not_sent_again() {
        assert_eq!(
            decide(
                Failure::Broken,
                &Attempt {
                    is_replayable: false,
                    ..SENT
                }
            ),
            Decision::GiveUp
        );
        let unsent = Attempt {
            is_replayable: false,
            is_sent: false,
            ..SENT
        };
        assert_eq!(decide(Failure::Connect, &unsent), Decision::Retry);
    }

    #[test]
    fn garbage_is_not_asked_for_again() {
        assert_eq!(decide(Failure::InvalidResponse, &SENT), Decision::GiveUp);
    }
}
