//! What is remembered of names: answers to their TTL and, stale, beyond it; absences and failures for a while.
//! Pure: takes the time as an argument.
use std::rc::Rc;

use ahash::AHashMap;

use super::query::Kind;
use super::{DnsError, Found};

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
    Fresh(Rc<[Found]>),
    /// Addresses past it: to be served while they are asked for anew.
    Stale(Rc<[Found]>),
    /// Addresses past it, while a failure of the last attempt is still remembered: not to be asked for now.
    StaleWaiting(Rc<[Found]>),
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
    addresses: Rc<[Found]>,
    fresh_until_ms: u64,
    stale_until_ms: u64,
    is_asked_each_time: bool,
    kind: Kind,
}

/// Names and what is known of them.
#[derive(Debug)]
pub(crate) struct Cache {
    lifetimes: Lifetimes,
    entries: AHashMap<Box<str>, Entry>,
    evicted: u64,
}

impl Cache {
    /// An empty cache.
    pub(crate) fn new(lifetimes: Lifetimes) -> Self {
        Self {
            lifetimes,
            entries: AHashMap::new(),
            evicted: 0,
        }
    }

    /// The last answer, while it may be served at all.
    pub(crate) fn last_good(&self, name: &str, now_ms: u64) -> Option<Rc<[Found]>> {
        let answer = self.entries.get(name)?.answer.as_ref()?;
        (now_ms < answer.stale_until_ms).then(|| Rc::clone(&answer.addresses))
    }

    /// What the name had the last time.
    pub(crate) fn last_kind(&self, name: &str) -> Option<Kind> {
        let answer = self.entries.get(name)?.answer.as_ref();
        answer.map(|answer| answer.kind)
    }

    /// Names put out since the last call to make room for others.
    pub(crate) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
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
    pub(crate) fn put(
        &mut self,
        name: &str,
        addresses: Rc<[Found]>,
        kind: Kind,
        ttl_ms: u64,
        now_ms: u64,
    ) {
        self.make_room(name, now_ms);
        let ttl_ms = self.lifetimes.valid_ms.unwrap_or(ttl_ms);
        let fresh_until_ms = now_ms.saturating_add(ttl_ms);
        let stale_until_ms = fresh_until_ms.saturating_add(self.lifetimes.stale_ms);
        let answer = Some(Answer {
            addresses,
            fresh_until_ms,
            stale_until_ms,
            is_asked_each_time: ttl_ms == 0,
            kind,
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
        self.make_room(name, now_ms);
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

    fn make_room(&mut self, name: &str, now_ms: u64) {
        let most = self.lifetimes.names_max.max(1);
        if self.entries.len() < most || self.entries.contains_key(name) {
            return;
        }
        self.entries.retain(|_, entry| entry.until_ms() > now_ms);
        if self.entries.len() < most {
            return;
        }
        // Some at a time, so that a full cache is not gone through for every name: those that are over soonest.
        let mut ends: Vec<u64> = self.entries.values().map(Entry::until_ms).collect();
        let (_, limit, _) = ends.select_nth_unstable(most / 8);
        let (limit, before) = (*limit, self.entries.len());
        let mut left = most / 8 + 1;
        self.entries.retain(|_, entry| {
            let goes = left > 0 && entry.until_ms() <= limit;
            left -= usize::from(goes);
            !goes
        });
        self.evicted += (before - self.entries.len()) as u64;
    }
}

impl Entry {
    fn until_ms(&self) -> u64 {
        let answer = self
            .answer
            .as_ref()
            .map_or(0, |answer| answer.stale_until_ms);
        let failure = self.failure.as_ref().map_or(0, |(_, until)| *until);
        answer.max(failure)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes {
        valid_ms: None,
        stale_ms: 1_000,
        not_found_ms: 300,
        error_ms: 10,
        names_max: 3,
    };

    fn addresses(last: u8) -> Rc<[Found]> {
        Rc::from([Found::from(IpAddr::from([127, 0, 0, last]))])
    }

    #[test]
    fn an_answer_is_fresh_then_stale_then_forgotten() {
        let mut cache = Cache::new(LIFETIMES);
        cache.put("a", addresses(1), Kind::V4, 100, 0);
        assert_eq!(cache.get("a", 99), Known::Fresh(addresses(1)));
        assert_eq!(cache.get("a", 100), Known::Stale(addresses(1)));
        assert_eq!(cache.get("a", 1_099), Known::Stale(addresses(1)));
        assert_eq!(cache.get("a", 1_100), Known::Unknown);
    }

    #[test]
    fn a_failure_keeps_the_stale_answer_and_is_not_asked_again_at_once() {
        let mut cache = Cache::new(LIFETIMES);
        cache.put("a", addresses(1), Kind::V4, 100, 0);
        cache.put_failure("a", DnsError::TimedOut, 200);
        assert_eq!(cache.get("a", 205), Known::StaleWaiting(addresses(1)));
        assert_eq!(cache.get("a", 210), Known::Stale(addresses(1)));
    }

    #[test]
    fn a_ttl_of_zero_asks_each_time_but_helps_out() {
        let mut cache = Cache::new(LIFETIMES);
        cache.put("a", addresses(1), Kind::V4, 0, 0);
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
            cache.put(name, addresses(1), Kind::V4, 100, 0);
        }
        assert_eq!(cache.entries.len(), 3);
        assert_eq!(cache.take_evicted(), 2);
        assert_eq!(cache.take_evicted(), 0);
        // What is known already needs no room.
        cache.put("e", addresses(2), Kind::V4, 100, 0);
        assert_eq!((cache.entries.len(), cache.take_evicted()), (3, 0));
    }
}
