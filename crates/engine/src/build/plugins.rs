//! Plugins: each row becomes a filter with its scope, each route gets the chain of those that apply to it.
use std::sync::Arc;

use twinplane_model::{ConfigTable, Id, Plugin};

use super::{BuildInput, dangling, orderings, position};
use crate::chain::{Chain, Link, Ordering, OverlayLink, Whose, rank};
use crate::filter::{Filter, Phases};
use crate::plugin::{ActsOn, BuildContext, BuildError, PluginInstance, PluginSpec, Unavailable};
use crate::router::{Expression, Subsystem};
use crate::snapshot::{Fault, Index, Issue};

/// All filters, sorted by scope.
#[derive(Default)]
pub(super) struct ScopedPlugins {
    pub(super) instances: Vec<PluginInstance>,
    pub(super) chains: Vec<Chain>,
    pub(super) issues: Vec<Issue>,
    global: Vec<Link>,
    by_service: Index<u32, Vec<Link>>,
    by_route: Index<u32, Vec<(Link, Option<u32>)>>,
    by_consumer: Index<Id, Vec<OverlayLink>>,
    by_group: Index<Id, Vec<OverlayLink>>,
    known: Index<Box<[Link]>, u32>,
}

/// What a plugin asks for beside its configuration.
struct Asked {
    ordering: Option<Box<Ordering>>,
    condition: Option<Box<Expression>>,
}

/// Builds a filter of each enabled plugin.
pub(super) fn build(
    table: &ConfigTable,
    input: BuildInput<'_>,
    route_at: &Index<Id, u32>,
    service_at: &Index<Id, u32>,
    faults: &mut Vec<Fault>,
) -> ScopedPlugins {
    let orders = orders(input.plugins);
    let mut scoped = ScopedPlugins::default();
    for row in table.plugins.iter().filter(|row| row.enabled) {
        if row.consumer.is_some() && row.consumer_group.is_some() {
            faults.push(Fault {
                entity: "plugins",
                id: Arc::clone(&row.id),
                message: "consumer, consumer_group: only one of them".to_owned(),
            });
            continue;
        }
        let Some((spec, order)) = orders.get(&*row.name) else {
            faults.push(Fault {
                entity: "plugins",
                id: Arc::clone(&row.id),
                message: format!("plugin '{}' is not known", row.name),
            });
            continue;
        };
        let filter = match build_filter(spec, row, table, input) {
            Ok(filter) => Some(filter),
            Err(BuildError::Unavailable(reason)) => {
                scoped.issues.push(unavailable(row, spec, &reason));
                None
            }
            Err(BuildError::Invalid(message)) => {
                faults.push(Fault {
                    entity: "plugins",
                    id: Arc::clone(&row.id),
                    message,
                });
                continue;
            }
        };
        let place = |name: &str| orders.get(name).map(|(_, order)| *order);
        let asked = Asked {
            ordering: orderings::read(row, place, faults),
            condition: condition(row, faults),
        };
        scoped.place(
            row,
            spec,
            (*order, asked),
            filter,
            table,
            (route_at, service_at),
            faults,
        );
    }
    scoped
}

fn orders(plugins: &[PluginSpec]) -> Index<&'static str, (&PluginSpec, u16)> {
    let mut sorted: Vec<&PluginSpec> = plugins.iter().collect();
    sorted.sort_by(|a, b| b.priority.cmp(&a.priority).then(a.name.cmp(b.name)));
    sorted
        .into_iter()
        .zip(1..)
        .map(|(spec, order)| (spec.name, (spec, order)))
        .collect()
}

fn build_filter(
    spec: &PluginSpec,
    row: &Plugin,
    table: &ConfigTable,
    input: BuildInput<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let Some(build) = spec.build else {
        return Err(BuildError::Unavailable(
            "it has no behaviour here".to_owned(),
        ));
    };
    build(
        &row.config,
        &BuildContext {
            plugin: row,
            table,
            node: input.node,
        },
    )
}

fn condition(row: &Plugin, faults: &mut Vec<Fault>) -> Option<Box<Expression>> {
    match Expression::read(row.condition.as_deref()?, Subsystem::Http) {
        Ok(expression) => Some(Box::new(expression)),
        Err(wrong) => {
            faults.extend(wrong.into_iter().map(|fault| Fault {
                entity: "plugins",
                id: Arc::clone(&row.id),
                message: format!("condition: {fault}"),
            }));
            None
        }
    }
}

impl ScopedPlugins {
    #[expect(
        clippy::too_many_arguments,
        reason = "one plugin with all that its place depends on"
    )]
    fn place(
        &mut self,
        row: &Plugin,
        spec: &PluginSpec,
        (order, asked): (u16, Asked),
        filter: Option<Arc<dyn Filter>>,
        table: &ConfigTable,
        (route_at, service_at): (&Index<Id, u32>, &Index<Id, u32>),
        faults: &mut Vec<Fault>,
    ) {
        if filter.is_none() && spec.observes_only {
            return;
        }
        let route = row
            .route
            .as_ref()
            .map(|id| route_at.get(id).copied().ok_or(id));
        let service = row
            .service
            .as_ref()
            .map(|id| service_at.get(id).copied().ok_or(id));
        let (route, service) = match (route.transpose(), service.transpose()) {
            (Ok(route), Ok(service)) => (route, service),
            // What is scoped to a disabled service or to its routes waits until the service is enabled.
            (route, service) => {
                let is_known = |id: &Id| {
                    table.routes.iter().any(|row| row.id == *id)
                        || table.services.iter().any(|row| row.id == *id)
                };
                faults.extend(
                    route
                        .err()
                        .filter(|id| !is_known(id))
                        .map(|id| dangling("plugins", &row.id, "route", id)),
                );
                faults.extend(
                    service
                        .err()
                        .filter(|id| !is_known(id))
                        .map(|id| dangling("plugins", &row.id, "service", id)),
                );
                return;
            }
        };
        let filter = filter.unwrap_or_else(|| Arc::new(Unavailable));
        let plugin = position(self.instances.len());
        let acts_on = ActsOn::of(&row.protocols);
        self.instances.push(PluginInstance {
            id: Arc::clone(&row.id),
            name: spec.name,
            phases: filter.phases(),
            filter,
            order,
            ordering: asked.ordering,
            condition: asked.condition,
            acts_on,
        });
        let link = Link {
            plugin,
            order,
            rank: rank(route.is_some(), service.is_some(), whose(row)),
        };
        let overlay = OverlayLink {
            link,
            route,
            service,
        };
        let of = |id: &Id| Arc::clone(id);
        // Nobody is recognised on a stream.
        let is_of_some = row.consumer.is_some() || row.consumer_group.is_some();
        if is_of_some && !acts_on.requests {
            return;
        }
        match (&row.consumer, &row.consumer_group, route, service) {
            (Some(consumer), ..) => self
                .by_consumer
                .entry(of(consumer))
                .or_default()
                .push(overlay),
            (None, Some(group), ..) => self.by_group.entry(of(group)).or_default().push(overlay),
            (None, None, Some(route), service) => self
                .by_route
                .entry(route)
                .or_default()
                .push((link, service)),
            (None, None, None, Some(service)) => {
                self.by_service.entry(service).or_default().push(link);
            }
            (None, None, None, None) => self.global.push(link),
        }
    }

    /// The plugins of a consumer and of its groups (the first counts most), in order; of two for one plugin the more
    /// specific first.
    pub(super) fn of_consumer(&mut self, id: &Id, groups: &[&Id]) -> Box<[OverlayLink]> {
        let mut links = self.by_consumer.remove(id).unwrap_or_default();
        let of_groups = groups.iter().filter_map(|group| self.by_group.get(*group));
        links.extend(of_groups.flatten());
        links.sort_by_key(|own| (own.link.order, u8::MAX - own.link.rank));
        links.into()
    }

    /// Groups that plugins name: the plugin, then the group.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&Id, &Id)> {
        self.by_group.iter().flat_map(move |(group, links)| {
            links
                .iter()
                .map(move |own| (&self.instances[own.link.plugin as usize].id, group))
        })
    }

    /// Consumers that plugins name and nobody took.
    pub(super) fn missing_consumers(&self) -> impl Iterator<Item = (&Id, &Id)> {
        self.by_consumer.iter().flat_map(move |(consumer, links)| {
            links
                .iter()
                .map(move |own| (&self.instances[own.link.plugin as usize].id, consumer))
        })
    }

    /// The chain of a route.
    pub(super) fn chain(&mut self, route: u32, service: Option<u32>, is_stream: bool) -> u32 {
        let mut links = self.global.clone();
        links.extend(
            service
                .and_then(|service| self.by_service.get(&service))
                .into_iter()
                .flatten(),
        );
        let own = self.by_route.get(&route).into_iter().flatten();
        links.extend(
            own.filter(|(_, wanted)| wanted.is_none() || *wanted == service)
                .map(|(link, _)| *link),
        );
        self.intern(links, is_stream)
    }

    /// The chain of requests that no route matches.
    pub(super) fn global_chain(&mut self) -> u32 {
        self.intern(self.global.clone(), false)
    }

    fn intern(&mut self, mut links: Vec<Link>, is_stream: bool) -> u32 {
        links.retain(|link| {
            let acts_on = self.instances[link.plugin as usize].acts_on;
            if is_stream {
                acts_on.streams
            } else {
                acts_on.requests
            }
        });
        links.sort_by_key(|link| (link.order, u8::MAX - link.rank));
        links.dedup_by_key(|link| link.order);
        let links: Box<[Link]> = links.into();
        if let Some(known) = self.known.get(&links) {
            return *known;
        }
        let phases = links.iter().fold(Phases::NONE, |phases, link| {
            phases.and(self.instances[link.plugin as usize].phases)
        });
        let at = position(self.chains.len());
        let mut instances = links
            .iter()
            .map(|link| &self.instances[link.plugin as usize]);
        let is_ordered = instances.any(|instance| instance.ordering.is_some());
        self.chains.push(Chain {
            links: links.clone(),
            phases,
            is_ordered,
        });
        self.known.insert(links, at);
        at
    }
}

const fn whose(row: &Plugin) -> Whose {
    match (&row.consumer, &row.consumer_group) {
        (Some(_), _) => Whose::Consumer,
        (None, Some(_)) => Whose::Group,
        (None, None) => Whose::Anybody,
    }
}

fn unavailable(row: &Plugin, spec: &PluginSpec, reason: &str) -> Issue {
    let consequence = if spec.observes_only {
        "requests pass without it"
    } else {
        "requests it applies to are answered with 503"
    };
    Issue {
        plugin_id: Arc::clone(&row.id),
        plugin: spec.name.to_owned(),
        code: "plugin_unavailable",
        message: format!(
            "plugin '{}' is not available on this node: {reason}; {consequence}",
            spec.name
        ),
    }
}
