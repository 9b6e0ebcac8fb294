//! A worker's balancers: built from resolved targets, rebuilt when an answer of the name servers changes. Only the first
//! request to an upstream waits for names; later ones go by what is known while it is looked after beside them.
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use twinplane_engine::balancer::{Balancer, Peer, PeerKey, Resolved};
use twinplane_engine::snapshot::{Local, Snapshot, TargetEntry, UpstreamEntry};

use crate::dns::Found;
use crate::worker::Worker;

// Names behind an upstream are looked up again after this; the answer mostly comes from memory.
const RECHECK_MS: u64 = 1_000;
// Once one target has an address, the names of the others are waited for so long.
const OTHERS: Duration = Duration::from_millis(200);
// How long names are waited for where no request waits.
const UNHURRIED: Duration = Duration::from_secs(2);

type Addresses = Option<Rc<[Found]>>;

/// A balancer and what it was built from.
#[derive(Debug)]
pub(crate) struct Built {
    /// The balancer.
    pub(crate) balancer: Balancer,
    // By target.
    addresses: Vec<Addresses>,
    checked_ms: Cell<u64>,
    is_being_checked: Cell<bool>,
    has_names: bool,
}

/// A worker's balancers for the configuration in force.
#[derive(Debug, Default)]
pub struct Balancers {
    snapshot: RefCell<Option<Local<Snapshot>>>,
    built: RefCell<Vec<Option<Rc<Built>>>>,
    // Addresses of plain names are taken in turn.
    turn: Cell<usize>,
}

impl Balancers {
    /// Another configuration is in force.
    pub fn forget(&self) {
        self.snapshot.borrow_mut().take();
        self.built.borrow_mut().clear();
    }

    /// Whose turn it is among the addresses of a plain name; the next one's after a new request.
    pub(super) fn turn(&self, is_new: bool) -> usize {
        if is_new {
            self.turn.set(self.turn.get().wrapping_add(1));
        }
        self.turn.get()
    }

    fn of(&self, snapshot: &Local<Snapshot>, upstream: u32) -> Option<Rc<Built>> {
        if !self.is_for(snapshot) {
            *self.snapshot.borrow_mut() = Some(Rc::clone(snapshot));
            let mut built = self.built.borrow_mut();
            built.clear();
            built.resize(snapshot.upstreams.len(), None);
        }
        let built = self.built.borrow();
        built.get(upstream as usize).cloned().flatten()
    }

    fn is_for(&self, snapshot: &Local<Snapshot>) -> bool {
        let known = self.snapshot.borrow();
        known
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, snapshot))
    }

    // What was found for a configuration that has gone meanwhile is dropped.
    fn put(&self, snapshot: &Local<Snapshot>, upstream: u32, built: &Rc<Built>) {
        if self.is_for(snapshot)
            && let Some(place) = self.built.borrow_mut().get_mut(upstream as usize)
        {
            *place = Some(Rc::clone(built));
        }
    }
}

/// The balancer of an upstream. Waits only where none of its targets has an address yet.
pub(crate) async fn current(
    worker: &Rc<Worker>,
    snapshot: &Local<Snapshot>,
    upstream: u32,
    within: Duration,
) -> Rc<Built> {
    let now_ms = worker.clock.now_ms();
    if let Some(known) = worker.balancers.of(snapshot, upstream) {
        let is_checked = !known.has_names || now_ms < known.checked_ms.get() + RECHECK_MS;
        if is_checked || !known.balancer.peers().is_empty() {
            if !is_checked && !known.is_being_checked.replace(true) {
                let (worker, snapshot) = (Rc::clone(worker), Rc::clone(snapshot));
                tokio::task::spawn_local(async move {
                    check(&worker, &snapshot, upstream, UNHURRIED).await;
                });
            }
            return known;
        }
    }
    check(worker, snapshot, upstream, within).await
}

/// Looks after the upstreams that have names or are probed, for as long as the worker lives: also those that no request
/// asks for are known and judged.
pub(crate) async fn look_after(worker: Rc<Worker>) {
    loop {
        let snapshot = worker.snapshot();
        for (at, entry) in (0..).zip(&snapshot.upstreams) {
            if entry.policy.is_probed || has_names(entry) {
                current(&worker, &snapshot, at, UNHURRIED).await;
            }
        }
        drop(snapshot);
        tokio::time::sleep(Duration::from_millis(RECHECK_MS)).await;
    }
}

// Looks the names up; another answer makes another balancer.
async fn check(
    worker: &Rc<Worker>,
    snapshot: &Local<Snapshot>,
    upstream: u32,
    within: Duration,
) -> Rc<Built> {
    let entry = &snapshot.upstreams[upstream as usize];
    let is_first = worker.balancers.of(snapshot, upstream).is_none();
    let addresses = resolve(worker, entry, within, is_first).await;
    let now_ms = worker.clock.now_ms();
    let known = worker.balancers.of(snapshot, upstream);
    if let Some(known) = known
        && known.addresses == addresses
    {
        known.checked_ms.set(now_ms);
        known.is_being_checked.set(false);
        return known;
    }
    let built = Rc::new(build(worker, entry, addresses, now_ms));
    worker.balancers.put(snapshot, upstream, &built);
    // One worker looks after all upstreams: what it finds is told.
    if worker.number == 0 && built.has_names && worker.balancers.is_for(snapshot) {
        let health = &worker.state.health;
        health.note_resolved(&entry.model.name, resolved(entry, &built));
    }
    built
}

fn resolved(entry: &UpstreamEntry, built: &Built) -> Resolved {
    let peers = built.balancer.peers().iter().map(|peer| {
        let target = &entry.targets[peer.target as usize];
        key(entry, target, peer.address, peer.port)
    });
    let found = entry.targets.iter().zip(&built.addresses);
    let missing = found.filter(|(_, addresses)| addresses.is_none());
    Resolved {
        peers: peers.collect(),
        missing: missing.map(|(target, _)| (&*target.host).into()).collect(),
    }
}

fn key(entry: &UpstreamEntry, target: &TargetEntry, address: IpAddr, port: u16) -> PeerKey {
    PeerKey {
        upstream: entry.model.name.clone(),
        host: target.host.as_ref().into(),
        target_port: target.port,
        address,
        port,
    }
}

// The addresses of all targets, asked for at once; none for a target that has none, or whose name takes its time while
// a first request waits and others are known.
async fn resolve(
    worker: &Worker,
    entry: &UpstreamEntry,
    within: Duration,
    is_first: bool,
) -> Vec<Addresses> {
    let dns = &worker.dns();
    let mut waiting: Vec<Option<Pin<Box<_>>>> = entry
        .targets
        .iter()
        .map(|target| Some(Box::pin(dns.lookup(&target.host, within))))
        .collect();
    let mut found: Vec<Addresses> = vec![None; waiting.len()];
    let mut others = pin!(tokio::time::sleep(OTHERS));
    poll_fn(|context| {
        let mut is_done = true;
        for (waiting, found) in waiting.iter_mut().zip(&mut found) {
            let Some(lookup) = waiting else { continue };
            match lookup.as_mut().poll(context) {
                Poll::Ready(answer) => (*found, *waiting) = (answer.ok().map(sorted), None),
                Poll::Pending => is_done = false,
            }
        }
        let is_enough = is_first && found.iter().any(Option::is_some);
        if is_done || (is_enough && others.as_mut().poll(context).is_ready()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    found
}

// Name servers give addresses in turns; another order is no other answer.
fn sorted(found: Rc<[Found]>) -> Rc<[Found]> {
    let place = |found: &Found| (found.address, found.service.as_ref().map(|part| part.port));
    if found.is_sorted_by_key(place) {
        return found;
    }
    let mut found = found.to_vec();
    found.sort_by_key(place);
    found.into()
}

fn has_names(entry: &UpstreamEntry) -> bool {
    let mut targets = entry.targets.iter();
    targets.any(|target| target.host.parse::<IpAddr>().is_err())
}

fn build(worker: &Worker, entry: &UpstreamEntry, addresses: Vec<Addresses>, now_ms: u64) -> Built {
    let mut peers = Vec::new();
    for ((number, target), found) in (0..).zip(&entry.targets).zip(&addresses) {
        for found in found.iter().flat_map(|found| found.iter()) {
            peers.push(peer(worker, entry, number, target, found));
        }
    }
    Built {
        balancer: Balancer::build(peers, &entry.policy, worker.random())
            .with_slow_rule(worker.settings().slow_rule),
        addresses,
        checked_ms: Cell::new(now_ms),
        is_being_checked: Cell::new(false),
        has_names: has_names(entry),
    }
}

fn peer(
    worker: &Worker,
    entry: &UpstreamEntry,
    number: u32,
    target: &TargetEntry,
    found: &Found,
) -> Peer {
    let port = found
        .service
        .as_ref()
        .map_or(target.port, |service| service.port);
    // The weight of a target that is drained stays; any other gives way to that of the service record.
    let weight = match &found.service {
        Some(service) if target.weight > 0 => service.weight,
        _ => target.weight,
    };
    Peer {
        target: number,
        host: Arc::clone(&target.host),
        address: found.address,
        port,
        weight,
        is_failover: target.is_failover,
        service_name: found.service.as_ref().map(|part| Arc::clone(&part.name)),
        health: worker
            .state
            .health
            .of(key(entry, target, found.address, port)),
    }
}
