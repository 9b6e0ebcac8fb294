//! The only place that reads the clocks: monotonic for every duration, wall for what people read.
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A clock that counts from the start of the core.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now. It never reads zero: zero means "not reached" in an exchange's times.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// Monotonic microseconds, at least one.
    pub fn now_us(self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros())
            .unwrap_or(u64::MAX)
            .max(1)
    }

    /// Monotonic milliseconds.
    pub fn now_ms(self) -> u64 {
        self.now_us() / 1_000
    }

    /// Microseconds since the epoch.
    pub fn wall_us(self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}
