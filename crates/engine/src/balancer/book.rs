//! What the node knows of every peer, kept for as long as some worker uses the peer: through swaps of the configuration,
//! changes of weights and new answers of the resolver.
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::PeerHealth;

/// Which peer of which upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerKey {
    /// Name of the upstream.
    pub upstream: Box<str>,
    /// Host of the target as configured.
    pub host: Box<str>,
    /// Port of the target as configured.
    pub target_port: u16,
    /// Address that it resolved to.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

/// Every peer that some worker uses, and the targets whose names have no address. Looked up when a balancer is built, never
/// for a request.
#[derive(Debug, Default)]
pub struct HealthBook {
    peers: Mutex<HashMap<PeerKey, Arc<PeerHealth>, ahash::RandomState>>,
    resolved: Mutex<HashMap<Box<str>, Resolved, ahash::RandomState>>,
}

/// What the names of an upstream led to when they were looked up last.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The peers.
    pub peers: HashSet<PeerKey, ahash::RandomState>,
    /// Hosts without an address.
    pub missing: HashSet<Box<str>, ahash::RandomState>,
}

impl HealthBook {
    /// What is known of the peer: the same for as long as anyone holds it.
    pub fn of(&self, key: PeerKey) -> Arc<PeerHealth> {
        let mut book = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(book.entry(key).or_default())
    }

    /// Every peer with what is known of it; those aside to which no name leads any more.
    pub fn all(&self) -> Vec<(PeerKey, Arc<PeerHealth>)> {
        let book = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        let is_led_to = |key: &PeerKey| {
            let own = resolved.get(&key.upstream);
            own.is_none_or(|own| own.peers.contains(key))
        };
        book.iter()
            .filter(|(key, _)| is_led_to(key))
            .map(|(key, health)| (key.clone(), Arc::clone(health)))
            .collect()
    }

    /// What is known of the peer, if it is known at all.
    pub fn get(&self, key: &PeerKey) -> Option<Arc<PeerHealth>> {
        let book = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        book.get(key).cloned()
    }

    /// The names of an upstream were looked up: its other peers are forgotten, unless a balancer still holds them.
    pub fn note_resolved(&self, upstream: &str, resolved: Resolved) {
        let mut book = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        book.retain(|key, health| {
            &*key.upstream != upstream
                || Arc::strong_count(health) > 1
                || resolved.peers.contains(key)
        });
        drop(book);
        let mut all = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(upstream.into(), resolved);
    }

    /// Whether a host of an upstream was looked for and has no address.
    pub fn is_missing(&self, upstream: &str, host: &str) -> bool {
        let all = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(upstream)
            .is_some_and(|resolved| resolved.missing.contains(host))
    }

    /// Peers of one upstream.
    pub fn peers_of(&self, upstream: &str) -> Vec<(PeerKey, Arc<PeerHealth>)> {
        let book = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        book.iter()
            .filter(|(key, _)| &*key.upstream == upstream)
            .map(|(key, health)| (key.clone(), Arc::clone(health)))
            .collect()
    }

    /// Forgets peers that no balancer holds, unless they are configured and something is known of them: balancers are
    /// built by the first request, and a peer that was put out stays out until then. Called at a swap.
    pub fn forget(&self, is_configured: impl Fn(&PeerKey) -> bool) {
        let mut book = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        book.retain(|key, health| {
            Arc::strong_count(health) > 1 || (!health.is_untouched() && is_configured(key))
        });
        drop(book);
        // Looked for anew under the configuration that now is.
        self.resolved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PeerKey {
        PeerKey {
            upstream: "u".into(),
            host: "h".into(),
            target_port: 80,
            address: IpAddr::from([10, 0, 0, 1]),
            port: 80,
        }
    }

    #[test]
    fn a_peer_that_was_put_out_stays_out_while_it_is_configured() {
        let book = HealthBook::default();
        book.of(key()).set(false);
        book.forget(|_| true);
        assert!(!book.of(key()).is_available());
        book.forget(|_| false);
        assert!(book.of(key()).is_available());
    }

    #[test]
    fn what_is_held_is_not_forgotten() {
        let book = HealthBook::default();
        let held = book.of(key());
        held.set(false);
        book.forget(|_| false);
        assert!(Arc::ptr_eq(&held, &book.of(key())));
        assert_eq!(book.peers_of("u").len(), 1);
        assert!(book.peers_of("v").is_empty());
    }

    #[test]
    fn peers_to_which_no_name_leads_any_more_are_not_told_of_and_then_forgotten() {
        let book = HealthBook::default();
        let held = book.of(key());
        let other = PeerKey {
            address: IpAddr::from([10, 0, 0, 2]),
            ..key()
        };
        book.of(other.clone()).set(false);
        let resolved = |peers: &[&PeerKey], missing: &[&str]| Resolved {
            peers: peers.iter().map(|key| (*key).clone()).collect(),
            missing: missing.iter().map(|host| (*host).into()).collect(),
        };
        book.note_resolved("u", resolved(&[&other], &[]));
        assert_eq!(book.all().len(), 1);
        assert_eq!(book.peers_of("u").len(), 2);
        drop(held);
        book.note_resolved("u", resolved(&[], &["h"]));
        assert!(book.peers_of("u").is_empty());
        assert!(book.is_missing("u", "h") && !book.is_missing("v", "h"));
        book.forget(|_| true);
        assert!(!book.is_missing("u", "h"));
    }

    #[test]
    fn nothing_is_kept_of_peers_of_which_nothing_is_known() {
        let book = HealthBook::default();
        drop(book.of(key()));
        book.forget(|_| true);
        assert!(book.all().is_empty());
    }
}
