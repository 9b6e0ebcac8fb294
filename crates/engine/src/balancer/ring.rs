//! Consistent hashing: peers own points of a ring, a request's hash is a point too, and the peer that owns the next
//! lower point gets it. A peer that comes or goes moves only the requests at its own points.
//!
//! Points lie where a real node puts them, so that a mixed fleet sends a client to one peer.
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::Peer;
use super::xxhash::xxhash32;

/// The ring is at least this long, whatever `slots` says.
const POINTS_MIN: u32 = 1000;
/// Points of a peer of average weight.
const POINTS_PER_TARGET: u64 = 160;

/// The hash by which a request finds its point.
pub(super) fn hash(value: &[u8]) -> u32 {
    xxhash32(value)
}

/// One upstream's ring.
#[derive(Debug)]
pub(super) struct Ring {
    length: u32,
    /// Point and peer, by rising points.
    owners: Box<[(u32, u32)]>,
}

impl Ring {
    /// The ring of those peers that stand in for others, or of those that do not.
    pub(super) fn build(peers: &[Peer], is_failover: bool, slots: u32) -> Self {
        let length = slots.max(POINTS_MIN);
        let members = || peers.iter().filter(|peer| peer.is_failover == is_failover);
        let total: u64 = members().map(|peer| u64::from(peer.weight)).sum();
        let mut targets: Vec<u32> = members().map(|peer| peer.target).collect();
        targets.sort_unstable();
        targets.dedup();
        let points = targets.len() as u64 * POINTS_PER_TARGET;
        let mut order: Vec<(u32, &Peer)> = (0..)
            .zip(peers)
            .filter(|(_, peer)| peer.is_failover == is_failover)
            .collect();
        order.sort_by_key(|(_, peer)| (&peer.host, peer.port, peer.address));
        let mut owners = BTreeMap::new();
        for (index, peer) in order {
            let mut points_left = u64::from(peer.weight) * points / total.max(1);
            points_left = points_left.max(u64::from(peer.weight > 0));
            // A point that is taken is made up for by a further one, while the ring has room.
            for number in 1..=4 * length {
                if points_left == 0 || owners.len() == length as usize {
                    break;
                }
                let name = format!("{}::{} {number}", peer.address, peer.port);
                if let Entry::Vacant(place) = owners.entry(xxhash32(name.as_bytes()) % length) {
                    place.insert(index);
                    points_left -= 1;
                }
            }
        }
        Self {
            length,
            owners: owners.into_iter().collect(),
        }
    }

    /// The usable peer at or below the point of this hash.
    pub(super) fn find(&self, hash: u32, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        let point = hash % self.length;
        let above = self.owners.partition_point(|(place, _)| *place <= point);
        let (below, beyond) = self.owners.split_at(above);
        let mut downwards = below.iter().rev().chain(beyond.iter().rev());
        let owner = downwards.find(|(_, peer)| is_usable(*peer as usize));
        owner.map(|(_, peer)| *peer as usize)
    }
}
