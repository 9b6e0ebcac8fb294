use serde_json::{Value, json};

use super::*;
use crate::headers::Headers;

fn route(fields: &Value) -> Route {
    let mut row = json!({
        "id": "00000000-0000-4000-8000-000000000001", "protocols": ["http", "https"], "https_redirect_status_code": 426,
        "strip_path": true, "preserve_host": false, "request_buffering": true, "response_buffering": true,
    });
    for (name, value) in fields.as_object().unwrap() {
        row[name] = value.clone();
    }
    serde_json::from_value(row).unwrap()
}

fn build(rows: &[Value]) -> Router {
    let rows: Vec<Route> = rows.iter().map(route).collect();
    Router::build(&rows, Calculation::Original).unwrap()
}

fn find(router: &Router, host: &str, path: &str, headers: &Headers) -> Option<Match> {
    router.find(&MatchInput {
        method: b"GET",
        host: host.as_bytes(),
        listener_port: 80,
        path: path.as_bytes(),
        sni: None,
        is_tls: false,
        headers,
    })
}

#[test]
fn headers_match_whatever_the_spelling_of_their_names() {
    let router = build(&[json!({"headers": {"X_Api-Version": ["v2", "~*^beta"]}})]);
    for (name, value, wanted) in [
        ("x-api-version", "V2", true),
        ("X_API_VERSION", "v2", true),
        ("X-Api-Version", "Beta-7", true),
        ("X-Api-Version", "v1", false),
        ("X-Api-Versio", "v2", false),
    ] {
        let mut headers = Headers::new();
        headers.append(name, "nothing");
        headers.append(name, value);
        let found = find(&router, "a.test", "/", &headers);
        assert_eq!(found.is_some(), wanted, "{name}: {value}");
    }
}

#[test]
fn captures_are_told_by_number_and_name() {
    let router = build(&[json!({"paths": [r"~/users/(?<id>\d+)(/x)?"]})]);
    let found = find(&router, "", "/users/42/y", &Headers::new()).unwrap();
    assert_eq!(found.path_taken, Some(9));
    let captures: Vec<_> = found
        .captures
        .iter()
        .map(|capture| (capture.name.as_deref(), capture.value.as_deref()))
        .collect();
    assert_eq!(
        captures,
        [
            (None, Some(b"/users/42".as_slice())),
            (Some("id"), Some(b"42".as_slice())),
            (None, None)
        ]
    );
}

#[test]
fn every_fault_is_told() {
    let rows = [
        route(&json!({"paths": ["~/("]})),
        route(&json!({"hosts": ["a*b"]})),
        route(&json!({})),
    ];
    let faults = Router::build(&rows, Calculation::Original).unwrap_err();
    let places: Vec<u32> = faults.iter().map(|fault| fault.route).collect();
    assert_eq!(places, [0, 2]);
}

#[test]
fn routes_of_streams_are_not_among_them() {
    let router = build(&[json!({"protocols": ["tls"], "snis": ["a.test"]})]);
    assert!(router.is_empty());
}

#[test]
fn the_next_router_takes_over_what_was_compiled() {
    let rows = [route(&json!({"paths": ["~/a[0-9]"]}))];
    let first = Router::build(&rows, Calculation::Original).unwrap();
    let next = Router::build_after(&rows, Calculation::Original, Some(&first)).unwrap();
    let only = |router: &Router| std::sync::Arc::clone(router.patterns.values().next().unwrap());
    assert!(std::sync::Arc::ptr_eq(&only(&first), &only(&next)));
}

#[test]
fn more_prefixes_than_are_kept_at_once_are_all_looked_at() {
    let long = "/".to_owned() + &"x".repeat(300);
    let rows: Vec<Value> = (1..=300)
        .map(|bytes| json!({"id": format!("00000000-0000-4000-8000-{bytes:012}"), "paths": [&long[..bytes]]}))
        .collect();
    let router = build(&rows);
    for bytes in [1usize, 2, 16, 17, 127, 128, 129, 300] {
        let found = find(&router, "a.test", &long[..bytes], &Headers::new()).unwrap();
        assert_eq!(found.route as usize, bytes - 1);
    }
}
