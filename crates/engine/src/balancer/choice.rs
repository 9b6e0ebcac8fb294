//! One worker's balancer of one upstream: picks a peer for a request, and is told how it went.
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use super::ring::Ring;
use super::wheel::{Wheel, next_random};
use super::{Algorithm, PeerHealth, Policy};

/// One address that requests can go to.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Index of the target in the upstream's list.
    pub target: u32,
    /// Host of the target as configured.
    pub host: Arc<str>,
    /// Where it is.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Share of requests, relative to the other peers; 0 gets none.
    pub weight: u32,
    /// What is known of it, for all workers together.
    pub health: Arc<PeerHealth>,
}

/// For what a peer is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// Peers that failed this request already.
    pub tried: &'a [(IpAddr, u16)],
    /// What the request hashes to; none: its properties say nothing.
    pub hash: Option<u32>,
    /// Now, on the monotonic clock.
    pub now_us: u64,
}

#[derive(Debug)]
enum Order {
    Turns,
    Ring(Ring),
    LeastConnections,
    Latency { random: Cell<u64> },
}

/// One worker's balancer of one upstream.
#[derive(Debug)]
pub struct Balancer {
    peers: Vec<Peer>,
    threshold_percent: f64,
    total_weight: u64,
    wheel: Wheel,
    order: Order,
}

impl Balancer {
    /// A balancer of these peers. The same seed gives the same choices.
    pub fn build(peers: Vec<Peer>, policy: &Policy, seed: u64) -> Self {
        let order = match policy.algorithm {
            Algorithm::RoundRobin => Order::Turns,
            Algorithm::ConsistentHashing => Order::Ring(Ring::build(&peers, policy.slots)),
            Algorithm::LeastConnections => Order::LeastConnections,
            Algorithm::Latency => Order::Latency {
                random: Cell::new(seed),
            },
        };
        Self {
            wheel: Wheel::build(peers.iter().map(|peer| peer.weight), seed),
            threshold_percent: policy.threshold_percent,
            total_weight: peers.iter().map(|peer| u64::from(peer.weight)).sum(),
            order,
            peers,
        }
    }

    /// All peers, those without weight too.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The peer that gets the request. Peers that are out and those tried are passed over; where all that are in have been
    /// tried, one of them is given again, so that a retry is possible with a single peer.
    pub fn pick(&self, ask: &Ask<'_>) -> Option<&Peer> {
        self.pick_at(ask).map(|at| &self.peers[at])
    }

    /// As [`Self::pick`]: the peer's place in [`Self::peers`].
    pub fn pick_at(&self, ask: &Ask<'_>) -> Option<usize> {
        if !self.is_healthy() {
            return None;
        }
        let is_in = |at: usize| self.peers[at].weight > 0 && self.peers[at].health.is_available();
        let is_untried = |at: usize| {
            let peer = &self.peers[at];
            !ask.tried.contains(&(peer.address, peer.port))
        };
        let mut at = self.choose(ask, |at| is_in(at) && is_untried(at));
        if at.is_none() && !ask.tried.is_empty() {
            at = self.choose(ask, is_in);
        }
        at
    }

    fn choose(&self, ask: &Ask<'_>, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        match (&self.order, ask.hash) {
            (Order::Ring(ring), Some(hash)) => ring.find(hash, is_usable),
            (Order::Turns | Order::Ring(_), _) => self.wheel.next(is_usable),
            (Order::LeastConnections, _) => self.least_busy(is_usable),
            (Order::Latency { random }, _) => self.faster_of_two(random, ask.now_us, is_usable),
        }
    }

    /// Whether enough of the weight is available.
    pub fn is_healthy(&self) -> bool {
        // Without a threshold one peer is enough, which picking finds out by itself.
        if self.threshold_percent <= 0.0 {
            return true;
        }
        let available: u64 = self
            .peers
            .iter()
            .filter(|peer| peer.health.is_available())
            .map(|peer| u64::from(peer.weight))
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "weights are small")]
        let percent = available as f64 / self.total_weight.max(1) as f64 * 100.0;
        percent > self.threshold_percent
    }

    /// The request goes to this peer. To be followed by [`Self::end`].
    pub fn begin(&self, peer: &Peer) {
        if matches!(self.order, Order::LeastConnections) {
            peer.health.load.begin();
        }
    }

    /// The request is over. `latency_us`: from the attempt's start to the head of the answer, if there was one.
    pub fn end(&self, peer: &Peer, latency_us: Option<u64>, now_us: u64) {
        match (&self.order, latency_us) {
            (Order::LeastConnections, _) => peer.health.load.end(),
            (Order::Latency { .. }, Some(latency_us)) => {
                peer.health.load.sample(latency_us, now_us);
            }
            _ => {}
        }
    }

    /// The peer with the fewest open requests for its weight; of equal ones the one whose turn is next.
    fn least_busy(&self, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        let open = |at: usize| u64::from(self.peers[at].health.load.active()) + 1;
        let weight = |at: usize| u64::from(self.peers[at].weight);
        let mut usable = (0..self.peers.len()).filter(|at| is_usable(*at));
        let first = usable.next()?;
        let best = usable.fold(first, |best, at| {
            // Fractions compared without division.
            if open(at) * weight(best) < open(best) * weight(at) {
                at
            } else {
                best
            }
        });
        self.wheel.next(|at| {
            is_usable(at) && open(at).saturating_mul(weight(best)) <= open(best) * weight(at)
        })
    }

    /// Of two usable peers drawn at random the one that answered faster lately, for its weight.
    fn faster_of_two(
        &self,
        random: &Cell<u64>,
        now_us: u64,
        is_usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let usable: Vec<usize> = (0..self.peers.len()).filter(|at| is_usable(*at)).collect();
        if usable.len() < 2 {
            return usable.first().copied();
        }
        let mut state = random.get();
        let mut draw =
            |choices: usize| usize::try_from(next_random(&mut state) % choices as u64).unwrap_or(0);
        let first = draw(usable.len());
        let second = (first + 1 + draw(usable.len() - 1)) % usable.len();
        random.set(state);
        let (first, second) = (usable[first], usable[second]);
        self.level(now_us);
        Some(
            if self.slowness(second, now_us) < self.slowness(first, now_us) {
                second
            } else {
                first
            },
        )
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn slowness(&self, at: usize, now_us: u64) -> f32 {
        let peer = &self.peers[at];
        peer.health.load.latency_us(now_us).unwrap_or(0.0) / peer.weight.max(1) as f32
    }

    /// Peers without a sample begin at the average of the others.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn level(&self, now_us: u64) {
        let averages: Vec<Option<f32>> = self
            .peers
            .iter()
            .map(|peer| peer.health.load.latency_us(now_us))
            .collect();
        let known: Vec<f32> = averages.iter().flatten().copied().collect();
        if known.is_empty() || known.len() == averages.len() {
            return;
        }
        let average = known.iter().sum::<f32>() / known.len() as f32;
        for (peer, own) in self.peers.iter().zip(averages) {
            if own.is_none() {
                peer.health.load.start_at(average, now_us);
            }
        }
    }
}

#[cfg(test)]
mod tests;
