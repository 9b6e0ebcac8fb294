//! How far a request's plugins have run: which is next, given who asks, and which take part in later phases.
use super::ordering::{OutOfTurn, most_specific};
use super::{Link, OverlayLink};
use crate::snapshot::{ConsumerEntry, Snapshot};

/// How far a request's plugins have run.
#[derive(Debug, Default)]
pub struct ChainRun {
    /// Index in `snapshot.chains`.
    pub(super) chain: u32,
    /// Index of the plugin that runs, or ran last.
    pub(super) current: u32,
    /// Next link of the precomputed chain.
    pub(super) at: usize,
    /// Order of the last plugin whose turn it was.
    pub(super) order: u16,
    /// Those that do not keep to the order.
    pub(super) out_of_turn: OutOfTurn,
    /// Plugins with a condition, and whether it held.
    pub(super) decided: Vec<(u32, bool)>,
    /// Set while `current` waits.
    pub(super) is_waiting: bool,
    /// How many plugins the response phase that is waiting has come to.
    pub(super) filtered: usize,
    /// Set once a header filter has answered: its answer is not filtered again.
    pub(super) is_answered: bool,
    /// The plugins that apply, once they differ from the precomputed chain.
    pub(super) collected: Option<Vec<u32>>,
}

impl ChainRun {
    /// A run of a chain from its start.
    pub fn new(chain: u32) -> Self {
        Self {
            chain,
            ..Self::default()
        }
    }

    /// Index of the plugin that runs, or ran last.
    pub fn current(&self) -> u32 {
        self.current
    }

    /// Takes the next plugin that applies in order of priority, given the consumer known by now.
    pub(super) fn next(
        &mut self,
        snapshot: &Snapshot,
        consumer: Option<&ConsumerEntry>,
        scope: (Option<u32>, Option<u32>),
    ) -> Option<u32> {
        self.skip_passed(snapshot);
        let links = &snapshot.chains[self.chain as usize].links;
        let base = links.get(self.at).copied();
        let overlay = consumer.map_or(&[][..], |consumer| &consumer.plugins);
        let own = overlay
            .iter()
            .filter(|own| own.link.order > self.order && own.applies(scope))
            .map(|own| own.link);
        let Some(own) = own.min_by_key(|link| (link.order, u8::MAX - link.rank)) else {
            let link = base?;
            self.order = link.order;
            return Some(self.take(snapshot, link));
        };
        self.collect(snapshot);
        // The same plugin name in both: the more specific scope; else whichever comes first.
        let link = match base {
            Some(base) if (base.order, own.rank) < (own.order, base.rank) => base,
            _ => own,
        };
        self.order = link.order;
        Some(self.take(snapshot, link))
    }

    /// The same for the access phase, where plugins may ask for another order.
    pub(super) fn next_of_access(
        &mut self,
        snapshot: &Snapshot,
        consumer: Option<&ConsumerEntry>,
        scope: (Option<u32>, Option<u32>),
    ) -> Option<u32> {
        let chain = &snapshot.chains[self.chain as usize];
        let overlay = consumer.map_or(&[][..], |consumer| &consumer.plugins);
        let is_ordered = |own: &OverlayLink| {
            let instance = &snapshot.plugins[own.link.plugin as usize];
            instance.ordering.is_some()
        };
        if !chain.is_ordered && self.out_of_turn.is_empty() && !overlay.iter().any(is_ordered) {
            return self.next(snapshot, consumer, scope);
        }
        self.skip_passed(snapshot);
        self.collect(snapshot);
        let to_come = most_specific(&chain.links, overlay, scope, |order| {
            self.out_of_turn.is_to_come(order, self.order)
        });
        let (link, turn) = self
            .out_of_turn
            .take(&to_come, self.order, &snapshot.plugins)?;
        self.order = turn;
        Some(self.take(snapshot, link))
    }

    fn skip_passed(&mut self, snapshot: &Snapshot) {
        let links = &snapshot.chains[self.chain as usize].links;
        while links
            .get(self.at)
            .is_some_and(|link| link.order <= self.order)
        {
            self.at += 1;
        }
    }

    /// From here on what applies is no longer the precomputed chain.
    fn collect(&mut self, snapshot: &Snapshot) {
        if self.collected.is_none() {
            let links = &snapshot.chains[self.chain as usize].links[..self.at];
            self.collected = Some(links.iter().map(|link| link.plugin).collect());
        }
    }

    /// Later phases run in order of priority, whatever the order of the access phase was.
    fn take(&mut self, snapshot: &Snapshot, link: Link) -> u32 {
        if let Some(collected) = &mut self.collected {
            let order = |plugin: &u32| snapshot.plugins[*plugin as usize].order;
            let at = collected.partition_point(|other| order(other) < link.order);
            collected.insert(at, link.plugin);
        }
        link.plugin
    }
}
