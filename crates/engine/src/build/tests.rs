use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::exchange::Exchange;
use crate::filter::{Filter, Flow, Phases};
use crate::plugin::{BuildContext, BuildError, PluginSpec};

struct Nothing;

impl Filter for Nothing {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access(&self, _x: &mut Exchange) -> Flow {
        Flow::Continue
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every builder")]
fn nothing(
    _config: &serde_json::value::RawValue,
    _context: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    Ok(Arc::new(Nothing))
}

const PLUGINS: [PluginSpec; 3] = [
    PluginSpec {
        name: "key-auth",
        priority: 1250,
        version: "3.9.3",
        observes_only: false,
        build: Some(nothing),
    },
    PluginSpec {
        name: "jwt",
        priority: 1450,
        version: "3.9.3",
        observes_only: false,
        build: None,
    },
    PluginSpec {
        name: "datadog",
        priority: 10,
        version: "3.9.3",
        observes_only: true,
        build: None,
    },
];

pub(crate) fn service(id: &str, host: &str) -> serde_json::Value {
    json!({"id": id, "protocol": "http", "host": host, "port": 8080, "enabled": true})
}

pub(crate) fn route(id: &str, service: Option<&str>) -> serde_json::Value {
    json!({"id": id, "service": service, "protocols": ["http", "https"], "https_redirect_status_code": 426, "strip_path": true,
        "preserve_host": false, "request_buffering": true, "response_buffering": true, "paths": ["/"]})
}

pub(crate) fn plugin(id: &str, name: &str, scope: &serde_json::Value) -> serde_json::Value {
    let mut row =
        json!({"id": id, "name": name, "config": {}, "protocols": ["http"], "enabled": true});
    for (key, value) in scope.as_object().unwrap() {
        row[key] = value.clone();
    }
    row
}

fn build_json(table: &serde_json::Value) -> Result<Snapshot, Vec<Fault>> {
    let node = Arc::new(NodeState::default());
    // Through text, as it comes: a raw value cannot be read from a tree.
    let table = serde_json::from_str(&table.to_string()).unwrap();
    build(
        table,
        BuildInput {
            plugins: &PLUGINS,
            node: &node,
            rules: Rules::default(),
            previous: None,
            is_edge: false,
        },
    )
}

#[test]
fn every_dangling_reference_is_told_at_once() {
    let faults = build_json(&json!({
        "routes": [route("r", Some("gone"))],
        "plugins": [plugin("p", "key-auth", &json!({"service": "gone"})), plugin("q", "key-auth", &json!({"consumer": "gone"})), plugin("z", "zap", &json!({}))],
        "acls": [{"id": "a", "consumer": "gone", "group": "g"}],
        "keyauth_credentials": [{"id": "k", "consumer": "gone", "key": "1"}],
    }))
    .unwrap_err();
    let mut told: Vec<_> = faults
        .iter()
        .map(|fault| (fault.entity, &*fault.id))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("acls", "a"),
            ("keyauth_credentials", "k"),
            ("plugins", "p"),
            ("plugins", "q"),
            ("plugins", "z"),
            ("routes", "r")
        ]
    );
}

#[test]
fn routes_of_a_disabled_service_are_left_out_with_their_plugins() {
    let mut off = service("s", "a.example");
    off["enabled"] = false.into();
    let snapshot = build_json(&json!({
        "services": [off, service("t", "127.0.0.1")],
        "routes": [route("r", Some("s")), route("u", Some("t"))],
        "plugins": [plugin("p", "key-auth", &json!({"route": "r"})), plugin("q", "key-auth", &json!({"service": "s"}))],
    }))
    .unwrap();
    assert_eq!(snapshot.routes.len(), 1);
    assert_eq!(&*snapshot.routes[0].model.id, "u");
    assert!(
        snapshot.chains[snapshot.routes[0].chain as usize]
            .links
            .is_empty()
    );
    assert_eq!(
        snapshot.services[0].target,
        ServiceTarget::Address([127, 0, 0, 1].into())
    );
    assert_eq!(
        snapshot.services[0].host_header,
        Text::from_static("127.0.0.1:8080")
    );
}

#[test]
fn a_plugin_without_behaviour_is_reported_and_guards_its_route() {
    let snapshot = build_json(&json!({
        "routes": [route("r", None)],
        "plugins": [plugin("p", "jwt", &json!({"route": "r"})), plugin("q", "datadog", &json!({}))],
    }))
    .unwrap();
    let codes: Vec<_> = snapshot
        .issues
        .iter()
        .map(|issue| (&*issue.plugin, issue.code))
        .collect();
    assert_eq!(
        codes,
        [
            ("jwt", "plugin_unavailable"),
            ("datadog", "plugin_unavailable")
        ]
    );
    assert_eq!(
        snapshot.chains[snapshot.routes[0].chain as usize]
            .links
            .len(),
        1
    );
    assert!(
        snapshot.chains[snapshot.global_chain as usize]
            .links
            .is_empty()
    );
}

#[test]
fn equal_chains_are_kept_once() {
    let routes: Vec<_> = (0..50)
        .map(|n| route(&format!("r{n}"), Some("s")))
        .collect();
    let snapshot = build_json(&json!({
        "services": [service("s", "a.example")],
        "routes": routes,
        "plugins": [plugin("p", "key-auth", &json!({"service": "s"})), plugin("q", "key-auth", &json!({"route": "r7"}))],
    }))
    .unwrap();
    assert_eq!(snapshot.chains.len(), 3);
}
