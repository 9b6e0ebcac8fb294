//! What happens when upstreams misbehave: errors in the words of a real node, retries, and never a cut body as a whole one.
mod gateway;

use std::time::Duration;

use gateway::{Act, Client, Gateway, Upstream, config, ok, reply};
use serde_json::json;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.local_addr().expect("address").port()
}

#[test]
fn a_refused_connection_is_worded_as_by_a_real_node() {
    let gateway = Gateway::start(json!({}), &config(closed_port(), json!({}), json!({})), &[]);
    let response = gateway.ask("GET / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n");
    assert_eq!(
        response.head.lines().next(),
        Some("HTTP/1.1 502 Bad Gateway")
    );
    let names = [
        "Date",
        "Content-Type",
        "Connection",
        "Content-Length",
        "X-Kong-Upstream-Latency",
        "X-Kong-Proxy-Latency",
        "Via",
        "Server",
        "X-Kong-Request-Id",
    ];
    assert_eq!(response.names(), names);
    assert_eq!(
        (response.body.len(), response.header("connection")),
        (126, Some("keep-alive"))
    );
    let record = &gateway.records()[0];
    assert_eq!(
        (&record[12], &record[13], &record[14], &record[20]),
        (&json!(502), &json!(null), &json!("kong"), &json!(1))
    );
}

#[test]
fn answers_that_are_no_response_are_502() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    for garbage in [
        "garbage\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Header\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
    ] {
        upstream.next(reply(garbage));
        let response = gateway.ask(GET);
        assert_eq!(response.status(), 502, "{garbage:?}");
        assert!(
            response
                .text()
                .starts_with("An invalid response was received from the upstream server\n")
        );
    }
    assert_eq!(gateway.ask(GET).text(), "ok");
}

#[test]
fn a_cut_body_is_never_delivered_as_a_whole_one() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(
        &upstream,
        json!({}),
        json!({"read_timeout": 200}),
        json!({}),
    );
    for cut in [
        Act::ReplyAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec()),
        Act::ReplyAndClose(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc".to_vec(),
        ),
        Act::ReplyAndClose(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".to_vec(),
        ),
        Act::Reply(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n".to_vec(),
        ),
        Act::Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec()),
    ] {
        upstream.next(cut.clone());
        let response = gateway.ask(GET);
        assert!(response.is_cut, "{cut:?} {response:?}");
    }
    assert_eq!(gateway.ask(GET).text(), "ok");
}

#[test]
fn bytes_beyond_the_length_are_not_passed_and_spoil_the_connection() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    upstream.next(reply("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
    let mut client = gateway.connect();
    for wanted in ["abc", "ok"] {
        client.send(GET);
        assert_eq!(client.response().text(), wanted);
    }
}

#[test]
fn an_upstream_that_is_too_slow_is_504() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(
        &upstream,
        json!({}),
        json!({"read_timeout": 150}),
        json!({}),
    );
    upstream.next(Act::Hang);
    let response = gateway.ask(GET);
    assert_eq!(
        response.head.lines().next(),
        Some("HTTP/1.1 504 Gateway Time-out")
    );
    assert!(
        response
            .text()
            .starts_with("The upstream server is timing out\n")
    );
}

#[test]
fn interim_responses_do_not_count_as_the_answer() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    upstream.next(reply(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    ));
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(
        client.response().head,
        "HTTP/1.1 103 Early Hints\r\nLink: </a>"
    );
    let last = client.response();
    assert_eq!(
        (last.status(), last.text().as_str(), last.header("link")),
        (200, "x", None)
    );
    upstream.next(reply(&"HTTP/1.1 102 Processing\r\n\r\n".repeat(100)));
    client.send(GET);
    let last =
        std::iter::repeat_with(|| client.response()).find(|response| response.status() != 102);
    assert_eq!(last.map(|response| response.status()), Some(502));
}

#[test]
fn an_early_answer_is_passed_on_while_the_body_still_comes() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(
        &upstream,
        json!({}),
        json!({}),
        json!({"request_buffering": false}),
    );
    upstream.next(Act::ReplyEarly(
        b"HTTP/1.1 413 Too Big\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig".to_vec(),
    ));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\nstart");
    assert_eq!(client.response().text(), "big");
}

#[test]
fn connections_to_upstreams_are_used_again_and_stale_ones_replaced() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    assert_eq!(gateway.ask(GET).text(), "ok");
    // Closed without an answer on a reused connection: once more, though the service allows no retries.
    upstream.next(Act::Close);
    assert_eq!(gateway.ask(GET).text(), "ok");
    for _ in 0..3 {
        upstream.request();
    }
    upstream.next(Act::Close);
    let response = gateway.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(response.status(), 502);
    upstream.request();
    assert!(upstream.is_quiet());
}

fn pool(ports: &[u16], retries: u32) -> serde_json::Value {
    let mut all = config(
        1,
        json!({"host": "pool.example", "retries": retries}),
        json!({}),
    );
    let health = json!({
        "active": {"type": "http", "timeout": 1, "concurrency": 10, "http_path": "/", "https_verify_certificate": true,
            "unhealthy": {"interval": 0, "tcp_failures": 0, "timeouts": 0, "http_failures": 0}, "healthy": {"interval": 0, "successes": 0}},
        "passive": {"type": "http", "unhealthy": {"http_statuses": [500], "http_failures": 1, "tcp_failures": 1, "timeouts": 0},
            "healthy": {"http_statuses": [200], "successes": 0}},
        "threshold": 0,
    });
    all["upstreams"] = json!([{"id": "u", "name": "pool.example", "algorithm": "round-robin", "hash_on": "none",
        "hash_fallback": "none", "hash_on_cookie_path": "/", "slots": 100, "use_srv_name": false, "healthchecks": health}]);
    let target = |(at, port): (usize, &u16)| json!({"id": format!("t{at}"), "upstream": "u", "target": format!("127.0.0.1:{port}"), "weight": 100});
    all["targets"] = ports.iter().enumerate().map(target).collect();
    all
}

#[test]
fn a_failed_target_is_left_for_another_and_then_left_out() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(
        json!({}),
        &pool(&[closed_port(), upstream.address.port()], 3),
        &[],
    );
    for _ in 0..6 {
        let response = gateway.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(response.text(), "ok");
        assert!(
            upstream
                .request()
                .contains(&format!("Host: {}\r\n", upstream.address))
        );
    }
    let tries: Vec<u64> = gateway
        .records()
        .iter()
        .map(|record| record[20].as_u64().expect("tries"))
        .collect();
    assert!(
        tries.iter().filter(|tries| **tries == 2).count() <= 1,
        "{tries:?}"
    );
}

#[test]
fn a_get_is_retried_and_a_post_that_was_sent_is_not() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let ports = [first.address.port(), second.address.port()];
    let gateway = Gateway::start(json!({}), &pool(&ports, 1), &[]);
    first.next(Act::Close);
    second.next(Act::Close);
    let response = gateway.ask(GET);
    assert_eq!(response.status(), 502);
    first.request();
    second.request();
    let gateway = Gateway::start(json!({}), &pool(&ports, 5), &[]);
    first.next(Act::Close);
    second.next(Act::Close);
    let response = gateway.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(response.status(), 502);
    assert!(first.is_quiet() != second.is_quiet());
}

#[test]
fn an_upstream_whose_last_target_fell_out_is_503() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(json!({}), &pool(&[upstream.address.port()], 0), &[]);
    upstream.next(reply("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(gateway.ask(GET).status(), 500);
    let response = gateway.ask(GET);
    assert_eq!(
        response.head.lines().next(),
        Some("HTTP/1.1 503 Service Temporarily Unavailable")
    );
    assert!(
        response
            .text()
            .contains("failure to get a peer from the ring-balancer")
    );
    assert_eq!(response.header("via"), None);
}

#[test]
fn a_client_that_leaves_ends_its_request_and_is_recorded() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    upstream.next(Act::Hang);
    let mut client: Client = gateway.connect();
    client.send(GET);
    upstream.request();
    drop(client);
    let record = &gateway.records()[0];
    assert_eq!(
        (&record[12], &record[14]),
        (&json!(499), &json!("client_closed"))
    );
}

#[test]
fn routes_that_want_tls_or_have_no_service_say_so() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(
        &upstream,
        json!({}),
        json!({}),
        json!({"protocols": ["https"]}),
    );
    let response = gateway.ask(GET);
    assert_eq!(response.head.lines().next(), Some("HTTP/1.1 426 "));
    assert!(response.head.contains("Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2, HTTP/1.1\r\nContent-Length: 94\r\n"));
    let moved = json!({"protocols": ["https"], "https_redirect_status_code": 301});
    let gateway = Gateway::before(&upstream, json!({}), json!({}), moved);
    let response = gateway.ask("GET /a%20b?x=1 HTTP/1.1\r\nHost: example.com:8000\r\n\r\n");
    assert_eq!(
        response.header("location"),
        Some("https://example.com/a%20b?x=1")
    );
    assert_eq!(
        &response.names()[..5],
        [
            "Date",
            "Content-Type",
            "Content-Length",
            "Connection",
            "Location"
        ]
    );
    assert_eq!(
        (response.header("content-type"), response.body.len()),
        (Some("text/html"), 134)
    );
    let gateway = Gateway::before(&upstream, json!({}), json!({}), json!({"service": null}));
    assert!(
        gateway
            .ask(GET)
            .text()
            .contains("no Service found with those values")
    );
    assert!(upstream.is_quiet());
}

#[test]
fn a_drain_lets_requests_finish_and_closes_idle_connections() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    let mut idle = gateway.connect();
    idle.send(GET);
    assert_eq!(idle.response().text(), "ok");
    let mut busy = gateway.connect();
    upstream.next(Act::Hang);
    busy.send(GET);
    upstream.request();
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| gateway.server.stop(Duration::from_millis(400)));
        assert!(idle.is_closed());
        assert!(!stop.is_finished());
        stop.join().expect("stopped");
    });
    assert!(busy.response().is_cut);
    assert!(std::net::TcpStream::connect(gateway.address).is_err());
    let _unused = ok();
}
