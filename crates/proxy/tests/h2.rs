//! HTTP/2 with clients, over real sockets: what is served, what is refused, and floods that end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use serde_json::json;
use support::{Gateway, Upstream, connect, one_route};

struct Reply {
    status: u16,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

async fn client(port: u16) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::task::spawn_local(async move {
        // Ends with the test.
        let _ended = connection.await;
    });
    client
}

async fn ask(
    client: &SendRequest<Bytes>,
    request: http::Request<()>,
    body: Option<Vec<u8>>,
) -> Result<Reply, h2::Error> {
    let mut client = client.clone().ready().await?;
    let (response, mut stream) = client.send_request(request, body.is_none())?;
    if let Some(body) = body {
        stream.send_data(body.into(), true)?;
    }
    let (parts, mut incoming) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = incoming.data().await {
        let data = data?;
        incoming.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(Reply {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    })
}

fn get(path: &str) -> http::request::Builder {
    http::Request::builder().uri(format!("http://a.example{path}"))
}

#[test]
fn a_request_is_proxied() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    run(async {
        let client = client(gateway.port).await;
        let request = get("/x?y=1")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(())
            .unwrap();
        let reply = ask(&client, request, None).await.unwrap();
        assert_eq!(reply.status, 200);
        assert!(
            reply.text().starts_with("GET /x?y=1 HTTP/1.1\r\n"),
            "{}",
            reply.text()
        );
        assert!(
            reply
                .text()
                .to_ascii_lowercase()
                .contains("cookie: a=1; b=2\r\n"),
            "{}",
            reply.text()
        );
        assert!(reply.headers.contains_key("x-kong-request-id"));
        assert!(!reply.headers.contains_key("connection"));
    });
    let records = gateway.server.drain("records".parse().unwrap());
    assert!(String::from_utf8(records).unwrap().contains("\"2\",200"));
}

#[test]
fn bodies_go_both_ways() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    run(async {
        let client = client(gateway.port).await;
        let body: Vec<u8> = (0..1_000_000_u32)
            .map(|number| number.to_le_bytes()[0])
            .collect();
        for length in [Some(body.len()), None] {
            let mut request = get("/").method("POST").header("x-only-body", "1");
            if let Some(length) = length {
                request = request.header("content-length", length);
            }
            let mut client = client.clone().ready().await.unwrap();
            let (response, mut stream) = client
                .send_request(request.body(()).unwrap(), false)
                .unwrap();
            for piece in body.chunks(100_000) {
                stream.reserve_capacity(piece.len());
                stream
                    .send_data(Bytes::copy_from_slice(piece), false)
                    .unwrap();
            }
            stream.send_data(Bytes::new(), true).unwrap();
            let (parts, mut incoming) = response.await.unwrap().into_parts();
            assert_eq!(parts.status, 200);
            let mut echoed = Vec::new();
            while let Some(data) = incoming.data().await {
                let data = data.unwrap();
                incoming
                    .flow_control()
                    .release_capacity(data.len())
                    .unwrap();
                echoed.extend_from_slice(&data);
            }
            assert!(echoed == body, "{} of {} bytes", echoed.len(), body.len());
        }
    });
}

#[test]
fn many_streams_share_a_connection() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    run(async {
        let client = client(gateway.port).await;
        let started = Instant::now();
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let client = client.clone();
                tokio::task::spawn_local(async move {
                    ask(&client, get("/slow/200").body(()).unwrap(), None)
                        .await
                        .unwrap()
                        .status
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 200);
        }
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "side by side, not one after the other"
        );
    });
    assert_eq!(gateway.metrics()["connections"]["accepted"], 1);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    run(async {
        let client = client(gateway.port).await;
        let two_hosts = get("/").header("host", "b.example").body(()).unwrap();
        assert_eq!(ask(&client, two_hosts, None).await.unwrap().status, 400);
        let trace = get("/").method("TRACE").body(()).unwrap();
        assert_eq!(ask(&client, trace, None).await.unwrap().status, 405);
        let spaced = get("/").header("x", " spaced").body(()).unwrap();
        assert_eq!(ask(&client, spaced, None).await.unwrap().status, 400);
        let mut many = get("/");
        for number in 0..101 {
            many = many.header(format!("x-{number}"), "1");
        }
        assert_eq!(
            ask(&client, many.body(()).unwrap(), None)
                .await
                .unwrap()
                .status,
            400
        );
        let short = get("/")
            .method("POST")
            .header("content-length", "10")
            .body(())
            .unwrap();
        assert!(
            ask(&client, short, Some(b"12345".to_vec())).await.is_err(),
            "a body shorter than its length"
        );
        assert_eq!(
            ask(&client, get("/").body(()).unwrap(), None)
                .await
                .unwrap()
                .status,
            200
        );
    });
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(
        &json!({"limits": {"body_bytes_max": 1_000}}),
        &one_route(upstream.address),
    );
    run(async {
        let client = client(gateway.port).await;
        let request = get("/").method("POST").body(()).unwrap();
        assert_eq!(
            ask(&client, request, Some(vec![b'x'; 5_000]))
                .await
                .unwrap()
                .status,
            413
        );
    });
}

#[test]
fn a_stop_finishes_streams_and_says_goodbye() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    run(async {
        let busy = client(gateway.port).await;
        let idle = client(gateway.port).await;
        let task = tokio::task::spawn_local(async move {
            ask(&busy, get("/slow/400").body(()).unwrap(), None).await
        });
        tokio::time::sleep(Duration::from_millis(150)).await;
        let stopping = std::thread::spawn(move || {
            let started = Instant::now();
            gateway.server.stop(Duration::from_secs(10));
            started.elapsed()
        });
        assert_eq!(task.await.unwrap().unwrap().status, 200);
        assert!(ask(&idle, get("/").body(()).unwrap(), None).await.is_err());
        assert!(stopping.join().unwrap() < Duration::from_secs(4));
    });
}

/// A connection on which the test writes its own frames.
fn raw(port: u16) -> TcpStream {
    let mut stream = connect(port);
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// `GET / ` for `http://a.example` in the static table's terms.
fn request_block() -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x84, 0x41, 9];
    block.extend_from_slice(b"a.example");
    block
}

/// Writes frames until the gateway ends the connection; how many it took.
fn flood(port: u16, frames_max: usize, mut next: impl FnMut(usize) -> Vec<u8>) -> Option<usize> {
    let mut stream = raw(port);
    let mut reader = stream.try_clone().unwrap();
    let drained = std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while reader.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    let ended = (0..frames_max).find(|number| stream.write_all(&next(*number)).is_err());
    drop(stream);
    drained.join().unwrap();
    ended
}

#[test]
fn floods_end_and_others_are_served() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    let stream = |number: usize| u32::try_from(number * 2 + 1).unwrap();
    let most = 20_000;
    let ended = |name: &str, ended: Option<usize>| assert!(ended.is_some(), "{name} went on");
    ended(
        "ping",
        flood(gateway.port, most, |_| frame(6, 0, 0, &[0; 8])),
    );
    ended(
        "settings",
        flood(gateway.port, most, |_| frame(4, 0, 0, &[])),
    );
    ended(
        "priority",
        flood(gateway.port, most, |_| frame(2, 0, 1, &[0, 0, 0, 3, 16])),
    );
    let reset = |number| {
        [
            frame(1, 5, stream(number), &request_block()),
            frame(3, 0, stream(number), &[0, 0, 0, 8]),
        ]
        .concat()
    };
    ended("rapid reset", flood(gateway.port, most, reset));
    let window = |number: usize| match number {
        0 => frame(1, 4, 1, &request_block()),
        _ => frame(0, 0, 1, &[]),
    };
    ended("empty data", flood(gateway.port, most, window));
    let provoked = |number| {
        [
            frame(1, 5, stream(number), &request_block()),
            frame(8, 0, stream(number), &[0; 4]),
        ]
        .concat()
    };
    ended("provoked reset", flood(gateway.port, most, provoked));
    let continuation = |number: usize| match number {
        0 => frame(1, 0, 1, &request_block()),
        _ => frame(9, 0, 1, &[]),
    };
    ended("continuation", flood(gateway.port, most, continuation));
    run(async {
        let client = client(gateway.port).await;
        assert_eq!(
            ask(&client, get("/").body(()).unwrap(), None)
                .await
                .unwrap()
                .status,
            200
        );
    });
    assert_eq!(gateway.server.status().invariant_broken, 0);
    assert!(
        upstream.seen() < 1_500,
        "{} requests reached the upstream",
        upstream.seen()
    );
}

#[test]
fn a_client_that_reads_nothing_is_cut() {
    let upstream = Upstream::start();
    let limits = json!({"limits": {"idle_timeout_ms": 300, "send_timeout_ms": 300}});
    let gateway = Gateway::start(&limits, &one_route(upstream.address));
    let mut stream = raw(gateway.port);
    // No window: the gateway may send nothing of the body.
    stream
        .write_all(&frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]))
        .unwrap();
    stream.write_all(&frame(1, 5, 1, &request_block())).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let mut received = Vec::new();
    // Either the stream is reset or the whole connection ends, soon after the limit.
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let started = Instant::now();
    let mut buffer = [0; 4_096];
    while !received.windows(4).any(|bytes| bytes[..] == [0, 4, 3, 0]) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => received.extend_from_slice(&buffer[..read]),
        }
    }
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_header_list_over_the_limit_is_refused() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    run(async {
        let client = client(gateway.port).await;
        let request = get("/")
            .header("x-large", "x".repeat(70_000))
            .body(())
            .unwrap();
        let refused = ask(&client, request, None).await;
        assert!(refused.is_err() || refused.is_ok_and(|reply| reply.status == 431));
    });
    assert_eq!(upstream.seen(), 0);
}
