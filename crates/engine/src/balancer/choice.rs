//! One worker's balancer of one upstream: picks a peer for a request, and is told how it went.
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use super::ring::Ring;
use super::sticky;
use super::wheel::{Wheel, next_random};
use super::{Algorithm, PeerHealth, Policy, SlowRule};

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
    /// Whether it stands in only while the others are down.
    pub is_failover: bool,
    /// The name that a service record gave it.
    pub service_name: Option<Arc<str>>,
    /// What is known of it, for all workers together.
    pub health: Arc<PeerHealth>,
}

/// For what a peer is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// Peers that failed this request already.
    pub tried: &'a [(IpAddr, u16)],
    /// What the request hashes to, or the number in its sticky cookie; none: its properties say nothing.
    pub hash: Option<u32>,
    /// Now, on the monotonic clock.
    pub now_us: u64,
}

#[derive(Debug)]
enum Order {
    Turns,
    Ring { own: Ring, failover: Ring },
    Sticky(Box<[u32]>),
    LeastConnections,
    Latency { random: Cell<u64> },
}

/// One worker's balancer of one upstream.
#[derive(Debug)]
pub struct Balancer {
    peers: Vec<Peer>,
    threshold_percent: f64,
    total_weight: u64,
    has_failover: bool,
    slow: Option<SlowRule>,
    wheel: Wheel,
    failover_wheel: Wheel,
    order: Order,
}

impl Balancer {
    /// A balancer of these peers. The same seed gives the same choices.
    pub fn build(peers: Vec<Peer>, policy: &Policy, seed: u64) -> Self {
        let order = match policy.algorithm {
            Algorithm::RoundRobin => Order::Turns,
            Algorithm::ConsistentHashing => Order::Ring {
                own: Ring::build(&peers, false, policy.slots),
                failover: Ring::build(&peers, true, policy.slots),
            },
            Algorithm::StickySessions => Order::Sticky(sticky::numbers(&peers)),
            Algorithm::LeastConnections => Order::LeastConnections,
            Algorithm::Latency => Order::Latency {
                random: Cell::new(seed),
            },
        };
        Self {
            wheel: Wheel::build(weights(&peers, false), seed),
            failover_wheel: Wheel::build(weights(&peers, true), seed),
            threshold_percent: policy.threshold_percent,
            total_weight: weight_of(peers.iter().filter(|peer| !peer.is_failover)),
            has_failover: peers.iter().any(|peer| peer.is_failover),
            slow: None,
            order,
            peers,
        }
    }

    /// The same balancer, which lets slow peers rest.
    #[must_use]
    pub fn with_slow_rule(mut self, rule: Option<SlowRule>) -> Self {
        self.slow = rule;
        self
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

    /// What [`Self::pick_at`] would say now. Nobody's turn is over by it.
    pub fn preview_at(&self, ask: &Ask<'_>) -> Option<usize> {
        let turns = (self.wheel.turn(), self.failover_wheel.turn());
        let drawn = match &self.order {
            Order::Latency { random } => Some((random, random.get())),
            _ => None,
        };
        let at = self.pick_at(ask);
        self.wheel.turn_back(turns.0);
        self.failover_wheel.turn_back(turns.1);
        if let Some((random, before)) = drawn {
            random.set(before);
        }
        at
    }

    /// As [`Self::pick`]: the peer's place in [`Self::peers`].
    pub fn pick_at(&self, ask: &Ask<'_>) -> Option<usize> {
        let is_failover = !self.is_own_group_healthy();
        if is_failover && !self.has_failover {
            return None;
        }
        let is_in = |at: usize| {
            let peer = &self.peers[at];
            peer.is_failover == is_failover && peer.weight > 0 && peer.health.is_available()
        };
        let is_untried = |at: usize| {
            let peer = &self.peers[at];
            !ask.tried.contains(&(peer.address, peer.port))
        };
        let mut at = None;
        if self.slow.is_some() {
            let is_quick = |at: usize| !self.peers[at].health.load.rests(ask.now_us);
            at = self.choose(ask, is_failover, |at| {
                is_in(at) && is_untried(at) && is_quick(at)
            });
        }
        at = at.or_else(|| self.choose(ask, is_failover, |at| is_in(at) && is_untried(at)));
        if at.is_none() && !ask.tried.is_empty() {
            at = self.choose(ask, is_failover, is_in);
        }
        at
    }

    fn choose(
        &self,
        ask: &Ask<'_>,
        is_failover: bool,
        is_usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let wheel = if is_failover {
            &self.failover_wheel
        } else {
            &self.wheel
        };
        match (&self.order, ask.hash) {
            (Order::Ring { own, failover }, Some(hash)) => {
                let ring = if is_failover { failover } else { own };
                ring.find(hash, is_usable)
            }
            (Order::Sticky(numbers), Some(number)) => {
                let held =
                    (0..self.peers.len()).find(|at| numbers[*at] == number && is_usable(*at));
                held.or_else(|| wheel.next(is_usable))
            }
            (Order::Turns | Order::Ring { .. } | Order::Sticky(_), _) => wheel.next(is_usable),
            (Order::LeastConnections, _) => self.least_busy(wheel, is_usable),
            (Order::Latency { random }, _) => self.faster_of_two(random, ask.now_us, is_usable),
        }
    }

    /// The number of the peer at this place in clients' cookies, where sessions are sticky.
    pub fn sticky_number(&self, at: usize) -> Option<u32> {
        match &self.order {
            Order::Sticky(numbers) => numbers.get(at).copied(),
            _ => None,
        }
    }

    /// Whether enough of the weight is available, failover peers aside; and any of it at all, where those wait.
    fn is_own_group_healthy(&self) -> bool {
        // Without a threshold one peer is enough, which picking finds out by itself.
        if self.threshold_percent <= 0.0 && !self.has_failover {
            return true;
        }
        let own = self.peers.iter().filter(|peer| !peer.is_failover);
        let available = weight_of(own.filter(|peer| peer.health.is_available()));
        #[expect(clippy::cast_precision_loss, reason = "weights are small")]
        let percent = available as f64 / self.total_weight.max(1) as f64 * 100.0;
        percent > self.threshold_percent
    }

    /// Whether the upstream as a whole takes requests.
    pub fn is_healthy(&self) -> bool {
        let mut usable = self
            .peers
            .iter()
            .filter(|peer| peer.weight > 0 && peer.health.is_available());
        let is_own = self.is_own_group_healthy();
        usable.any(|peer| peer.is_failover != is_own)
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
            (Order::Latency { .. }, Some(latency_us)) if self.slow.is_none() => {
                peer.health.load.sample(latency_us, now_us);
            }
            _ => {}
        }
        if let (Some(rule), Some(latency_us)) = (&self.slow, latency_us) {
            peer.health.load.sample(latency_us, now_us);
            peer.health.load.count_sample();
            if let Some(at) = self
                .peers
                .iter()
                .position(|other| std::ptr::eq(other, peer))
            {
                rule.judge(&self.peers, at, now_us);
            }
        }
    }

    /// The peer with the fewest open requests for its weight; of equal ones the one whose turn is next.
    fn least_busy(&self, wheel: &Wheel, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
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
        wheel.next(|at| {
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

fn weights(peers: &[Peer], is_failover: bool) -> impl Iterator<Item = u32> + Clone {
    let weight = move |peer: &Peer| {
        if peer.is_failover == is_failover {
            peer.weight
        } else {
            0
        }
    };
    peers.iter().map(weight)
}

fn weight_of<'a>(peers: impl Iterator<Item = &'a Peer>) -> u64 {
    peers.map(|peer| u64::from(peer.weight)).sum()
}

#[cfg(test)]
mod tests;
