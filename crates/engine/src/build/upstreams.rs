//! Upstreams: their targets in order, and the rules by which their peers are judged.
use std::sync::Arc;

use twinplane_model::{ConfigTable, Id, Upstream};

use super::dangling;
use crate::balancer::{Policy, parse_target};
use crate::snapshot::{Fault, Index, TargetEntry, UpstreamEntry};
use crate::text::Text;

/// All upstreams, in the order of the configuration.
pub(super) fn build(table: &ConfigTable, faults: &mut Vec<Fault>) -> Vec<UpstreamEntry> {
    let places = table.upstreams.iter().enumerate();
    let at: Index<&Id, usize> = places.map(|(at, row)| (&row.id, at)).collect();
    let mut targets: Vec<Vec<TargetEntry>> = table.upstreams.iter().map(|_| Vec::new()).collect();
    for row in &table.targets {
        let Some(at) = at.get(&row.upstream) else {
            faults.push(dangling("targets", &row.id, "upstream", &row.upstream));
            continue;
        };
        let (host, port) = parse_target(&row.target);
        let weight = row.weight.unwrap_or(100);
        targets[*at].push(TargetEntry {
            id: Arc::clone(&row.id),
            host: host.into(),
            port,
            weight: u32::try_from(weight).unwrap_or(0),
            is_failover: row.failover.unwrap_or(false),
        });
    }
    let rows = table.upstreams.iter().zip(targets);
    rows.filter_map(|(row, targets)| match Policy::of(row) {
        Ok(policy) => Some(entry(row, targets, policy)),
        Err(message) => {
            faults.push(Fault {
                entity: "upstreams",
                id: Arc::clone(&row.id),
                message,
            });
            None
        }
    })
    .collect()
}

fn entry(row: &Upstream, targets: Vec<TargetEntry>, policy: Policy) -> UpstreamEntry {
    UpstreamEntry {
        targets,
        policy,
        host_header: row
            .host_header
            .as_ref()
            .map(|host| Text::copy_from(host.as_bytes())),
        model: row.clone(),
    }
}
