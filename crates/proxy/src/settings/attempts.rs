//! How long upstreams are waited for where their service keeps the usual time, and after which failures another attempt
//! is made.
use serde::Deserialize;
use twinplane_engine::retry::Failure;

/// What a service has that was given no time-out.
const USUAL_TIMEOUT_MS: u64 = 60_000;

/// Time-outs and further attempts towards upstreams.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttemptSettings {
    /// To connect, in place of the usual time.
    pub connect_timeout_ms: u64,
    /// To send, likewise.
    pub write_timeout_ms: u64,
    /// To read, likewise.
    pub read_timeout_ms: u64,
    /// Attempts at a request, the first one included; 0: as many as the service allows.
    pub attempts_max: u32,
    /// Whether another attempt follows a connection that failed or broke.
    pub after_error: bool,
    /// Whether one follows a time-out.
    pub after_timeout: bool,
}

impl Default for AttemptSettings {
    fn default() -> Self {
        Self {
            connect_timeout_ms: USUAL_TIMEOUT_MS,
            write_timeout_ms: USUAL_TIMEOUT_MS,
            read_timeout_ms: USUAL_TIMEOUT_MS,
            attempts_max: 0,
            after_error: true,
            after_timeout: true,
        }
    }
}

impl AttemptSettings {
    /// The further attempts at a request whose service allows so many.
    pub fn further(&self, retries: u32) -> u32 {
        match self.attempts_max {
            0 => retries,
            most => retries.min(most - 1),
        }
    }

    /// Whether another attempt may follow such a failure.
    pub const fn may_follow(&self, failure: Failure) -> bool {
        match failure {
            Failure::ConnectTimeout | Failure::ReadTimeout | Failure::WriteTimeout => {
                self.after_timeout
            }
            Failure::Connect | Failure::Broken | Failure::InvalidResponse => self.after_error,
        }
    }
}

/// The time of a service in milliseconds, or what stands in for the usual one.
pub(crate) fn timeout(of_service: Option<i64>, instead: u64) -> u64 {
    of_service
        .and_then(|ms| u64::try_from(ms).ok())
        .filter(|ms| *ms != USUAL_TIMEOUT_MS)
        .unwrap_or(instead)
}
