//! How requests are spread over the targets of an upstream, through a running core.
mod gateway;

use gateway::{Act, Gateway, Response, Upstream, config, reply};
use serde_json::{Value, json};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A service before a pool of these targets, with fields for its upstream.
fn pool(targets: &[(&Upstream, u32)], upstream: &Value) -> Value {
    let mut all = config(1, json!({"host": "pool.example"}), json!({}));
    let mut row = json!({"id": "u", "name": "pool.example", "algorithm": "round-robin", "hash_on": "none",
        "hash_fallback": "none", "hash_on_cookie_path": "/", "slots": 1000, "use_srv_name": false,
        "healthchecks": {
            "active": {"type": "http", "timeout": 1, "concurrency": 10, "http_path": "/", "https_verify_certificate": true,
                "unhealthy": {"interval": 0, "tcp_failures": 0, "timeouts": 0, "http_failures": 0},
                "healthy": {"interval": 0, "successes": 0}},
            "passive": {"type": "http", "unhealthy": {"http_statuses": [500], "http_failures": 1, "tcp_failures": 0, "timeouts": 0},
                "healthy": {"http_statuses": [200], "successes": 0}},
            "threshold": 0}});
    for (name, value) in upstream.as_object().expect("an object") {
        row[name] = value.clone();
    }
    all["upstreams"] = json!([row]);
    let target = |(at, (upstream, weight)): (usize, &(&Upstream, u32))| json!({"id": format!("t{at}"), "upstream": "u", "target": upstream.address.to_string(), "weight": weight});
    all["targets"] = targets.iter().enumerate().map(target).collect();
    all
}

/// Every reply of this upstream bears its name.
fn named(name: &str, replies: usize) -> Upstream {
    let upstream = Upstream::start();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", name.len());
    for _ in 0..replies {
        upstream.next(reply(&(head.clone() + name)));
    }
    upstream
}

fn with_header(gateway: &Gateway, header: &str) -> Response {
    gateway.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n"))
}

#[test]
fn weights_are_kept_exactly_in_each_turn_of_the_wheel() {
    let (heavy, light, drained) = (named("h", 20), named("l", 20), named("d", 20));
    let targets = [(&heavy, 300), (&light, 100), (&drained, 0)];
    let gateway = Gateway::start(json!({}), &pool(&targets, &json!({})), &[]);
    let answers: Vec<String> = (0..8).map(|_| gateway.ask(GET).text()).collect();
    let count = |name: &str| answers.iter().filter(|answer| *answer == name).count();
    assert_eq!((count("h"), count("l"), count("d")), (6, 2, 0));
}

#[test]
fn a_hashed_header_keeps_its_target_and_others_spread() {
    let (one, two) = (named("1", 60), named("2", 60));
    let rules = json!({"algorithm": "consistent-hashing", "hash_on": "header", "hash_on_header": "x-tenant"});
    let gateway = Gateway::start(json!({}), &pool(&[(&one, 100), (&two, 100)], &rules), &[]);
    let mut seen = std::collections::BTreeSet::new();
    for tenant in 0..16 {
        let answers: Vec<String> = (0..3)
            .map(|_| with_header(&gateway, &format!("X-Tenant: t{tenant}")).text())
            .collect();
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0], answers[2]);
        seen.insert(answers[0].clone());
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_hashed_cookie_is_set_once_and_leads_back() {
    let (one, two) = (named("1", 60), named("2", 60));
    let rules = json!({"algorithm": "consistent-hashing", "hash_on": "cookie", "hash_on_cookie": "peer", "hash_on_cookie_path": "/x"});
    let gateway = Gateway::start(json!({}), &pool(&[(&one, 100), (&two, 100)], &rules), &[]);
    for _ in 0..8 {
        let first = gateway.ask(GET);
        let cookie = first.header("set-cookie").expect("a cookie").to_owned();
        let (pair, attributes) = cookie.split_once("; ").expect("attributes");
        assert_eq!(attributes, "Path=/x; Same-Site=Lax; HttpOnly");
        assert_eq!(pair.len(), "peer=".len() + 36);
        let again = with_header(&gateway, &format!("Cookie: a=b; {pair}"));
        assert_eq!(again.text(), first.text());
        assert_eq!(again.header("set-cookie"), None);
    }
}

#[test]
fn the_least_busy_target_is_asked() {
    let (busy, idle) = (named("b", 0), named("i", 20));
    let targets = [(&busy, 100), (&idle, 100)];
    let rules = json!({"algorithm": "least-connections"});
    let gateway = Gateway::start(json!({}), &pool(&targets, &rules), &[]);
    busy.next(Act::Hang);
    // One of two requests in a row goes to the target that then hangs.
    let mut clients = [gateway.connect(), gateway.connect()];
    for client in &mut clients {
        client.send(GET);
    }
    busy.request();
    for client in &mut clients {
        let patience = Some(std::time::Duration::from_millis(300));
        client.stream.set_read_timeout(patience).expect("a timeout");
    }
    let answered = clients
        .iter_mut()
        .filter_map(|client| (!client.response().is_cut).then_some(()));
    assert_eq!(answered.count(), 1);
    for _ in 0..6 {
        assert_eq!(gateway.ask(GET).text(), "i");
    }
}

#[test]
fn a_target_that_fell_out_stays_out_through_swaps_without_traffic() {
    let upstream = Upstream::start();
    let mut configuration = pool(&[(&upstream, 100)], &json!({}));
    let gateway = Gateway::start(json!({}), &configuration, &[]);
    upstream.next(reply("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(gateway.ask(GET).status(), 500);
    for name in ["a", "b", "c"] {
        configuration["services"][0]["name"] = json!(name);
        let payload = configuration.to_string();
        gateway.server.apply(payload.as_bytes()).expect("applied");
    }
    assert_eq!(gateway.ask(GET).status(), 503);
    configuration["targets"] = json!([]);
    let payload = configuration.to_string();
    gateway.server.apply(payload.as_bytes()).expect("applied");
    assert_eq!(gateway.ask(GET).status(), 503);
}

#[test]
fn a_sticky_cookie_leads_back_until_its_target_is_out() {
    let (one, two) = (named("1", 40), named("2", 40));
    let rules = json!({"algorithm": "sticky-sessions", "sticky_sessions_cookie": "tie", "sticky_sessions_cookie_path": "/x"});
    let gateway = Gateway::start(json!({}), &pool(&[(&one, 100), (&two, 100)], &rules), &[]);
    let first = gateway.ask(GET);
    let cookie = first.header("set-cookie").expect("a cookie").to_owned();
    let (pair, attributes) = cookie.split_once("; ").expect("attributes");
    assert_eq!(attributes, "Path=/x; Same-Site=Lax; HttpOnly");
    for _ in 0..5 {
        let again = with_header(&gateway, &format!("Cookie: a=b; {pair}"));
        assert_eq!(again.text(), first.text());
        assert_eq!(again.header("set-cookie"), None);
    }
    // A cookie that no peer has is answered with one that a peer has.
    let unknown = with_header(&gateway, "Cookie: tie=ffffffff");
    assert!(unknown.header("set-cookie").is_some());
    // The target fails one request, by which it is out: the session goes on at the other one.
    let (held, name) = if first.text() == "1" {
        (&one, "2")
    } else {
        (&two, "1")
    };
    let mut script = 0;
    loop {
        held.next(reply("HTTP/1.1 500 X\r\nContent-Length: 1\r\n\r\nX"));
        let answer = with_header(&gateway, &format!("Cookie: {pair}"));
        script += 1;
        if answer.status() == 500 || script > 60 {
            break;
        }
    }
    let moved = with_header(&gateway, &format!("Cookie: {pair}"));
    assert_eq!(moved.text(), name);
    let renewed = moved.header("set-cookie").expect("another cookie");
    assert!(renewed.starts_with("tie=") && !renewed.starts_with(pair));
}

#[test]
fn a_failover_target_is_asked_only_while_the_others_are_out() {
    let (own, standby) = (Upstream::start(), named("s", 10));
    let mut configuration = pool(&[(&own, 100), (&standby, 100)], &json!({}));
    configuration["targets"][1]["failover"] = json!(true);
    let gateway = Gateway::start(json!({}), &configuration, &[]);
    for _ in 0..6 {
        assert_eq!(gateway.ask(GET).text(), "ok");
    }
    own.next(reply("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(gateway.ask(GET).status(), 500);
    for _ in 0..3 {
        assert_eq!(gateway.ask(GET).text(), "s");
    }
}

#[test]
fn a_sticky_upstream_without_a_cookie_name_is_refused_by_name() {
    let one = named("1", 1);
    let gateway = Gateway::start(json!({}), &pool(&[(&one, 100)], &json!({})), &[]);
    let broken = pool(&[(&one, 100)], &json!({"algorithm": "sticky-sessions"}));
    let error = gateway
        .server
        .apply(broken.to_string().as_bytes())
        .expect_err("refused");
    let told = error.to_json();
    assert!(
        told.contains("upstreams") && told.contains("sticky_sessions_cookie"),
        "{told}"
    );
    assert_eq!(gateway.ask(GET).text(), "1");
}
