//! What is remembered of names: answers to their TTL and, stale, beyond it; absences and failures for a while.
//! Pure: takes the time as an argument.
use std::net::IpAddr;
use std::rc::Rc;

use ahash::AHashMap;

use super::DnsError;

/// How long things are remembered, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    /// Replaces the TTL of answers.
    pub(crate) valid_ms: Option<u64>,
    /// An answer may be served so long past its TTL.
    pub(crate) stale_ms: u64,
    /// A missing name is remembered so long.
    pub(crate) not_found_ms: u64,
    /// A failure is remembered so long.
    pub(crate) error_ms: u64,
    /// Names kept.
    pub(crate) names_max: usize,
}

/// What the cache says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Addresses within their TTL.
    Fresh(Rc<[IpAddr]>),
    /// Addresses past it: to be served while they are asked for anew.
    Stale(Rc<[IpAddr]>),
    /// Addresses past it, while a failure of the last attempt is still remembered: not to be asked for now.
    StaleWaiting(Rc<[IpAddr]>),
    /// The name has lately been missing, or failed.
    Failed(DnsError),
    /// Nothing.
    Unknown,
}

#[derive(Debug)]
struct Entry {
    answer: Option<Answer>,
    failure: Option<(DnsError, u64)>,
}

#[derive(Debug)]
struct Answer {
    addresses: Rc<[IpAddr]>,
    fresh_until_ms: u64,
    stale_until_ms: u64,
    is_asked_each_time: bool,
}

/// Names and what is known of them.
#[derive(Debug)]
pub(crate) struct Cache {
    lifetimes: Lifetimes,
    entries: AHashMap<Box<str>, Entry>,
}

impl Cache {
    /// An empty cache.
    pub(crate) fn new(lifetimes: Lifetimes) -> Self {
        Self {
            lifetimes,
            entries: AHashMap::new(),
        }
    }

    /// What is known of a name.
    pub(crate) fn get(&self, name: &str, now_ms: u64) -> Known {
        let Some(entry) = self.entries.get(name) else {
            return Known::Unknown;
        };
        let failure = entry.failure.as_ref().filter(|(_, until)| now_ms < *until);
        if let Some(answer) = &entry.answer {
            if now_ms < answer.fresh_until_ms {
                return Known::Fresh(Rc::clone(&answer.addresses));
            }
            if now_ms < answer.stale_until_ms {
                if failure.is_some() {
                    return Known::StaleWaiting(Rc::clone(&answer.addresses));
                }
                // A TTL of zero asks for each request; such an answer helps out only when asking fails.
                if !answer.is_asked_each_time {
                    return Known::Stale(Rc::clone(&answer.addresses));
                }
            }
        }
        failure.map_or(Known::Unknown, |(error, _)| Known::Failed(error.clone()))
    }

    /// Remembers an answer.
    pub(crate) fn put(&mut self, name: &str, addresses: Rc<[IpAddr]>, ttl_ms: u64, now_ms: u64) {
        self.make_room(now_ms);
        let ttl_ms = self.lifetimes.valid_ms.unwrap_or(ttl_ms);
        let fresh_until_ms = now_ms.saturating_add(ttl_ms);
        let stale_until_ms = fresh_until_ms.saturating_add(self.lifetimes.stale_ms);
        let answer = Some(Answer {
            addresses,
            fresh_until_ms,
            stale_until_ms,
            is_asked_each_time: ttl_ms == 0,
        });
        self.entries.insert(
            name.into(),
            Entry {
                answer,
                failure: None,
            },
        );
    }

    /// Remembers a failure; an answer that is still usable stays beside it.
    pub(crate) fn put_failure(&mut self, name: &str, error: DnsError, now_ms: u64) {
        self.make_room(now_ms);
        let lifetime = match error {
            DnsError::NotFound => self.lifetimes.not_found_ms,
            DnsError::Failed(_) | DnsError::TimedOut => self.lifetimes.error_ms,
        };
        let failure = Some((error, now_ms.saturating_add(lifetime)));
        let entry = self.entries.entry(name.into()).or_insert(Entry {
            answer: None,
            failure: None,
        });
        entry.failure = failure;
    }

    fn make_room(&mut self, now_ms: u64) {
        if self.entries.len() < self.lifetimes.names_max.max(1) {
            return;
        }
        self.entries.retain(|_, entry| {
            entry
                .answer
                .as_ref()
                .is_some_and(|answer| now_ms < answer.stale_until_ms)
                || entry
                    .failure
                    .as_ref()
                    .is_some_and(|(_, until)| now_ms < *until)
        });
        while self.entries.len() >= self.lifetimes.names_max.max(1) {
            let Some(any) = self.entries.keys().next().cloned() else {
                return;
            };
            self.entries.remove(&any);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes {
        valid_ms: None,
        stale_ms: 1_000,
        not_found_ms: 300,
        error_ms: 10,
        names_max: 3,
    };

    fn addresses(last: u8) -> Rc<[IpAddr]> {
        Rc::from([IpAddr::from([127, 0, 0, last])])
    }

    #[test]
    fn an_answer_is_fresh_then_stale_then_forgotten() {
        let mut cache = Cache::new(LIFETIMES);
        cache.put("a", addresses(1), 100, 0);
        assert_eq!(cache.get("a", 99), Known::Fresh(addresses(1)));
        assert_eq!(cache.get("a", 100), Known::Stale(addresses(1)));
        assert_eq!(cache.get("a", 1_099), Known::Stale(addresses(1)));
        assert_eq!(cache.get("a", 1_100), Known::Unknown);
    }

    #[test]
    fn a_failure_keeps_the_stale_answer_and_is_not_asked_again_at_once() {
        let mut cache = Cache::new(LIFETIMES);
        cache.put("a", addresses(1), 100, 0);
        cache.put_failure("a", DnsError::TimedOut, 200);
        assert_eq!(cache.get("a", 205), Known::StaleWaiting(addresses(1)));
        assert_eq!(cache.get("a", 210), Known::Stale(addresses(1)));
    }

    #[test]
    fn a_ttl_of_zero_asks_each_time_but_helps_out() {
        let mut cache = Cache::new(LIFETIMES);
        cache.put("a", addresses(1), 0, 0);
        assert_eq!(cache.get("a", 1), Known::Unknown);
        cache.put_failure("a", DnsError::TimedOut, 2);
        assert_eq!(cache.get("a", 3), Known::StaleWaiting(addresses(1)));
    }

    #[test]
    fn absences_and_failures_last_as_told() {
        let mut cache = Cache::new(LIFETIMES);
        cache.put_failure("a", DnsError::NotFound, 0);
        cache.put_failure("b", DnsError::Failed("refused".into()), 0);
        assert_eq!(cache.get("a", 299), Known::Failed(DnsError::NotFound));
        assert_eq!(cache.get("a", 300), Known::Unknown);
        assert_eq!(cache.get("b", 10), Known::Unknown);
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let mut cache = Cache::new(LIFETIMES);
        for name in ["a", "b", "c", "d", "e"] {
            cache.put(name, addresses(1), 100, 0);
        }
        assert_eq!(cache.entries.len(), 3);
    }
}
