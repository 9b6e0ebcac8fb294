//! The order of the access phase that plugins ask for apart from their priorities. Other phases never look here.
//!
//! The first plugin by priority that waits for none of the others has its turn; those that are to run before it run
//! first. Plugins that do not apply to a request hold nobody up.
use super::{Link, OverlayLink};
use crate::plugin::PluginInstance;

/// Which plugins another one is set against, by the places of their names (see [`PluginInstance::order`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ordering {
    /// It runs before these.
    pub before: Box<[u16]>,
    /// It runs after these.
    pub after: Box<[u16]>,
}

/// What ran ahead of its turn, and what let its turn go by: by places of names.
#[derive(Debug, Default)]
pub(super) struct OutOfTurn {
    early: Vec<u16>,
    held: Vec<u16>,
}

impl OutOfTurn {
    pub(super) fn is_empty(&self) -> bool {
        self.early.is_empty() && self.held.is_empty()
    }

    /// Whether a plugin may still run, given the place whose turn it was last.
    pub(super) fn is_to_come(&self, order: u16, turn: u16) -> bool {
        (order > turn && !self.early.contains(&order)) || self.held.contains(&order)
    }

    /// The plugin that runs next, and the place whose turn it then was.
    pub(super) fn take(
        &mut self,
        to_come: &[Link],
        turn: u16,
        plugins: &[PluginInstance],
    ) -> Option<(Link, u16)> {
        let waits = |link: &&Link| ordering(plugins, **link).is_none_or(|own| !own.waits(to_come));
        // A circle cannot be: builds refuse it. Were there one, its first plugin would run first.
        let has_turn = to_come.iter().position(|link| waits(&link)).unwrap_or(0);
        let mut taken = *to_come.get(has_turn)?;
        for _ in to_come {
            match to_come.iter().find(|link| precedes(plugins, **link, taken)) {
                Some(first) => taken = *first,
                None => break,
            }
        }
        let turn = turn.max(to_come[has_turn].order);
        // The turn may fall to one that was held before: what stands behind it has let its turn go by all the same.
        let passed = to_come.iter().map(|link| link.order);
        self.held = passed
            .filter(|order| *order <= turn && *order != taken.order)
            .collect();
        if taken.order > turn {
            self.early.push(taken.order);
        }
        Some((taken, turn))
    }
}

impl Ordering {
    fn waits(&self, to_come: &[Link]) -> bool {
        to_come.iter().any(|link| self.after.contains(&link.order))
    }
}

fn ordering(plugins: &[PluginInstance], link: Link) -> Option<&Ordering> {
    plugins[link.plugin as usize].ordering.as_deref()
}

/// Whether one of two has to run before the other.
fn precedes(plugins: &[PluginInstance], first: Link, then: Link) -> bool {
    ordering(plugins, first).is_some_and(|own| own.before.contains(&then.order))
        || ordering(plugins, then).is_some_and(|own| own.after.contains(&first.order))
}

/// The most specific plugin of each name, in order of priority.
pub(crate) fn most_specific(
    base: &[Link],
    overlay: &[OverlayLink],
    scope: (Option<u32>, Option<u32>),
    is_wanted: impl Fn(u16) -> bool,
) -> Vec<Link> {
    let own = overlay.iter().filter(|own| own.applies(scope));
    let all = base.iter().copied().chain(own.map(|own| own.link));
    let mut links: Vec<Link> = all.filter(|link| is_wanted(link.order)).collect();
    links.sort_by_key(|link| (link.order, u8::MAX - link.rank));
    links.dedup_by_key(|link| link.order);
    links
}

/// Plugins of which each has to run before the next, and the last before the first.
pub(crate) fn circle(links: &[Link], plugins: &[PluginInstance]) -> Option<Vec<Link>> {
    let mut left = links.to_vec();
    loop {
        let free = left
            .iter()
            .position(|then| !left.iter().any(|first| precedes(plugins, *first, *then)));
        match free {
            Some(at) => left.remove(at),
            None => break,
        };
    }
    // Each that is left has one before it: going back from any leads into a circle.
    let mut path = vec![*left.first()?];
    loop {
        let last = path[path.len() - 1];
        let first = *left.iter().find(|link| precedes(plugins, **link, last))?;
        if let Some(at) = path.iter().position(|link| *link == first) {
            let mut circle = path.split_off(at);
            circle.reverse();
            return Some(circle);
        }
        path.push(first);
    }
}
