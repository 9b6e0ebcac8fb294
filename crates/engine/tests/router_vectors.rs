//! The router against recorded answers of a real node. The recordings lie beside the project; where they are absent
//! these tests say so and pass.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its input is not as agreed"
)]
mod recorded;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use twinplane_engine::path;

use twinplane_engine::router::{
    Calculation, End, Flavor, HeaderValues, Match, MatchInput, Protocol, Router, Rules, Subsystem,
};
use twinplane_model::Route;

fn route(given: &Value) -> Route {
    let mut row = json!({
        "id": "", "name": null, "protocols": [], "https_redirect_status_code": 426, "strip_path": false,
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
    let (raw, query) = target.split_once('?').unwrap_or((target, ""));
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
    let sni = request["sni"]
        .as_str()
        .or(request["ssl_preread_server_name"].as_str());
    let protocol = match request["scheme"].as_str() {
        Some("https") => Protocol::Https,
        Some("tcp") => Protocol::Tcp,
        Some("udp") => Protocol::Udp,
        Some("tls") => Protocol::Tls,
        _ if request["ssl_preread_server_name"].is_string() => Protocol::Tls,
        _ => Protocol::Http,
    };
    let port = |name: &str| {
        request[name]
            .as_u64()
            .map(|port| u16::try_from(port).unwrap())
    };
    let address = |name: &str| request[name].as_str().map(|text| text.parse().unwrap());
    let usual = match protocol {
        Protocol::Https => Some(443),
        Protocol::Http => Some(80),
        _ => None,
    };
    let query = queries(&request["queries"]).unwrap_or_else(|| query.to_owned());
    let input = MatchInput {
        method: request["method"].as_str().unwrap_or("GET").as_bytes(),
        host: host.as_bytes(),
        path: &normal,
        query: query.as_bytes(),
        protocol,
        sni: sni.map(str::as_bytes),
        source: End {
            address: address("src_ip"),
            port: port("src_port"),
        },
        destination: End {
            address: address("dst_ip"),
            port: port("dst_port").or(port("port")).or(usual),
        },
        headers: &headers,
    };
    (router.find(&input), normal)
}

fn queries(given: &Value) -> Option<String> {
    let mut arguments = Vec::new();
    for (name, value) in given.as_object()? {
        let values = value
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![value.clone()]);
        for value in values {
            arguments.push(format!("{name}={}", value.as_str().unwrap()));
        }
    }
    Some(arguments.join("&"))
}

fn rules(case: &Value, calculation: Calculation) -> Rules {
    // One table of the oldest flavour held both kinds of routes.
    let asks_http = matches!(case["request"]["scheme"].as_str(), Some("http" | "https"));
    Rules {
        flavor: match case["flavor"].as_str() {
            Some("traditional") => Flavor::Traditional,
            Some("expressions") => Flavor::Expressions,
            _ => Flavor::TraditionalCompatible,
        },
        calculation,
        subsystem: if case["subsystem"] == "stream" && !asks_http {
            Subsystem::Stream
        } else {
            Subsystem::Http
        },
    }
}

fn table(case: &Value) -> Vec<Route> {
    let routes = case["routes"].as_array().unwrap().iter();
    routes.map(|each| route(&each["route"])).collect()
}

/// What was found, and the path that goes upstream.
fn answer(case: &Value, rules: Rules) -> Result<Option<(Match, String)>, String> {
    let table = table(case);
    let router =
        Router::build(&table, rules).map_err(|faults| format!("{}: {faults:?}", case["id"]))?;
    let (found, path) = ask(&router, &case["request"], case["call"] == "select");
    let Some(found) = found else { return Ok(None) };
    let index = found.route as usize;
    let base = case["routes"][index]["service"]["path"]
        .as_str()
        .unwrap_or("");
    let route = &table[index];
    let is_v1 = rules.flavor == Flavor::Traditional && route.path_handling.as_deref() == Some("v1");
    let join = if is_v1 {
        path::upstream_path_v1
    } else {
        path::upstream_path
    };
    let joined = join(base.as_bytes(), &path, found.path_taken, route.strip_path);
    Ok(Some((found, String::from_utf8_lossy(&joined).into_owned())))
}

fn check(case: &Value, expect: &Value, rules: Rules) -> Result<(), String> {
    let id = &case["id"];
    let found = answer(case, rules)?;
    let index = found
        .as_ref()
        .map_or(0, |(found, _)| u64::from(found.route) + 1);
    let wanted = expect["route_index"].as_u64().unwrap_or(0);
    if index != wanted {
        return Err(format!("{id}: route {index}, recorded {wanted}"));
    }
    let Some((found, uri)) = found else {
        return Ok(());
    };
    let wanted = expect["upstream_uri"]
        .as_str()
        .filter(|_| case["call"] != "select");
    if let Some(wanted) = wanted.and_then(|uri| uri.split('?').next())
        && wanted != uri
    {
        return Err(format!("{id}: path {uri}, recorded {wanted}"));
    }
    for (name, value) in expect["uri_captures"].as_object().into_iter().flatten() {
        let of_name =
            |each: &&twinplane_engine::router::Capture| each.name.as_deref() == Some(name.as_str());
        let capture = name
            .parse()
            .ok()
            .and_then(|number: usize| found.captures.get(number))
            .or_else(|| found.captures.iter().find(of_name));
        let text = capture.and_then(|each| each.value.as_deref());
        if text != value.as_str().map(str::as_bytes) {
            return Err(format!("{id}: capture {name} {text:?}, recorded {value}"));
        }
    }
    Ok(())
}

/// Cases of a suite in the list of known differences, with the line that gives the cause.
fn known(suite: &str) -> BTreeSet<String> {
    let list = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/conformance/known_differences.toml"
    );
    let text = std::fs::read_to_string(list).unwrap();
    let head = format!("[{suite}.");
    let sections = text
        .split("\n[")
        .skip(1)
        .map(|section| format!("[{section}"));
    let ours = sections.filter(|section| section.starts_with(&head));
    ours.flat_map(|section| {
        let (_, cases) = section.split_once("cases = [").unwrap();
        let quoted: Vec<String> = cases
            .split('"')
            .skip(1)
            .step_by(2)
            .map(Into::into)
            .collect();
        quoted
    })
    .collect()
}

fn report(what: &str, seen: usize, wrong: &[String], known: &BTreeSet<String>) {
    let id = |line: &String| line.split('"').nth(1).unwrap().to_owned();
    let differ: BTreeSet<String> = wrong.iter().map(id).collect();
    let unknown: Vec<&String> = wrong
        .iter()
        .filter(|line| !known.contains(&id(line)))
        .collect();
    assert!(
        unknown.is_empty(),
        "{what}: {} of {seen} differ:\n{}",
        unknown.len(),
        unknown
            .iter()
            .map(|line| line.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    );
    let gone: Vec<&String> = known.difference(&differ).collect();
    assert!(gone.is_empty(), "{what}: listed, but they agree: {gone:?}");
}

#[test]
fn recorded_requests_find_the_recorded_routes() {
    let Some(cases) = recorded::cases("router.jsonl") else {
        return;
    };
    let results = cases
        .iter()
        .map(|case| check(case, &case["expect"], rules(case, Calculation::Original)));
    let wrong: Vec<String> = results.filter_map(Result::err).collect();
    assert!(cases.len() >= 708, "only {} cases", cases.len());
    report("router", cases.len(), &wrong, &known("router"));
}

#[test]
fn random_tables_find_the_recorded_routes_in_all_ranks() {
    let Some(cases) = recorded::cases("router_fuzz.jsonl") else {
        return;
    };
    // Among routes of four and more attribute kinds a real node's order is an accident of its compiler; ours is the one
    // that was recorded, so these are compared like all others.
    let mut wrong = Vec::new();
    for case in &cases {
        for (expect, flavor, calculation) in [
            (
                "expect_traditional_compatible",
                "traditional_compatible",
                Calculation::Original,
            ),
            (
                "expect_strict_predicted",
                "traditional_compatible",
                Calculation::Strict,
            ),
            ("expect_traditional", "traditional", Calculation::Original),
        ] {
            let mut case = case.clone();
            case["flavor"] = flavor.into();
            let checked = check(&case, &case[expect], rules(&case, calculation));
            wrong.extend(checked.err().map(|wrong| format!("{wrong} ({expect})")));
        }
    }
    assert!(cases.len() >= 600, "only {} cases", cases.len());
    report(
        "router-fuzz",
        cases.len() * 3,
        &wrong,
        &known("router-fuzz"),
    );
}

#[test]
fn recorded_refusals_are_refused() {
    let Some(cases) = recorded::cases("router_reject.jsonl") else {
        return;
    };
    assert!(cases.len() >= 3, "only {} cases", cases.len());
    for case in &cases {
        let faults = Router::build(&table(case), rules(case, Calculation::Original)).unwrap_err();
        assert_eq!(faults[0].message, case["error"], "{}", case["id"]);
    }
}
