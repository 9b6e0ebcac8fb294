//! Other settings for a core that serves: listeners come and go, limits change, and no request is lost over it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod gateway;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gateway::{Gateway, PATIENCE, Upstream, config};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use twinplane_engine::exchange::Exchange;
use twinplane_engine::filter::{Filter, Flow, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError, PluginSpec};

fn settings(changes: &Value) -> Vec<u8> {
    let mut settings = json!({
        "node_id": "n", "version": "twinplane/0.1.0", "workers": 1,
        "listeners": [{"address": "127.0.0.1", "port": 0}],
    });
    for (name, value) in changes.as_object().unwrap() {
        settings[name] = value.clone();
    }
    settings.to_string().into_bytes()
}

fn gateway(upstream: &Upstream, workers: u16) -> Gateway {
    let config = config(upstream.address.port(), json!({}), json!({}));
    Gateway::start(json!({"workers": workers}), &config, &[])
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream) -> String {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"ok") {
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(read @ 1..) => received.extend_from_slice(&piece[..read]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&received).into_owned()
}

fn is_refused(port: u16) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if TcpStream::connect(("127.0.0.1", port)).is_err() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn listeners_come_and_go_and_those_that_stay_keep_their_port() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, 2);
    let (kept, added) = (gateway.address.port(), free_port());
    let both =
        json!([{"address": "127.0.0.1", "port": 0}, {"address": "127.0.0.1", "port": added}]);
    gateway
        .server
        .adopt(&settings(&json!({"listeners": both})))
        .unwrap();
    let ports = |gateway: &Gateway| -> Vec<u16> {
        let open = gateway.server.status().listeners;
        open.iter().map(|listener| listener.port).collect()
    };
    assert_eq!(ports(&gateway), [kept, added]);
    for port in [kept, added] {
        assert!(ask(&mut connect(port)).starts_with("HTTP/1.1 200"));
    }
    let alone = json!([{"address": "127.0.0.1", "port": added}]);
    gateway
        .server
        .adopt(&settings(&json!({"listeners": alone})))
        .unwrap();
    assert_eq!(ports(&gateway), [added]);
    assert!(is_refused(kept));
    assert!(ask(&mut connect(added)).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_connection_of_a_listener_that_is_gone_ends_after_its_next_request() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, 1);
    let mut idle = connect(gateway.address.port());
    assert!(ask(&mut idle).contains("Connection: keep-alive"));
    let other = json!([{"address": "127.0.0.1", "port": free_port()}]);
    gateway
        .server
        .adopt(&settings(&json!({"listeners": other})))
        .unwrap();
    let last = ask(&mut idle);
    assert!(
        last.starts_with("HTTP/1.1 200") && last.contains("Connection: close"),
        "{last}"
    );
}

#[test]
fn a_connection_lives_on_and_its_next_request_meets_the_new_limits() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, 1);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789");
    assert_eq!(client.response().status(), 200);
    gateway
        .server
        .adopt(&settings(
            &json!({"limits": {"body_bytes_max": 8}, "headers": []}),
        ))
        .unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let plain = client.response();
    assert_eq!((plain.status(), plain.header("Via")), (200, None));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789");
    assert_eq!(client.response().status(), 413);
}

#[test]
fn where_anything_is_wrong_nothing_changes_and_all_of_it_is_told() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, 2);
    let free = free_port();
    let mut listeners = vec![json!({"address": "127.0.0.1", "port": free})];
    listeners.push(json!({"address": "nowhere", "port": 1}));
    let wrong =
        json!({"listeners": listeners, "headers": ["X-None"], "trusted_ips": ["300.0.0.1"]});
    let error = gateway.server.adopt(&settings(&wrong)).unwrap_err();
    assert_eq!(error.faults.len(), 3, "{:?}", error.faults);
    // One that cannot be bound takes the others back.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().port();
    let both =
        json!([{"address": "127.0.0.1", "port": free}, {"address": "127.0.0.1", "port": taken}]);
    let error = gateway
        .server
        .adopt(&settings(&json!({"listeners": both})))
        .unwrap_err();
    assert!(
        error.faults[0].contains("the port is in use"),
        "{:?}",
        error.faults
    );
    assert!(is_refused(free));
    assert_eq!(gateway.server.status().listeners.len(), 1);
    assert!(ask(&mut connect(gateway.address.port())).starts_with("HTTP/1.1 200"));
}

#[test]
fn flags_of_a_listener_change_for_the_next_connection() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, 1);
    let port = gateway.address.port();
    let behind = json!([{"address": "127.0.0.1", "port": 0, "proxy_protocol": true, "backlog": 5}]);
    gateway
        .server
        .adopt(&settings(&json!({"listeners": behind})))
        .unwrap();
    let mut client = connect(port);
    client
        .write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")
        .unwrap();
    assert!(ask(&mut client).starts_with("HTTP/1.1 200"));
    let mut bare = connect(port);
    assert_eq!(ask(&mut bare), "");
    gateway.server.adopt(&settings(&json!({}))).unwrap();
    assert!(ask(&mut connect(port)).starts_with("HTTP/1.1 200"));
}

static IS_HELD: AtomicBool = AtomicBool::new(false);
static IS_RELEASED: AtomicBool = AtomicBool::new(false);

/// Keeps its worker from everything else until it is released.
struct Hold;

impl Filter for Hold {
    fn phases(&self) -> Phases {
        Phases::ACCESS
    }

    fn access(&self, _x: &mut Exchange) -> Flow {
        IS_HELD.store(true, Ordering::SeqCst);
        while !IS_RELEASED.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Flow::Continue
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every builder")]
fn hold(_config: &RawValue, _context: &BuildContext<'_>) -> Result<Arc<dyn Filter>, BuildError> {
    Ok(Arc::new(Hold))
}

static HOLDS: [PluginSpec; 1] = [PluginSpec {
    name: "hold",
    priority: 1,
    version: "1",
    observes_only: false,
    build: Some(hold),
}];

#[test]
fn how_the_core_is_can_be_told_while_a_busy_worker_has_yet_to_adopt() {
    let upstream = Upstream::start();
    let mut all = config(upstream.address.port(), json!({}), json!({}));
    all["plugins"] =
        json!([{"id": "p", "name": "hold", "config": {}, "protocols": ["http"], "enabled": true}]);
    let gateway = Gateway::start(json!({}), &all, &HOLDS);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    while !IS_HELD.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let other = settings(&json!({"listeners": [{"address": "127.0.0.1", "port": free_port()}]}));
    let server = &gateway.server;
    let before = server.status().listeners;
    std::thread::scope(|scope| {
        let adopting = scope.spawn(|| server.adopt(&other));
        while server.status().listeners == before && !adopting.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let is_waiting = !adopting.is_finished();
        IS_RELEASED.store(true, Ordering::SeqCst);
        adopting.join().unwrap().unwrap();
        assert!(is_waiting);
    });
    assert_eq!(client.response().status(), 200);
}
