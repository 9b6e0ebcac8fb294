//! The stores of shared counters that configurations name, each known once on a node, and how they fare. Speaks to none.
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Limiter;
use super::tally::Tally;

/// Where a store is, and how it is spoken to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StorePlace {
    /// Name or address.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// The longest that an answer is waited for, a new connection included.
    pub timeout_ms: u64,
    /// User; none: the default one.
    pub username: Option<Box<str>>,
    /// Password; none: nothing is proved.
    pub password: Option<Box<str>>,
    /// Number of the database.
    pub database: i64,
    /// TLS; none: in the clear.
    pub tls: Option<StoreTls>,
}

/// How TLS is spoken to a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreTls {
    /// Whether its certificate is verified.
    pub is_verified: bool,
    /// Name asked for; none: the host.
    pub server_name: Option<Box<str>>,
}

impl fmt::Debug for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorePlace")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .finish_non_exhaustive()
    }
}

/// A store of shared counters.
#[derive(Debug)]
pub struct CounterStore {
    /// Where it is.
    pub place: StorePlace,
    /// `host:port/database`, as people see it.
    pub name: Box<str>,
    troubled: AtomicUsize,
    failures: AtomicU64,
    reason: Mutex<Arc<str>>,
}

/// How a store fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreHealth {
    /// Which one.
    pub name: Box<str>,
    /// Whether a worker cannot count there at this time.
    pub is_in_trouble: bool,
    /// Commands that failed since the start.
    pub failures: u64,
    /// Why, as it was last told; empty: none has.
    pub reason: Arc<str>,
}

impl CounterStore {
    fn new(place: StorePlace) -> Self {
        Self {
            name: format!("{}:{}/{}", place.host, place.port, place.database).into(),
            place,
            troubled: AtomicUsize::new(0),
            failures: AtomicU64::new(0),
            reason: Mutex::new("".into()),
        }
    }

    /// A worker cannot count here any more.
    pub fn enter_trouble(&self) {
        self.troubled.fetch_add(1, Ordering::Relaxed);
    }

    /// It can again.
    pub fn leave_trouble(&self) {
        self.troubled.fetch_sub(1, Ordering::Relaxed);
    }

    /// So many commands failed. Requests do that: it locks nothing.
    pub fn failed(&self, commands: u64) {
        self.failures.fetch_add(commands, Ordering::Relaxed);
    }

    /// Commands fail for another reason than before.
    pub fn tell(&self, reason: Arc<str>) {
        *lock(&self.reason) = reason;
    }

    /// How it fares.
    pub fn health(&self) -> StoreHealth {
        StoreHealth {
            name: self.name.clone(),
            is_in_trouble: self.troubled.load(Ordering::Relaxed) > 0,
            failures: self.failures.load(Ordering::Relaxed),
            reason: Arc::clone(&lock(&self.reason)),
        }
    }
}

/// All stores of a node that a configuration in use names.
#[derive(Debug, Default)]
pub struct CounterStores {
    stores: Mutex<HashMap<StorePlace, Weak<CounterStore>>>,
    // Those in use, and those that are still to be told a last time.
    tallies: Mutex<Vec<Arc<Tally>>>,
    tallies_made: AtomicU32,
}

impl CounterStores {
    /// The store at a place; the same for all plugins that name it.
    pub fn at(&self, place: StorePlace) -> Arc<CounterStore> {
        let mut stores = lock(&self.stores);
        if let Some(known) = stores.get(&place).and_then(Weak::upgrade) {
            return known;
        }
        stores.retain(|_, store| store.strong_count() > 0);
        let store = Arc::new(CounterStore::new(place.clone()));
        stores.insert(place, Arc::downgrade(&store));
        store
    }

    /// What is counted here, in a limiter, for a store and told to it so often; the same for all plugins that want the
    /// same.
    pub fn tally(
        &self,
        store: &Arc<CounterStore>,
        every_us: u64,
        limiter: &Arc<Limiter>,
    ) -> Arc<Tally> {
        let mut tallies = lock(&self.tallies);
        let known = tallies
            .iter()
            .find(|tally| Arc::ptr_eq(&tally.store, store) && tally.every_us == every_us);
        if let Some(known) = known {
            known.stay();
            return Arc::clone(known);
        }
        let number = self.tallies_made.fetch_add(1, Ordering::Relaxed) + 1;
        let (store, limiter) = (Arc::clone(store), Arc::clone(limiter));
        let tally = Arc::new(Tally::new(store, every_us, limiter, number));
        tallies.push(Arc::clone(&tally));
        tally
    }

    /// All tallies in use, and those that no configuration names any more until they have been visited once again.
    pub fn tallies(&self) -> Vec<Arc<Tally>> {
        let mut tallies = lock(&self.tallies);
        tallies.retain(|tally| {
            let is_used = Arc::strong_count(tally) > 1;
            if !is_used {
                tally.leave();
            }
            is_used || !tally.is_done()
        });
        tallies.clone()
    }

    /// How the stores in use fare, by name.
    pub fn health(&self) -> Vec<StoreHealth> {
        let stores = lock(&self.stores);
        let mut all: Vec<StoreHealth> = stores
            .values()
            .filter_map(Weak::upgrade)
            .map(|store| store.health())
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(password: Option<&str>) -> StorePlace {
        StorePlace {
            host: "127.0.0.1".into(),
            port: 6379,
            timeout_ms: 2_000,
            username: None,
            password: password.map(Into::into),
            database: 3,
            tls: None,
        }
    }

    #[test]
    fn a_store_is_known_once_for_as_long_as_it_is_in_use() {
        let stores = CounterStores::default();
        let one = stores.at(place(None));
        let same = stores.at(place(None));
        let other = stores.at(place(Some("secret")));
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        assert!(!format!("{other:?}").contains("secret"));
        one.enter_trouble();
        one.failed(2);
        one.tell("gone".into());
        let health = &stores.health()[0];
        assert_eq!(&*health.name, "127.0.0.1:6379/3");
        assert!(
            stores
                .health()
                .iter()
                .any(|one| one.is_in_trouble && one.failures == 2 && &*one.reason == "gone")
        );
        drop((one, same, other));
        assert_eq!(stores.health(), []);
    }

    #[test]
    fn a_tally_that_nobody_names_any_more_is_visited_once_again() {
        let stores = CounterStores::default();
        let limiter = Arc::default();
        let store = stores.at(place(None));
        let tally = stores.tally(&store, 3_600_000_000, &limiter);
        assert!(Arc::ptr_eq(
            &tally,
            &stores.tally(&store, 3_600_000_000, &limiter)
        ));
        assert!(tally.begin(1));
        tally.end();
        assert!(!tally.begin(2), "not due for an hour");
        drop((tally, store));
        // It is due at once, and gone when that visit is over.
        let last = stores.tallies();
        assert!(last[0].begin(3));
        last[0].end();
        assert!(last[0].is_done());
        drop(last);
        assert!(stores.tallies().is_empty());
        assert_eq!(stores.health(), []);
    }

    #[test]
    fn a_tally_that_is_named_again_before_its_last_visit_stays() {
        let stores = CounterStores::default();
        let limiter = Arc::default();
        let store = stores.at(place(None));
        drop(stores.tally(&store, 5, &limiter));
        drop(stores.tallies());
        let tally = stores.tally(&store, 5, &limiter);
        assert!(tally.begin(1));
        tally.end();
        assert!(!tally.is_done());
        assert_eq!(stores.tallies().len(), 1);
    }
}
