//! Sources and destinations of a route: which ends of a connection they let in, and how they rank.
use twinplane_model::Route;

use super::matcher::{EndRule, Rest};
use super::priority::{END_ADDRESS, END_PORT, END_RANGE, StreamTraits};

/// Where connections may come from.
pub(super) fn sources(route: &Route) -> Result<Box<[EndRule]>, String> {
    let ends = route.sources.iter().flatten();
    ends.map(|end| rule(end.ip.as_deref(), end.port)).collect()
}

/// Which ends they may reach.
pub(super) fn destinations(route: &Route) -> Result<Box<[EndRule]>, String> {
    let ends = route.destinations.iter().flatten();
    ends.map(|end| rule(end.ip.as_deref(), end.port)).collect()
}

fn rule(ip: Option<&str>, port: Option<i64>) -> Result<EndRule, String> {
    Ok(EndRule {
        network: ip.map(str::parse).transpose()?,
        port: port
            .map(|port| u16::try_from(port).map_err(|_| format!("{port} is no port")))
            .transpose()?,
    })
}

/// What the rank of a route for streams depends on.
pub(super) fn traits(rest: &Rest) -> StreamTraits {
    let of = |rules: &[EndRule]| {
        rules.iter().fold(0, |bits, rule| {
            let network = match rule.network {
                Some(network) if network.is_single() => END_ADDRESS,
                Some(_) => END_RANGE,
                None => 0,
            };
            bits | network | if rule.port.is_some() { END_PORT } else { 0 }
        })
    };
    StreamTraits {
        has_snis: !rest.snis.is_empty(),
        sources: of(&rest.sources),
        destinations: of(&rest.destinations),
    }
}
