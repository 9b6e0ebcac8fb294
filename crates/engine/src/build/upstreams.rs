//! Upstreams: their targets in order, and the rules by which their peers are judged.
use std::sync::Arc;

use twinplane_model::{ConfigTable, Id, Upstream};

use super::dangling;
use crate::balancer::{Thresholds, parse_target};
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
        });
    }
    let rows = table.upstreams.iter().zip(targets);
    rows.map(|(row, targets)| entry(row, targets)).collect()
}

fn entry(row: &Upstream, targets: Vec<TargetEntry>) -> UpstreamEntry {
    let passive = &row.healthchecks.passive;
    let count = |value: Option<i64>| u8::try_from(value.unwrap_or(0)).unwrap_or(u8::MAX);
    let statuses = |values: &Option<Vec<i64>>| -> Box<[u16]> {
        let values = values.iter().flatten();
        values
            .filter_map(|status| u16::try_from(*status).ok())
            .collect()
    };
    UpstreamEntry {
        targets,
        threshold_percent: row.healthchecks.threshold.unwrap_or(0.0),
        passive: Thresholds {
            successes: count(passive.healthy.successes),
            http_failures: count(passive.unhealthy.http_failures),
            tcp_failures: count(passive.unhealthy.tcp_failures),
            timeouts: count(passive.unhealthy.timeouts),
        },
        healthy_statuses: statuses(&passive.healthy.http_statuses),
        unhealthy_statuses: statuses(&passive.unhealthy.http_statuses),
        host_header: row
            .host_header
            .as_ref()
            .map(|host| Text::copy_from(host.as_bytes())),
        model: row.clone(),
    }
}
