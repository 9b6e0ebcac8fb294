//! What the node knows of every peer, kept for as long as some worker uses the peer: through swaps of the configuration,
//! changes of weights and new answers of the resolver.
use std::collections::HashMap;
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
    /// Address that it resolved to.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

/// Every peer that some worker uses. Looked up when a balancer is built, never for a request.
#[derive(Debug, Default)]
pub struct HealthBook(Mutex<HashMap<PeerKey, Arc<PeerHealth>, ahash::RandomState>>);

impl HealthBook {
    /// What is known of the peer: the same for as long as anyone holds it.
    pub fn of(&self, key: PeerKey) -> Arc<PeerHealth> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(book.entry(key).or_default())
    }

    /// Every peer with what is known of it.
    pub fn all(&self) -> Vec<(PeerKey, Arc<PeerHealth>)> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.iter()
            .map(|(key, health)| (key.clone(), Arc::clone(health)))
            .collect()
    }

    /// Peers of one upstream.
    pub fn peers_of(&self, upstream: &str) -> Vec<(PeerKey, Arc<PeerHealth>)> {
        let mut peers = self.all();
        peers.retain(|(key, _)| &*key.upstream == upstream);
        peers
    }

    /// Forgets peers that no balancer holds, unless they are configured and something is known of them: balancers are
    /// built by the first request, and a peer that was put out stays out until then. Called at a swap.
    pub fn forget(&self, is_configured: impl Fn(&PeerKey) -> bool) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.retain(|key, health| {
            Arc::strong_count(health) > 1 || (!health.is_untouched() && is_configured(key))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PeerKey {
        PeerKey {
            upstream: "u".into(),
            host: "h".into(),
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
    fn nothing_is_kept_of_peers_of_which_nothing_is_known() {
        let book = HealthBook::default();
        drop(book.of(key()));
        book.forget(|_| true);
        assert!(book.all().is_empty());
    }
}
