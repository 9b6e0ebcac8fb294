//! Paths against recordings of a real node: which it refuses, and in which form they reached the upstream.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its input is not as agreed"
)]
mod recorded;

use serde_json::{Value, json};
use twinplane_engine::headers::Headers;
use twinplane_engine::path;
use twinplane_engine::router::{Calculation, End, MatchInput, Protocol, Router};
use twinplane_model::Route;

/// Latin-1: one character of a recording is one byte.
fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|letter| u8::try_from(u32::from(letter)).unwrap())
        .collect()
}

fn route(given: &Value) -> Route {
    let row = json!({
        "id": "5e6c0f0e-0000-4000-8000-000000000001", "protocols": ["http", "https"], "https_redirect_status_code": 426,
        "strip_path": given.get("strip_path").unwrap_or(&json!(true)), "preserve_host": false, "request_buffering": true,
        "response_buffering": true, "paths": given["paths"], "regex_priority": 0,
    });
    serde_json::from_value(row).unwrap()
}

/// What becomes of a target: the status of a refusal, or the target that goes upstream.
fn answer(target: &[u8], route: &Route, base: &[u8]) -> Result<Vec<u8>, u16> {
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    let raw = parts.next().unwrap_or_default();
    let normal = path::normalise(raw).map_err(|_| 400u16)?;
    let router = Router::build([route], Calculation::Original).unwrap();
    let found = router.find(&MatchInput {
        method: b"GET",
        host: b"example.com",
        path: &normal,
        sni: None,
        query: b"",
        protocol: Protocol::Http,
        source: End::default(),
        destination: End::default(),
        headers: &Headers::new(),
    });
    let found = found.ok_or(404u16)?;
    let joined = path::upstream_path(base, &normal, found.path_taken, route.strip_path);
    let mut sent = path::escape(&joined).into_owned();
    if let Some(query) = parts.next() {
        sent.push(b'?');
        sent.extend_from_slice(query.split(|byte| *byte == b'#').next().unwrap_or_default());
    }
    Ok(sent)
}

#[test]
fn recorded_targets_go_upstream_in_the_recorded_form() {
    let Some(cases) = recorded::cases("plugins/core.jsonl") else {
        return;
    };
    let mut wrong = Vec::new();
    let mut seen = 0;
    // Bytes that no target may hold are the parser's business.
    let ours = |case: &&Value| case["plugin"] == "path" && case["id"] != "path/normalize-raw8";
    for case in cases.iter().filter(ours) {
        let service = &case["config"]["services"][0];
        let url = service["url"].as_str().unwrap();
        let base = url
            .strip_prefix("http://127.0.0.1:<echo-port>")
            .unwrap_or_default();
        let route = route(&service["routes"][0]);
        for step in case["steps"].as_array().unwrap() {
            let Some(line) = step["request"]["text"].as_str() else {
                continue;
            };
            let line = line.split("\r\n").next().unwrap();
            let target = line.strip_prefix("GET ").unwrap();
            let target = target.strip_suffix(" HTTP/1.1").unwrap();
            let wanted = match step["upstream"]["request_line"].as_str() {
                Some(sent) => {
                    let sent = sent.strip_prefix("GET ").unwrap();
                    Ok(bytes(sent.strip_suffix(" HTTP/1.1").unwrap()))
                }
                None => Err(u16::try_from(step["response"]["status"].as_u64().unwrap()).unwrap()),
            };
            let found = answer(&bytes(target), &route, &bytes(base));
            seen += 1;
            if found != wanted {
                wrong.push(format!(
                    "{} {target}: {:?}, recorded {:?}",
                    case["id"],
                    found.map(|sent| sent.escape_ascii().to_string()),
                    wanted.map(|sent| sent.escape_ascii().to_string())
                ));
            }
        }
    }
    assert!(seen > 60, "only {seen} targets");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
