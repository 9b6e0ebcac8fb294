//! Questions about further attempts.
use serde::Deserialize;
use serde_json::{Value, json};
use twinplane_engine::retry::{Attempt, Decision, Failure, decide};

#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one attempt"
)]
#[derive(Deserialize)]
pub(crate) struct Retry {
    failure: String,
    method: String,
    retries_left: u32,
    is_sent: bool,
    is_replayable: bool,
    is_reused: bool,
    is_free_attempt_used: bool,
}

impl Retry {
    pub(crate) fn answer(&self) -> Value {
        let failure = match &*self.failure {
            "connect" => Failure::Connect,
            "connect_timeout" => Failure::ConnectTimeout,
            "broken" => Failure::Broken,
            "read_timeout" => Failure::ReadTimeout,
            "write_timeout" => Failure::WriteTimeout,
            _ => Failure::InvalidResponse,
        };
        let decision = decide(
            failure,
            &Attempt {
                method: self.method.as_bytes(),
                retries_left: self.retries_left,
                is_sent: self.is_sent,
                is_replayable: self.is_replayable,
                is_reused: self.is_reused,
                is_free_attempt_used: self.is_free_attempt_used,
            },
        );
        json!(match decision {
            Decision::Retry => "retry",
            Decision::RetryFree => "retry_free",
            Decision::GiveUp => "give_up",
        })
    }
}
