//! HTTP/1 from a client's and an upstream's point of view: what arrives, what comes back, what is refused.
mod gateway;

use gateway::{Act, Gateway, Upstream, ok, reply};
use serde_json::json;

#[test]
fn a_bare_request_gets_the_fields_of_a_real_node_in_its_order() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    let response =
        gateway.ask("GET /a?x=1 HTTP/1.1\r\nHost: Example.com:1\r\nX-b: 1\r\nx-A:   2  \r\n\r\n");
    let port = gateway.address.port();
    let up = upstream.address;
    let request = upstream.request();
    let id = request
        .lines()
        .find_map(|line| line.strip_prefix("X-Kong-Request-Id: "))
        .unwrap();
    assert_eq!(
        request,
        format!(
            "GET /a?x=1 HTTP/1.1\r\nVia: 1.1 twinplane/0.1.0\r\nHost: {up}\r\nConnection: keep-alive\r\nX-Forwarded-For: 127.0.0.1\r\n\
             X-Forwarded-Proto: http\r\nX-Forwarded-Host: example.com\r\nX-Forwarded-Port: {port}\r\nX-Forwarded-Path: /a\r\n\
             X-Real-IP: 127.0.0.1\r\nX-Kong-Request-Id: {id}\r\nX-b: 1\r\nx-A: 2\r\n\r\n"
        )
    );
    assert_eq!(
        response.head,
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nServer: up\r\nX-Kong-Upstream-Latency: {}\r\n\
             X-Kong-Proxy-Latency: {}\r\nVia: 1.1 twinplane/0.1.0\r\nX-Kong-Request-Id: {id}",
            response.header("x-kong-upstream-latency").unwrap(),
            response.header("x-kong-proxy-latency").unwrap(),
        )
    );
    assert_eq!(response.text(), "ok");
}

#[test]
fn forwarded_claims_of_strangers_are_replaced_in_every_spelling() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    gateway.ask(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX_Forwarded_Proto: https\r\n\
         X-Forwarded-Host: evil\r\nX_Real-IP: 3.3.3.3\r\nx-kong_request_id: mine\r\nVia: 1.0 fred\r\nProxy: x\r\n\r\n",
    );
    let request = upstream.request();
    assert!(
        request.contains("X-Forwarded-For: 1.1.1.1, 127.0.0.1\r\n"),
        "{request}"
    );
    assert!(request.contains("Via: 1.0 fred, 1.1 twinplane/0.1.0\r\n"));
    for forged in ["https", "evil", "3.3.3.3", "mine", "2.2.2.2", "Proxy:"] {
        assert!(!request.contains(forged), "{forged} in {request}");
    }
}

#[test]
fn trusted_peers_are_believed() {
    let upstream = Upstream::start();
    let trusting = json!({"trusted_ips": ["127.0.0.1/32"]});
    let gateway = Gateway::before(&upstream, trusting, json!({}), json!({}));
    gateway.ask(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: pub.example\r\nX-Forwarded-Port: 99\r\n\
         X-Forwarded-Path: /pub\r\nX-Forwarded-Prefix: /pfx\r\nX-Real-IP: 2.2.2.2\r\n\r\n",
    );
    let request = upstream.request();
    let wanted = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: pub.example\r\nX-Forwarded-Port: 99\r\nX-Forwarded-Path: /pub\r\n\
                  X-Forwarded-Prefix: /pfx\r\nX-Real-IP: 2.2.2.2\r\n";
    assert!(request.contains(wanted), "{request}");
}

#[test]
fn hop_by_hop_fields_stop_here_both_ways() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    upstream.next(reply(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\
         X-Accel-Expires: 5\r\nX-Accel-Foo: 1\r\nX-Dup: 1\r\nX-Dup: 2\r\nContent-Length: 1\r\n\r\nx",
    ));
    let response = gateway.ask(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine, Host, X-Forwarded-For\r\nX-Mine: 1\r\nKeep-Alive: 1\r\n\
         TE: gzip, trailers\r\nUpgrade: h2c\r\nProxy-Connection: x\r\n\r\n",
    );
    let request = upstream.request();
    for hop in ["X-Mine", "Keep-Alive:", "Upgrade", "Proxy-Connection"] {
        assert!(!request.contains(hop), "{hop} in {request}");
    }
    assert!(
        request.starts_with("GET / HTTP/1.1\r\nTE: trailers\r\nVia:"),
        "{request}"
    );
    assert!(request.contains("X-Forwarded-For: 127.0.0.1\r\n"));
    let names = response.names();
    assert_eq!(
        &names[..5],
        [
            "Content-Length",
            "Connection",
            "X-Accel-Foo",
            "X-Dup",
            "X-Dup"
        ]
    );
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(response.header("server"), Some("twinplane/0.1.0"));
}

#[test]
fn what_could_be_read_two_ways_is_refused_and_never_forwarded() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    let cases: &[(&str, u16)] = &[
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nno-colon\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 400),
        ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /.. HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
            400,
        ),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ];
    for (request, status) in cases {
        let mut client = gateway.connect();
        client.send(request);
        let response = client.response();
        assert_eq!(response.status(), *status, "{request:?} {response:?}");
        assert_eq!(response.header("connection"), Some("close"), "{request:?}");
        assert_eq!(response.header("server"), Some("twinplane/0.1.0"));
        assert!(client.is_closed(), "{request:?}");
    }
    assert!(upstream.is_quiet());
    assert_eq!(gateway.records().len(), cases.len());
}

#[test]
fn a_refusal_is_worded_as_by_a_real_node() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    let response = gateway.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let names = [
        "Date",
        "Content-Type",
        "Connection",
        "Content-Length",
        "X-Kong-Response-Latency",
        "Server",
        "X-Kong-Request-Id",
    ];
    assert_eq!(response.names(), names);
    let id = response.header("x-kong-request-id").unwrap();
    assert_eq!(response.text(), format!("Bad request\nrequest_id: {id}\n"));
    let large = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nX: {}\r\n\r\n",
        "a".repeat(40_000)
    );
    let response = gateway.ask(&large);
    assert_eq!(
        (response.status(), response.header("content-length")),
        (400, Some("103"))
    );
    assert!(
        response
            .text()
            .contains("\"message\":\"Request header or cookie too large\"")
    );
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000));
    assert_eq!(gateway.ask(&long).status(), 414);
}

#[test]
fn requests_follow_each_other_on_a_connection_pipelined_or_not() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    let mut client = gateway.connect();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    for number in 1..=3 {
        assert_eq!(client.response().text(), "ok");
        assert!(upstream.request().starts_with(&format!("GET /{number} ")));
    }
    assert!(client.is_closed());
    let mut old = gateway.connect();
    old.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.response().header("connection"), Some("close"));
    assert!(old.is_closed());
    let mut old = gateway.connect();
    old.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(old.response().header("connection"), Some("keep-alive"));
    old.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.response().status(), 200);
}

#[test]
fn request_bodies_arrive_whole_however_they_are_framed() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    client.response();
    assert!(upstream.request().ends_with("Content-Length: 3\r\n\r\nabc"));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    client.response();
    let request = upstream.request();
    assert!(
        request.ends_with("Content-Length: 7\r\n\r\nabcdefg") && !request.contains("hunked"),
        "{request}"
    );
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    client.response();
    assert!(upstream.request().ends_with("Content-Length: 0\r\n\r\n"));
    let large = "0123456789".repeat(100_000);
    client.send(&format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        large.len()
    ));
    client.send(&large);
    assert_eq!(client.response().status(), 200);
    assert!(upstream.request().ends_with(&large));
}

#[test]
fn an_unbuffered_body_streams_as_it_comes() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(
        &upstream,
        json!({}),
        json!({}),
        json!({"request_buffering": false}),
    );
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    std::thread::sleep(std::time::Duration::from_millis(100));
    client.send("1\r\nd\r\n0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let request = upstream.request();
    assert!(
        request.contains("Transfer-Encoding: chunked\r\n")
            && request.ends_with("\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"),
        "{request}"
    );
}

#[test]
fn a_client_that_expects_to_be_told_is_told_to_go_on() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.response().head, "HTTP/1.1 100 Continue");
    client.send("abc");
    assert_eq!(client.response().status(), 200);
    let request = upstream.request();
    assert!(request.ends_with("\r\n\r\nabc") && !request.contains("Expect"));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: nonsense\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(client.response().status(), 200);
}

#[test]
fn response_bodies_pass_however_they_are_framed() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    let mut client = gateway.connect();
    let mut get = |act: Act| {
        upstream.next(act);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.response()
    };
    let chunked = get(reply(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
    ));
    assert_eq!(
        (chunked.text(), chunked.header("transfer-encoding")),
        ("abcde".into(), Some("chunked"))
    );
    let close = get(Act::ReplyAndClose(
        b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello".to_vec(),
    ));
    assert_eq!(
        (close.text(), close.header("transfer-encoding")),
        ("hello".into(), Some("chunked"))
    );
    assert_eq!(
        close.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    let large = "0123456789".repeat(200_000);
    let length = get(Act::Reply(
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}",
            large.len()
        )
        .into_bytes(),
    ));
    assert!(length.text() == large && !length.is_cut);
    let odd = get(reply("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(odd.head.lines().next(), Some("HTTP/1.1 404"));
    let empty = get(reply("HTTP/1.1 204 No Content\r\n\r\n"));
    assert_eq!(
        (empty.status(), empty.header("transfer-encoding")),
        (204, None)
    );
    let after = get(ok());
    assert_eq!(after.text(), "ok");
}

#[test]
fn a_chunked_response_to_http_1_0_ends_with_the_connection() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    upstream.next(reply(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ));
    let response = gateway.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(
        (response.text().as_str(), response.header("connection")),
        ("abc", Some("close"))
    );
    assert_eq!(response.header("transfer-encoding"), None);
}

#[test]
fn head_tells_the_length_and_sends_nothing() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    let mut client = gateway.connect();
    upstream.next(reply("HTTP/1.1 200 OK\r\nContent-Length: 55\r\n\r\n"));
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response_to("HEAD");
    assert_eq!(response.header("content-length"), Some("55"));
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    let nothing = Gateway::start(json!({}), &json!({}), &[]);
    let mut client = nothing.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        client.response_to("HEAD").header("content-length"),
        Some("103")
    );
    assert!(
        client
            .response()
            .text()
            .contains("no Route matched with those values")
    );
}

#[test]
fn an_unwanted_body_does_not_disturb_the_next_request() {
    let nothing = Gateway::start(json!({}), &json!({}), &[]);
    let mut client = nothing.connect();
    client.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(
        (client.response().status(), client.response().status()),
        (404, 404)
    );
    assert!(client.is_closed());
    let mut client = nothing.connect();
    client.send("POST /1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.status(), response.header("connection")),
        (404, Some("close"))
    );
}

#[test]
fn a_body_over_the_limit_is_refused_whole() {
    let upstream = Upstream::start();
    let gateway = Gateway::before(
        &upstream,
        json!({"limits": {"body_bytes_max": 8}}),
        json!({}),
        json!({}),
    );
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n0\r\n\r\n",
    ] {
        let response = gateway.ask(request);
        assert_eq!(
            (response.status(), response.header("connection")),
            (413, Some("close"))
        );
        assert!(response.text().starts_with("Payload too large\n"));
    }
    assert!(upstream.is_quiet());
    assert_eq!(
        gateway
            .ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n12345678")
            .status(),
        200
    );
}

#[test]
fn slow_heads_and_bodies_are_ended() {
    let upstream = Upstream::start();
    let limits =
        json!({"limits": {"head_timeout_ms": 150, "idle_timeout_ms": 150, "body_timeout_ms": 150}});
    let gateway = Gateway::before(&upstream, limits, json!({}), json!({}));
    let mut silent = gateway.connect();
    assert!(silent.is_closed());
    let mut slow = gateway.connect();
    slow.send("GET / HTTP/1.1\r\nHo");
    assert_eq!(slow.response().status(), 408);
    assert!(slow.is_closed());
    let mut slow = gateway.connect();
    slow.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    assert_eq!(slow.response().status(), 408);
    let mut idle = gateway.connect();
    idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.response().status(), 200);
    assert!(idle.is_closed());
}

#[test]
fn web_sockets_pass_after_the_upstream_agreed() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    let agree = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";
    upstream.next(Act::Echo([agree.as_bytes(), b"first"].concat()));
    let mut client = gateway.connect();
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n\r\nearly");
    let response = client.response();
    assert_eq!(response.status(), 101);
    assert_eq!(
        (response.header("upgrade"), response.header("connection")),
        (Some("websocket"), Some("upgrade"))
    );
    assert_eq!(client.bytes(10), b"firstearly");
    client.send("more");
    assert_eq!(client.bytes(4), b"more");
    let request = upstream.request();
    assert!(
        request.contains("Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"),
        "{request}"
    );
    drop(client);
    let record = &gateway.records()[0];
    assert_eq!(record[12], 101, "{record}");
}

#[test]
fn an_upgrade_that_was_not_asked_for_is_no_answer() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    upstream.next(reply(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    ));
    assert_eq!(
        gateway
            .ask("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n")
            .status(),
        502
    );
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let upstream = Upstream::start();
    let gateway = Gateway::plain(&upstream);
    upstream.next(reply("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"));
    let mut client = gateway.connect();
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.response().text(), "no");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
}
