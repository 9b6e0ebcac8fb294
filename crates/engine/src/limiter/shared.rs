//! Windows that several nodes count in together: what is to be counted, and what came of it. The proxy asks the store.
use std::fmt::Write;
use std::sync::Arc;

use ring::digest::{Context, SHA256};

use super::store::CounterStore;
use super::{Key, Limit, Period, Uses};

/// Something to be counted in a store, all of it or nothing.
#[derive(Clone, Debug)]
pub struct Counting {
    /// The store.
    pub store: Arc<CounterStore>,
    /// The windows.
    pub windows: Vec<SharedWindow>,
}

/// One window in a store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SharedWindow {
    /// Who is counted.
    pub key: Key,
    /// The kind of window.
    pub period: Period,
    /// Second since the epoch at which it began.
    pub start: u64,
    /// What is added; nothing: it is looked at.
    pub amount: u64,
    /// If as much has been counted in any of the windows, nothing is added to all of them.
    pub most: Option<f64>,
    /// Seconds that the store is to keep it.
    pub kept_s: u64,
}

impl SharedWindow {
    /// The window of a limit around a second, to be looked at.
    pub fn of(key: Key, limit: &Limit, second: u64) -> Self {
        let period = limit.period;
        let start = period.start(second);
        // Twice as long as it lasts: a clock that jumps back by less than a window finds what was counted.
        let end = start + 2 * period.seconds_max();
        Self {
            key,
            period,
            start,
            amount: 0,
            most: None,
            kept_s: end.saturating_sub(second).max(1),
        }
    }

    /// The same, to be added to.
    #[must_use]
    pub const fn adding(self, amount: u64) -> Self {
        Self { amount, ..self }
    }

    /// The same, to be added to unless so much has been counted.
    #[must_use]
    pub const fn taking(self, most: f64) -> Self {
        Self {
            amount: 1,
            most: Some(most),
            ..self
        }
    }

    /// Its name in the store. What stands in braces is the same for all windows of a caller, so that a cluster keeps
    /// them in one place.
    pub fn name(&self) -> String {
        let Key(first, second) = self.key;
        let mut name = String::with_capacity(80);
        // Writing into memory does not fail.
        let _written = write!(
            name,
            "twinplane:limit:{{{first:016x}{second:016x}}}:{}:{}",
            self.period.name(),
            self.start
        );
        name
    }
}

impl Key {
    /// The key of a caller that is the same on every node.
    pub fn shared(parts: &[&[u8]]) -> Self {
        let mut digest = Context::new(&SHA256);
        for part in parts {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let digest = digest.finish();
        let half = |at: usize| {
            let bytes = digest.as_ref()[at..].iter().take(8);
            bytes.fold(0, |number, byte| (number << 8) | u64::from(*byte))
        };
        Self(half(0), half(8))
    }
}

/// What a store answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What had been counted in each window before.
    pub before: Vec<u64>,
    /// Whether the amounts were added.
    pub is_added: bool,
}

impl Counted {
    /// What was left of limits, whose windows were asked for in their order from `first` on.
    pub fn uses(&self, first: usize, limits: &[Limit]) -> Uses {
        let mut found = Uses::default();
        for (limit, before) in limits.iter().zip(self.before.iter().skip(first)) {
            found.push(limit.after(*before));
        }
        found
    }
}

/// Why a store did not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Nobody can be reached, or who is reached does not let the node in.
    Unreachable(Arc<str>),
    /// The connection broke off.
    Lost(Arc<str>),
    /// No answer came in time.
    TimedOut,
    /// It answered with an error.
    Refused(Arc<str>),
    /// Too much is waiting for its answers.
    Full,
}

impl StoreFault {
    /// A word for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Lost(_) => "lost",
            Self::TimedOut => "timed_out",
            Self::Refused(_) => "refused",
            Self::Full => "full",
        }
    }

    /// Whether the store may have counted all the same.
    pub const fn may_have_counted(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::TimedOut)
    }

    /// Why, for people.
    pub fn reason(&self) -> Arc<str> {
        match self {
            Self::Unreachable(reason) | Self::Lost(reason) | Self::Refused(reason) => {
                Arc::clone(reason)
            }
            Self::TimedOut => "no answer in time".into(),
            Self::Full => "too many commands wait for an answer".into(),
        }
    }
}

impl std::fmt::Display for StoreFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(period: Period, requests: f64) -> Limit {
        Limit { period, requests }
    }

    #[test]
    fn a_window_has_the_same_name_on_every_node() {
        let key = Key::shared(&[b"route service", b"name", b"bob"]);
        let window = SharedWindow::of(key, &limit(Period::Minute, 5.0), 1_709_210_096);
        let name = window.name();
        assert!(name.ends_with(":minute:1709210040"), "{name}");
        assert_eq!(
            name.len(),
            "twinplane:limit:{}:minute:1709210040".len() + 32
        );
        assert_eq!(window.kept_s, 120 - 56);
        assert_eq!(key, Key::shared(&[b"route service", b"name", b"bob"]));
        assert_ne!(key, Key::shared(&[b"route service", b"nameb", b"ob"]));
    }

    #[test]
    fn what_is_left_is_read_from_where_the_windows_of_the_limits_begin() {
        let counted = Counted {
            before: vec![9, 1, 7],
            is_added: false,
        };
        let uses = counted.uses(1, &[limit(Period::Minute, 5.0), limit(Period::Hour, 7.0)]);
        let left: Vec<f64> = uses.iter().map(|found| found.remaining).collect();
        assert_eq!(left, [4.0, 0.0]);
    }
}
