//! The order that plugins ask for: names become places, and a circle of plugins that wait for each other is told.
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use twinplane_model::Plugin;

use super::RouteAt;
use super::plugins::ScopedPlugins;
use crate::chain::{Link, Ordering, OverlayLink, circle, most_specific};
use crate::plugin::PluginInstance;
use crate::snapshot::{Consumers, Fault, Index};

/// The order that a row asks for; none: it has its place by its priority. Every name that is not known is told.
pub(super) fn read(
    row: &Plugin,
    place: impl Fn(&str) -> Option<u16>,
    faults: &mut Vec<Fault>,
) -> Option<Box<Ordering>> {
    let asked = row.ordering.as_ref()?;
    let before = asked.before.as_ref().and_then(|list| list.access.as_ref());
    let after = asked.after.as_ref().and_then(|list| list.access.as_ref());
    let mut places = |side: &str, names: Option<&Vec<Box<str>>>| -> Box<[u16]> {
        let mut places = Vec::new();
        for name in names.into_iter().flatten() {
            match place(name) {
                Some(_) if *name == row.name => {
                    faults.push(fault(
                        row,
                        &format!("{side}.access: '{name}' is the plugin itself"),
                    ));
                }
                Some(order) => places.push(order),
                None => {
                    faults.push(fault(
                        row,
                        &format!("{side}.access: plugin '{name}' is not known"),
                    ));
                }
            }
        }
        places.into()
    };
    let ordering = Ordering {
        before: places("before", before),
        after: places("after", after),
    };
    (ordering != Ordering::default()).then(|| Box::new(ordering))
}

fn fault(row: &Plugin, message: &str) -> Fault {
    Fault {
        entity: "plugins",
        id: Arc::clone(&row.id),
        message: format!("ordering.{message}"),
    }
}

/// Tells every circle that a request could meet: on its route, with or without the plugins of a consumer.
pub(super) fn circles(
    scoped: &ScopedPlugins,
    chains: &[(RouteAt, u32)],
    consumers: &Consumers,
    faults: &mut Vec<Fault>,
) {
    let suspects = suspects(&scoped.instances);
    if suspects.is_empty() {
        return;
    }
    let is_suspect = |order| suspects.contains(&order);
    let overlays = consumers.by_id.values().map(|consumer| &*consumer.plugins);
    let overlays: BTreeSet<Vec<u32>> = overlays
        .map(|overlay| {
            let links = overlay.iter().map(|own| own.link);
            let links = links.filter(|link| is_suspect(link.order));
            links.map(|link| link.plugin).collect()
        })
        .chain([Vec::new()])
        .collect();
    let by_plugin: Index<u32, OverlayLink> = consumers
        .by_id
        .values()
        .flat_map(|consumer| consumer.plugins.iter())
        .map(|own| (own.link.plugin, *own))
        .collect();
    let mut met: HashSet<Vec<Link>> = HashSet::new();
    let mut told: HashSet<u32> = HashSet::new();
    for ((route, service), chain) in chains {
        let base = &scoped.chains[*chain as usize].links;
        for plugins in &overlays {
            let own = plugins.iter().filter_map(|plugin| by_plugin.get(plugin));
            let own: Vec<OverlayLink> = own.copied().collect();
            let links = most_specific(base, &own, (*route, *service), is_suspect);
            if !met.insert(links.clone()) {
                continue;
            }
            let Some(circle) = circle(&links, &scoped.instances) else {
                continue;
            };
            let asks = |link: &&Link| scoped.instances[link.plugin as usize].ordering.is_some();
            if let Some(link) = circle.iter().find(asks)
                && told.insert(link.plugin)
            {
                faults.push(told_of(&circle, *link, &scoped.instances));
            }
        }
    }
}

fn told_of(circle: &[Link], link: Link, plugins: &[PluginInstance]) -> Fault {
    let names = circle.iter().chain(&circle[..1]);
    let names: Vec<&str> = names
        .map(|link| plugins[link.plugin as usize].name)
        .collect();
    Fault {
        entity: "plugins",
        id: Arc::clone(&plugins[link.plugin as usize].id),
        message: format!(
            "ordering: a circle, each before the next: {}",
            names.join(", ")
        ),
    }
}

/// Places of names that may be part of a circle, all configurations of a name taken together. Almost always none.
fn suspects(plugins: &[PluginInstance]) -> HashSet<u16> {
    let mut edges: HashSet<(u16, u16)> = HashSet::new();
    for plugin in plugins {
        let Some(ordering) = &plugin.ordering else {
            continue;
        };
        edges.extend(ordering.before.iter().map(|then| (plugin.order, *then)));
        edges.extend(ordering.after.iter().map(|first| (*first, plugin.order)));
    }
    loop {
        let firsts: HashSet<u16> = edges.iter().map(|(first, _)| *first).collect();
        let thens: HashSet<u16> = edges.iter().map(|(_, then)| *then).collect();
        let count = edges.len();
        edges.retain(|(first, then)| thens.contains(first) && firsts.contains(then));
        if edges.len() == count {
            return firsts;
        }
    }
}
