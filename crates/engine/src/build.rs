//! From rows to a snapshot: checks every reference, builds every filter, indexes what the request path looks up.
//! All or nothing: any fault leaves the configuration before it in place.
mod consumers;
mod credentials;
mod orderings;
mod plugins;
#[cfg(test)]
mod tests;
mod upstreams;

use std::sync::{Arc, OnceLock};

use twinplane_model::{ConfigTable, Id, Route, Service};

use crate::exchange::Scheme;
use crate::plugin::PluginTable;
use crate::router::{Flavor, Router, Rules, Subsystem};
use crate::snapshot::{Fault, Index, NodeState, RouteEntry, ServiceEntry, ServiceTarget, Snapshot};
use crate::stream::is_stream;
use crate::text::Text;

/// A route and its service.
type RouteAt = (Option<u32>, Option<u32>);

/// What a build needs beside the rows.
#[derive(Clone, Copy)]
pub struct BuildInput<'a> {
    /// All bundled plugins.
    pub plugins: &'a PluginTable,
    /// What outlives configurations.
    pub node: &'a Arc<NodeState>,
    /// How routes are written and ranked.
    pub rules: Rules,
    /// The configuration in force, from which what was compiled is taken over.
    pub previous: Option<&'a Snapshot>,
    /// Whether this is the front door's built-in configuration, in which a service may be a Unix socket.
    pub is_edge: bool,
}

/// Builds a snapshot of a whole configuration.
pub fn build(table: ConfigTable, input: BuildInput<'_>) -> Result<Snapshot, Vec<Fault>> {
    let mut faults = Vec::new();
    let upstreams: Index<&str, u32> = table
        .upstreams
        .iter()
        .enumerate()
        .map(|(at, upstream)| (&*upstream.name, position(at)))
        .collect();
    let services: Vec<ServiceEntry> = table
        .services
        .iter()
        .filter(|service| service.enabled)
        .map(|service| service_entry(service.clone(), &upstreams, input.is_edge))
        .collect();
    let service_at: Index<Id, u32> = services
        .iter()
        .enumerate()
        .map(|(at, service)| (Arc::clone(&service.model.id), position(at)))
        .collect();
    let routes = served_routes(&table, &service_at, &mut faults);
    let route_at: Index<Id, u32> = routes
        .iter()
        .enumerate()
        .map(|(at, route)| (Arc::clone(&route.0.id), position(at)))
        .collect();

    let mut scoped = plugins::build(&table, input, &route_at, &service_at, &mut faults);
    let consumers = consumers::build(&table, &mut scoped, &mut faults);
    let pools = upstreams::build(&table, &mut faults);
    let keyauth = consumers::keyauth(&table, &consumers, &mut faults);
    let credentials = credentials::build(&table, &consumers, &mut scoped.issues, &mut faults);
    let rows = || routes.iter().map(|(route, _)| route);
    let mut matching = |subsystem, previous| {
        let rules = Rules {
            subsystem,
            ..input.rules
        };
        Router::build_after(rows(), rules, previous).unwrap_or_else(|unmatchable| {
            faults.extend(unmatchable.into_iter().map(|fault| Fault {
                entity: "routes",
                id: Arc::clone(&routes[fault.route as usize].0.id),
                message: fault.message,
            }));
            Router::default()
        })
    };
    let previous = input.previous;
    let of_requests = matching(Subsystem::Http, previous.map(|before| &before.router));
    let of_streams = matching(
        Subsystem::Stream,
        previous.map(|before| &before.stream_router),
    );
    let global_chain = scoped.global_chain();
    let mut chains: Vec<(RouteAt, u32)> = routes
        .iter()
        .enumerate()
        .map(|(at, (route, service))| {
            let at = position(at);
            let is_stream = route.protocols.iter().any(|name| is_stream(name));
            ((Some(at), *service), scoped.chain(at, *service, is_stream))
        })
        .collect();
    chains.push(((None, None), global_chain));
    orderings::circles(&scoped, &chains, &consumers, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let routes: Vec<RouteEntry> = routes
        .into_iter()
        .zip(chains)
        .map(|((route, service), (_, chain))| {
            route_entry(route, service, chain, input.rules.flavor)
        })
        .collect();
    Ok(Snapshot {
        router: of_requests,
        stream_router: of_streams,
        routes,
        services,
        upstreams: pools,
        plugins: scoped.instances,
        chains: scoped.chains,
        global_chain,
        consumers,
        keyauth,
        credentials,
        certificates: table.certificates,
        snis: table.snis,
        ca_certificates: table.ca_certificates,
        issues: scoped.issues,
    })
}

// Routes of a disabled service are left out, as if they were not there.
fn served_routes(
    table: &ConfigTable,
    service_at: &Index<Id, u32>,
    faults: &mut Vec<Fault>,
) -> Vec<(Route, Option<u32>)> {
    let disabled: Vec<&Id> = table
        .services
        .iter()
        .filter(|service| !service.enabled)
        .map(|service| &service.id)
        .collect();
    let mut routes = Vec::with_capacity(table.routes.len());
    for route in &table.routes {
        let service = route
            .service
            .as_ref()
            .and_then(|id| service_at.get(id))
            .copied();
        match &route.service {
            Some(id) if disabled.contains(&id) => {}
            Some(id) if service.is_none() => {
                faults.push(dangling("routes", &route.id, "service", id));
            }
            _ => routes.push((route.clone(), service)),
        }
    }
    routes
}

fn service_entry(model: Service, upstreams: &Index<&str, u32>, is_edge: bool) -> ServiceEntry {
    let scheme = if matches!(&*model.protocol, "https" | "grpcs" | "tls" | "wss") {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let target = match (
        model.host.strip_prefix("unix:"),
        upstreams.get(&*model.host),
    ) {
        (Some(path), _) if is_edge => ServiceTarget::Socket(path.into()),
        (_, Some(upstream)) => ServiceTarget::Upstream(*upstream),
        _ => address(&model.host).map_or(ServiceTarget::Name, ServiceTarget::Address),
    };
    let host_header = match &target {
        ServiceTarget::Socket(_) => Text::from_static("localhost"),
        _ if model.port == i64::from(scheme.default_port()) => {
            Text::copy_from(model.host.as_bytes())
        }
        _ => Text::from(format!("{}:{}", model.host, model.port)),
    };
    ServiceEntry {
        is_grpc: matches!(&*model.protocol, "grpc" | "grpcs"),
        model,
        scheme,
        target,
        host_header,
        log_text: OnceLock::new(),
    }
}

fn address(host: &str) -> Option<std::net::IpAddr> {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
        .parse()
        .ok()
}

fn route_entry(model: Route, service: Option<u32>, chain: u32, flavor: Flavor) -> RouteEntry {
    let has = |wanted: &[&str]| {
        model
            .protocols
            .iter()
            .any(|protocol| wanted.contains(&&**protocol))
    };
    let is_secure = has(&["https", "wss"]) && !has(&["http", "ws"]);
    let https_only =
        is_secure.then(|| u16::try_from(model.https_redirect_status_code).unwrap_or(426));
    RouteEntry {
        service,
        chain,
        https_only,
        is_grpc: has(&["grpc", "grpcs"]),
        is_grpcs_only: has(&["grpcs"]) && !has(&["grpc"]),
        joins_plainly: flavor == Flavor::Traditional
            && model.path_handling.as_deref() == Some("v1"),
        log_text: OnceLock::new(),
        model,
    }
}

fn dangling(entity: &'static str, id: &Id, field: &str, target: &str) -> Fault {
    Fault {
        entity,
        id: Arc::clone(id),
        message: format!("{field}: no entity with id '{target}'"),
    }
}

fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
