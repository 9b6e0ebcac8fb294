//! The router against recorded answers of a real node. The recordings lie beside the project; where they are absent
//! these tests say so and pass.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its input is not as agreed"
)]
mod recorded;

use serde_json::{Value, json};
use twinplane_engine::path;
use twinplane_engine::router::{Calculation, HeaderValues, Match, MatchInput, Router};
use twinplane_model::Route;

fn route(given: &Value) -> Route {
    let mut row = json!({
        "id": "", "name": null, "protocols": ["http", "https"], "https_redirect_status_code": 426, "strip_path": false,
        "preserve_host": false, "request_buffering": true, "response_buffering": true, "tags": null, "service": null,
        "snis": null, "sources": null, "destinations": null, "methods": null, "hosts": null, "paths": null,
        "headers": null, "regex_priority": 0, "path_handling": "v0", "created_at": null, "updated_at": null,
    });
    for (name, value) in given.as_object().unwrap() {
        // An empty list and an empty object look alike in the recordings.
        let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
        row[name] = if is_empty { Value::Null } else { value.clone() };
    }
    serde_json::from_value(row).unwrap()
}

struct Headers(Vec<(String, Vec<u8>)>);

impl HeaderValues for Headers {
    fn any(&self, folded_name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0
            .iter()
            .any(|(name, value)| name == folded_name && test(value))
    }
}

fn headers(given: &Value) -> Headers {
    let mut found = Vec::new();
    for (name, value) in given.as_object().into_iter().flatten() {
        let values = value
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![value.clone()]);
        let folded = name.to_lowercase().replace('_', "-");
        found.extend(
            values
                .iter()
                .map(|value| (folded.clone(), value.as_str().unwrap().as_bytes().to_vec())),
        );
    }
    Headers(found)
}

fn ask(router: &Router, request: &Value, is_raw: bool) -> (Option<Match>, Vec<u8>) {
    let headers = headers(&request["headers"]);
    let target = request["request_uri"]
        .as_str()
        .or(request["uri"].as_str())
        .unwrap_or("/");
    let raw = target.split('?').next().unwrap();
    // `select` is asked with a path that is in its final form.
    let normal = if is_raw {
        None
    } else {
        path::normalise(raw.as_bytes()).ok()
    };
    let normal = normal.map_or_else(|| raw.as_bytes().to_vec(), std::borrow::Cow::into_owned);
    let host = request["host"]
        .as_str()
        .or(request["headers"]["host"].as_str())
        .unwrap_or_default();
    let scheme = request["scheme"].as_str().unwrap_or("http");
    let input = MatchInput {
        method: request["method"].as_str().unwrap_or("GET").as_bytes(),
        host: host.as_bytes(),
        listener_port: u16::try_from(request["port"].as_u64().unwrap_or(if scheme == "https" {
            443
        } else {
            80
        }))
        .unwrap(),
        path: &normal,
        sni: request["sni"].as_str().map(str::as_bytes),
        is_tls: scheme == "https",
        headers: &headers,
    };
    (router.find(&input), normal)
}

fn build(case: &Value, calculation: Calculation) -> (Router, Vec<Route>) {
    let routes: Vec<Route> = case["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| route(&each["route"]))
        .collect();
    (Router::build(&routes, calculation).unwrap(), routes)
}

/// Route number from 1, 0 for none, and the path that goes upstream.
fn answer(case: &Value, calculation: Calculation) -> (u64, String) {
    let (router, table) = build(case, calculation);
    let (found, path) = ask(&router, &case["request"], case["call"] == "select");
    let Some(found) = found else {
        return (0, String::new());
    };
    let index = found.route as usize;
    let base = case["routes"][index]["service"]["path"]
        .as_str()
        .unwrap_or("");
    let joined = path::upstream_path(
        base.as_bytes(),
        &path,
        found.path_taken,
        table[index].strip_path,
    );
    (
        u64::from(found.route) + 1,
        String::from_utf8_lossy(&joined).into_owned(),
    )
}

fn check(case: &Value, expect: &Value, calculation: Calculation, wrong: &mut Vec<String>) {
    let (index, uri) = answer(case, calculation);
    let wanted = expect["route_index"].as_u64().unwrap_or(0);
    if index != wanted {
        wrong.push(format!("{}: route {index}, recorded {wanted}", case["id"]));
    } else if let Some(recorded) = expect["upstream_uri"].as_str()
        && case["call"] != "select"
        && recorded.split('?').next() != Some(&uri)
    {
        wrong.push(format!("{}: path {uri}, recorded {recorded}", case["id"]));
    }
}

/// Their recording lacks the host that the request was sent with.
const WITHOUT_HOST: [&str; 2] = ["router-0743", "router-0745"];

#[test]
fn recorded_requests_find_the_recorded_routes() {
    let Some(cases) = recorded::cases("router.jsonl") else {
        return;
    };
    let mut wrong = Vec::new();
    let mut seen = 0;
    for case in &cases {
        // Incremental cases ask a router that was not rebuilt on purpose; ours is always built whole.
        let is_ours = case["flavor"] == "traditional_compatible" && case["subsystem"] == "http";
        if is_ours
            && case["incremental"] != true
            && !WITHOUT_HOST.contains(&case["id"].as_str().unwrap())
        {
            seen += 1;
            check(case, &case["expect"], Calculation::Original, &mut wrong);
        }
    }
    assert!(seen > 100, "only {seen} cases of the flavour");
    assert!(
        wrong.is_empty(),
        "{} of {seen} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn random_tables_find_the_recorded_routes_in_both_calculations() {
    let Some(cases) = recorded::cases("router_fuzz.jsonl") else {
        return;
    };
    let mut wrong = Vec::new();
    // Among routes of four and more attribute kinds a real node's order is an accident of its compiler; ours is the one
    // that was recorded, so these are compared like all others.
    for case in &cases {
        check(
            case,
            &case["expect_traditional_compatible"],
            Calculation::Original,
            &mut wrong,
        );
        check(
            case,
            &case["expect_strict_predicted"],
            Calculation::Strict,
            &mut wrong,
        );
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn recorded_refusals_are_refused() {
    let Some(cases) = recorded::cases("router_reject.jsonl") else {
        return;
    };
    for case in cases
        .iter()
        .filter(|case| case["flavor"] == "traditional_compatible")
    {
        let table: Vec<Route> = case["routes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|each| route(&each["route"]))
            .collect();
        let faults = Router::build(&table, Calculation::Original).unwrap_err();
        assert_eq!(faults[0].message, case["error"], "{}", case["id"]);
    }
}
