//! Names to addresses: the hosts file, then what is remembered, then the name servers. One per worker.
//! A name is asked for once however many requests wait for it; nobody waits longer than the time given.
mod cache;
mod counts;
mod found;
mod hosts;
mod query;

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::dns::cache::{Cache, Known, Lifetimes};
pub use crate::dns::counts::DnsCounts;
use crate::dns::found::ServiceRecord;
pub use crate::dns::found::{Found, ServicePart};
use crate::dns::hosts::Hosts;
use crate::dns::query::{Answer, Kind, Records, Servers};
use crate::settings::DnsSettings;

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsError {
    /// The name does not exist or has no address.
    NotFound,
    /// The name servers failed.
    Failed(Box<str>),
    /// No answer within the time given.
    TimedOut,
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("dns server error: 3 name error"),
            Self::Failed(reason) => write!(f, "dns server error: {reason}"),
            Self::TimedOut => f.write_str("dns client error: 504 timeout"),
        }
    }
}

impl std::error::Error for DnsError {}

/// One whole attempt at a name, over all servers and kinds of records.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// Where an answer is at hand that is merely old, a request waits no longer for a new one.
const HICCUP: Duration = Duration::from_millis(500);

type Addresses = Result<Rc<[Found]>, DnsError>;
type Waiting = Vec<oneshot::Sender<Addresses>>;

/// Resolves names for one worker. Cheap to clone.
#[derive(Clone)]
pub struct Dns {
    inner: Rc<Inner>,
}

struct Inner {
    clock: Clock,
    hosts: Hosts,
    servers: Servers,
    cache: RefCell<Cache>,
    asked: RefCell<AHashMap<Box<str>, Waiting>>,
    error_ms: u64,
    counts: Arc<DnsCounts>,
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}

impl Dns {
    /// Sets up from the settings, which have been checked. Reads the hosts file.
    pub fn new(settings: &DnsSettings, clock: Clock, counts: Arc<DnsCounts>) -> Self {
        let lifetimes = Lifetimes {
            valid_ms: settings
                .valid_ttl
                .map(|seconds| seconds.saturating_mul(1_000)),
            stale_ms: settings.stale_ttl.saturating_mul(1_000),
            not_found_ms: settings.not_found_ttl.saturating_mul(1_000),
            error_ms: settings.error_ttl.saturating_mul(1_000),
            names_max: settings.cache_size,
        };
        let inner = Inner {
            clock,
            hosts: Hosts::read(&settings.hosts_file),
            servers: Servers::new(settings),
            cache: RefCell::new(Cache::new(lifetimes)),
            asked: RefCell::new(AHashMap::new()),
            error_ms: lifetimes.error_ms,
            counts,
        };
        Self {
            inner: Rc::new(inner),
        }
    }

    /// The addresses of a host, in the order the server gave them; never empty. An address stands for itself.
    pub async fn lookup(&self, host: &str, within: Duration) -> Addresses {
        if let Ok(address) = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
        {
            return Ok(Rc::from([Found::from(address)]));
        }
        let lower;
        let name = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = host.to_ascii_lowercase();
            lower.as_str()
        } else {
            host
        };
        let inner = &self.inner;
        if let Some(addresses) = inner.hosts.get(name.trim_end_matches('.')) {
            return Ok(addresses.iter().copied().map(Found::from).collect());
        }
        let known = inner.cache.borrow().get(name, inner.clock.now_ms());
        match known {
            Known::Fresh(addresses) => Ok(addresses),
            Known::StaleWaiting(addresses) => {
                inner.counts.stale();
                Ok(addresses)
            }
            Known::Stale(addresses) => {
                inner.counts.stale();
                self.ask(name, None);
                Ok(addresses)
            }
            Known::Failed(error) => Err(error),
            Known::Unknown => self.wait(name, within).await,
        }
    }

    async fn wait(&self, name: &str, within: Duration) -> Addresses {
        let inner = &self.inner;
        let last_good = || inner.cache.borrow().last_good(name, inner.clock.now_ms());
        let within = match last_good() {
            Some(_) => within.min(HICCUP),
            None => within,
        };
        let (sender, receiver) = oneshot::channel();
        self.ask(name, Some(sender));
        if let Ok(Ok(addresses)) = tokio::time::timeout(within, receiver).await {
            return addresses;
        }
        let addresses = last_good().ok_or(DnsError::TimedOut)?;
        inner.counts.stale();
        Ok(addresses)
    }

    /// Starts asking for a name, or joins those who wait for it.
    fn ask(&self, name: &str, waiting: Option<oneshot::Sender<Addresses>>) {
        if let Some(others) = self.inner.asked.borrow_mut().get_mut(name) {
            others.extend(waiting);
            return;
        }
        let name: Box<str> = name.into();
        self.inner
            .asked
            .borrow_mut()
            .insert(name.clone(), waiting.into_iter().collect());
        let inner = Rc::clone(&self.inner);
        tokio::task::spawn_local(async move {
            let last = inner.cache.borrow().last_kind(&name);
            let found = tokio::time::timeout(ASK_TIMEOUT, Inner::find(&inner, &name, last)).await;
            let result = inner.learn(&name, found.unwrap_or(Err(DnsError::TimedOut)));
            let waiting = inner.asked.borrow_mut().remove(&name).unwrap_or_default();
            for sender in waiting {
                // Who has gone meanwhile needs no answer.
                let _gone = sender.send(result.clone());
            }
        });
    }
}

// What a name leads to, by which kind of record, and for how long.
struct Learnt {
    found: Vec<Found>,
    kind: Kind,
    ttl_ms: u64,
}

impl Inner {
    // Asks for one kind of record after the other, until there is one.
    async fn find(self: &Rc<Self>, name: &str, last: Option<Kind>) -> Result<Learnt, DnsError> {
        let mut first_error = None;
        for kind in self.servers.kinds(name, last) {
            let answer = match self.query(name, kind).await {
                Ok(answer) => answer,
                Err(DnsError::NotFound) => continue,
                // A name that has led to services does not lead to bare addresses because a server failed.
                Err(error) if last == Some(kind) => return Err(error),
                // A kind that failed outranks one that the name merely lacks.
                Err(error) => {
                    first_error.get_or_insert(error);
                    continue;
                }
            };
            let learnt = match answer.records {
                Records::Addresses(addresses) => Ok(Learnt {
                    found: addresses.into_iter().map(Found::from).collect(),
                    kind,
                    ttl_ms: answer.ttl_ms,
                }),
                Records::Services(records) => self.follow(records, answer.ttl_ms).await,
            };
            match learnt {
                Ok(learnt) => return Ok(learnt),
                Err(error) => _ = first_error.get_or_insert(error),
            }
        }
        Err(first_error.unwrap_or(DnsError::NotFound))
    }

    async fn query(&self, name: &str, kind: Kind) -> Result<Answer, DnsError> {
        self.counts.query();
        let answer = self.servers.ask(name, kind).await;
        if let Err(error) = &answer {
            self.counts.failure(error);
        }
        answer
    }

    // The addresses of all services, asked for at once.
    async fn follow(
        self: &Rc<Self>,
        records: Vec<ServiceRecord>,
        ttl_ms: u64,
    ) -> Result<Learnt, DnsError> {
        let mut under_way = tokio::task::JoinSet::new();
        for (at, record) in records.iter().enumerate() {
            let (inner, name) = (Rc::clone(self), Arc::clone(&record.name));
            under_way.spawn_local(async move { (at, inner.addresses(&name).await) });
        }
        let (mut found, mut ttl_ms, mut first_error) = (Vec::new(), ttl_ms, None);
        while let Some(joined) = under_way.join_next().await {
            match joined {
                Ok((at, Ok((addresses, own_ttl_ms)))) => {
                    ttl_ms = ttl_ms.min(own_ttl_ms);
                    let service = |record: &ServiceRecord| ServicePart {
                        port: record.port,
                        weight: u32::from(record.weight),
                        name: Arc::clone(&record.name),
                    };
                    found.extend(addresses.into_iter().map(|address| Found {
                        address,
                        service: Some(service(&records[at])),
                    }));
                }
                Ok((_, Err(error))) => {
                    // Those that are missing are looked for again soon.
                    ttl_ms = ttl_ms.min(self.error_ms);
                    first_error.get_or_insert(error);
                }
                Err(_) => {}
            }
        }
        if found.is_empty() {
            return Err(first_error.unwrap_or(DnsError::NotFound));
        }
        Ok(Learnt {
            found,
            kind: Kind::Service,
            ttl_ms,
        })
    }

    async fn addresses(&self, name: &str) -> Result<(Vec<IpAddr>, u64), DnsError> {
        if let Some(addresses) = self.hosts.get(name) {
            return Ok((addresses.to_vec(), u64::MAX));
        }
        let mut first_error = None;
        for kind in [Kind::V4, Kind::V6] {
            match self.query(name, kind).await {
                Ok(Answer {
                    records: Records::Addresses(addresses),
                    ttl_ms,
                }) => return Ok((addresses, ttl_ms)),
                Ok(_) | Err(DnsError::NotFound) => {}
                Err(error) => _ = first_error.get_or_insert(error),
            }
        }
        Err(first_error.unwrap_or(DnsError::NotFound))
    }

    /// Remembers an answer; a failure is covered by what is still usable.
    fn learn(&self, name: &str, answer: Result<Learnt, DnsError>) -> Addresses {
        let now_ms = self.clock.now_ms();
        let mut cache = self.cache.borrow_mut();
        let result = match answer {
            Ok(learnt) => {
                let addresses: Rc<[Found]> = Rc::from(learnt.found);
                cache.put(
                    name,
                    Rc::clone(&addresses),
                    learnt.kind,
                    learnt.ttl_ms,
                    now_ms,
                );
                Ok(addresses)
            }
            Err(error) => {
                cache.put_failure(name, error.clone(), now_ms);
                match cache.last_good(name, now_ms) {
                    Some(addresses) => {
                        self.counts.stale();
                        Ok(addresses)
                    }
                    None => Err(error),
                }
            }
        };
        self.counts.evicted(cache.take_evicted());
        result
    }
}
