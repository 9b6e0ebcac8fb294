//! A configuration as it comes from Python, and what is made of it.
use std::sync::Arc;

use twinplane_engine::build::{BuildInput, build};
use twinplane_engine::router::Rules;
use twinplane_engine::snapshot::{NodeState, Snapshot};

use super::Target;

/// One of everything that the request path looks up.
pub(super) const WHOLE: &[u8] = include_bytes!("configuration.json");

/// A configuration is built, or what is wrong with it is told.
pub(super) const CONFIGURATION: Target = Target {
    name: "configuration",
    seeds: &[
        WHOLE,
        b"{\"routes\":[],\"services\":[]}",
        b"{\"snis\":[],\"certificates\":[]}",
    ],
    pieces: &[
        b"null",
        b"-1",
        b"0",
        b"9223372036854775807",
        b"\"\"",
        b"[]",
        b"{}",
        b"true",
        b"\"~/(\"",
        b"00000000-0000-4000-8000-000000000002",
        b"\\u0000",
        b"least-connections",
        b"round-robin",
        b"/",
    ],
    run: configuration,
};

fn configuration(json: &[u8]) -> bool {
    match built(json) {
        None => false,
        Some(Err(faults)) => {
            assert!(faults > 0);
            false
        }
        Some(Ok(_)) => true,
    }
}

/// None: it cannot be read. Or the number of faults.
pub(super) fn built(json: &[u8]) -> Option<Result<Snapshot, usize>> {
    let table = serde_json::from_slice(json).ok()?;
    let input = BuildInput {
        plugins: twinplane_plugins::table(),
        node: &Arc::new(NodeState::default()),
        rules: Rules::default(),
        previous: None,
        is_edge: false,
    };
    Some(build(table, input).map_err(|faults| faults.len()))
}
