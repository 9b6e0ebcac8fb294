//! How fast a client sends a body that is waited for. Only the waiting counts, so that a slow upstream is no client's fault;
//! a client that sends a byte now and then is not silent, and holds a connection all the same.
use crate::settings::Limits;

/// The pace of one body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    bytes_per_s_min: u64,
    grace_ms: u64,
    bytes: u64,
    waited_ms: u64,
    waiting_since_ms: Option<u64>,
}

impl Pace {
    /// At the start of a body.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            bytes_per_s_min: limits.body_bytes_per_s_min,
            grace_ms: limits.body_grace_ms,
            ..Self::default()
        }
    }

    /// The client may take all the time it likes from here on, as long as it is not silent.
    pub(crate) fn release(&mut self) {
        self.bytes_per_s_min = 0;
    }

    /// Bytes came; `now_ms` is asked only where they had been waited for.
    pub(crate) fn moved(&mut self, bytes: u64, now_ms: impl FnOnce() -> u64) {
        self.bytes += bytes;
        if let Some(since_ms) = self.waiting_since_ms.take() {
            self.waited_ms += now_ms().saturating_sub(since_ms);
        }
    }

    /// Nothing is there: how long it may be waited for. None: by this there is no bound.
    pub(crate) fn patience_ms(&mut self, now_ms: u64) -> Option<u64> {
        if self.bytes_per_s_min == 0 {
            return None;
        }
        let since_ms = *self.waiting_since_ms.get_or_insert(now_ms);
        let earned_ms = self.bytes.saturating_mul(1_000) / self.bytes_per_s_min;
        let spent_ms = self.waited_ms + now_ms.saturating_sub(since_ms);
        Some((self.grace_ms + earned_ms).saturating_sub(spent_ms))
    }

    /// Whether the client was too slow, rather than silent.
    pub(crate) fn is_broken(&mut self, now_ms: u64) -> bool {
        self.patience_ms(now_ms) == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace {
            bytes_per_s_min: 100,
            grace_ms: 5_000,
            ..Pace::default()
        }
    }

    #[test]
    fn what_has_come_buys_time() {
        let mut pace = pace();
        assert_eq!(pace.patience_ms(1_000), Some(5_000));
        assert_eq!(pace.patience_ms(3_000), Some(3_000));
        pace.moved(300, || 4_000);
        assert_eq!(pace.patience_ms(90_000), Some(5_000));
        assert!(!pace.is_broken(94_999));
        assert!(pace.is_broken(95_000));
    }

    #[test]
    fn time_that_nobody_waited_for_the_client_is_free() {
        let mut pace = pace();
        for second in 0..100 {
            assert_eq!(pace.patience_ms(second * 1_000), Some(5_000));
            pace.moved(1, || second * 1_000 + 10);
        }
    }

    #[test]
    fn a_byte_now_and_then_is_too_slow() {
        let mut pace = pace();
        let ended = (0..100).find(|second| {
            let is_broken = pace.is_broken(second * 1_000);
            pace.moved(1, || second * 1_000 + 999);
            is_broken
        });
        assert_eq!(ended, Some(6));
    }

    #[test]
    fn a_released_body_has_no_bound() {
        let mut pace = pace();
        pace.release();
        assert_eq!(pace.patience_ms(0), None);
        assert!(!pace.is_broken(u64::MAX));
    }
}
