//! Names to addresses: the hosts file, then what is remembered, then the name servers. One per worker.
//! A name is asked for once however many requests wait for it; nobody waits longer than the time given.
mod cache;
mod hosts;
mod query;

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use ahash::AHashMap;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::dns::cache::{Cache, Known, Lifetimes};
use crate::dns::hosts::Hosts;
use crate::dns::query::Servers;
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

type Addresses = Result<Rc<[IpAddr]>, DnsError>;
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
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}

impl Dns {
    /// Sets up from the settings, which have been checked. Reads the hosts file.
    pub fn new(settings: &DnsSettings, clock: Clock) -> Self {
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
            return Ok(Rc::from([address]));
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
            return Ok(addresses);
        }
        let known = inner.cache.borrow().get(name, inner.clock.now_ms());
        match known {
            Known::Fresh(addresses) | Known::StaleWaiting(addresses) => Ok(addresses),
            Known::Stale(addresses) => {
                self.ask(name, None);
                Ok(addresses)
            }
            Known::Failed(error) => Err(error),
            Known::Unknown => {
                let (sender, receiver) = oneshot::channel();
                self.ask(name, Some(sender));
                match tokio::time::timeout(within, receiver).await {
                    Ok(Ok(addresses)) => addresses,
                    Ok(Err(_)) | Err(_) => Err(DnsError::TimedOut),
                }
            }
        }
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
            let answer = inner.servers.ask(&name).await;
            let result = inner.learn(&name, answer);
            let waiting = inner.asked.borrow_mut().remove(&name).unwrap_or_default();
            for sender in waiting {
                // Who has gone meanwhile needs no answer.
                let _gone = sender.send(result.clone());
            }
        });
    }
}

impl Inner {
    /// Remembers an answer; a failure is covered by what is still usable.
    fn learn(&self, name: &str, answer: Result<query::Answer, DnsError>) -> Addresses {
        let now_ms = self.clock.now_ms();
        let mut cache = self.cache.borrow_mut();
        match answer {
            Ok(answer) => {
                let addresses: Rc<[IpAddr]> = Rc::from(answer.addresses);
                cache.put(name, Rc::clone(&addresses), answer.ttl_ms, now_ms);
                Ok(addresses)
            }
            Err(error) => {
                cache.put_failure(name, error.clone(), now_ms);
                match cache.get(name, now_ms) {
                    Known::StaleWaiting(addresses) | Known::Stale(addresses) => Ok(addresses),
                    _ => Err(error),
                }
            }
        }
    }
}
