//! The life of a core: start, new configurations under load, a graceful stop, and nothing left behind.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Answer, Gateway, Upstream, connect, one_route, route, service};
use twinplane_proxy::server::Server;

fn settings(changes: &Value) -> Vec<u8> {
    let mut settings = json!({"node_id": "n", "version": "twinplane/0.1.0"});
    for (name, value) in changes.as_object().unwrap() {
        settings[name] = value.clone();
    }
    settings.to_string().into_bytes()
}

#[test]
fn a_plain_request_is_proxied() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    let answer = gateway.get("/some/path?query=1");
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .text()
            .starts_with("GET /some/path?query=1 HTTP/1.1\r\n"),
        "{}",
        answer.text()
    );
    // A request is counted when its last byte has left, which the client may see first.
    let mut status = gateway.server.status();
    for _ in 0..400 {
        if status.requests_total > 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
        status = gateway.server.status();
    }
    assert_eq!(
        (
            status.requests_total,
            status.routes,
            status.services,
            status.invariant_broken
        ),
        (1, 1, 1, 0)
    );
    assert!(status.snapshot_ready);
}

#[test]
fn every_port_in_use_is_told_and_nothing_stays_open() {
    let (taken, free) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let (taken_port, free_port) = (
        taken.local_addr().unwrap().port(),
        free.local_addr().unwrap().port(),
    );
    drop(free);
    let listeners = json!([{"address": "127.0.0.1", "port": free_port}, {"address": "127.0.0.1", "port": taken_port},
        {"address": "192.0.2.1", "port": 1_234}]);
    let error = Server::start(&settings(&json!({"listeners": listeners})), None, &[]).unwrap_err();
    assert_eq!(error.faults.len(), 2, "{error}");
    assert!(
        error.faults[0].contains(&format!("127.0.0.1:{taken_port}: the port is in use")),
        "{error}"
    );
    assert!(
        TcpListener::bind(("127.0.0.1", free_port)).is_ok(),
        "what was opened is closed again"
    );
}

#[test]
fn a_second_core_does_not_share_a_port() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    let listeners = json!([{"address": "127.0.0.1", "port": gateway.port}]);
    let error = Server::start(&settings(&json!({"listeners": listeners})), None, &[]).unwrap_err();
    assert!(error.faults[0].contains("the port is in use"), "{error}");
}

#[test]
fn a_bad_configuration_stops_the_start() {
    let listeners = json!([{"address": "127.0.0.1", "port": 0}]);
    let payload = br#"{"services": 1}"#;
    let error = Server::start(
        &settings(&json!({"listeners": listeners})),
        Some(payload),
        &[],
    )
    .unwrap_err();
    assert!(error.faults[0].starts_with("configuration: "), "{error}");
}

#[test]
fn a_bad_configuration_changes_nothing() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    for payload in [
        &b""[..],
        b"[]",
        b"{",
        b"{\"colour\": []}",
        b"{\"services\": [{\"id\": \"x\"}]}",
        b"{\"routes\": [null]}",
        b"\xff\xfe",
        &b"[".repeat(10_000),
    ] {
        assert!(
            gateway.server.apply(payload).is_err(),
            "{}",
            String::from_utf8_lossy(&payload[..payload.len().min(40)])
        );
        assert_eq!(gateway.get("/").status, 200);
    }
    let dangling = json!({"routes": [route("r", "nowhere", "/")]});
    let error = gateway
        .server
        .apply(dangling.to_string().as_bytes())
        .unwrap_err();
    assert_eq!(
        (error.faults[0].entity, error.faults[0].id.as_deref()),
        (Some("routes"), Some("r"))
    );
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(gateway.server.status().snapshots_total, 1);
}

/// Asks over kept connections until told to stop; counts answers of 200 and everything else.
fn load(
    port: u16,
    threads: usize,
    path: &'static str,
) -> (
    Arc<AtomicBool>,
    Arc<[AtomicUsize; 2]>,
    Vec<std::thread::JoinHandle<()>>,
) {
    let (stop, counts) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]),
    );
    let workers = (0..threads).map(|_| {
        let (stop, counts) = (Arc::clone(&stop), Arc::clone(&counts));
        std::thread::spawn(move || {
            let mut stream = connect(port);
            while !stop.load(Ordering::Relaxed) {
                write!(stream, "GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
                let is_good = Answer::read(&mut stream).is_some_and(|answer| answer.status == 200);
                counts[usize::from(!is_good)].fetch_add(1, Ordering::Relaxed);
                if !is_good {
                    stream = connect(port);
                }
            }
        })
    });
    let workers = workers.collect();
    (stop, counts, workers)
}

#[test]
fn swaps_under_load_lose_no_request() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    let (stop, counts, threads) = load(gateway.port, 4, "/");
    for number in 0..100 {
        let mut payload = one_route(upstream.address);
        for other in 0..number {
            let path = format!("/other/{other}");
            payload["routes"]
                .as_array_mut()
                .unwrap()
                .push(route(&format!("r{other}"), "s", &path));
        }
        gateway.apply(&payload);
        std::thread::sleep(Duration::from_millis(3));
    }
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(counts[1].load(Ordering::Relaxed), 0);
    assert!(counts[0].load(Ordering::Relaxed) > 100);
    assert_eq!(gateway.server.status().routes, 100);
}

#[test]
fn a_stop_finishes_requests_and_ends_idle_connections() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    let idle: Vec<_> = (0..5).map(|_| gateway.connect()).collect();
    let mut used = gateway.connect();
    used.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert_eq!(Answer::read(&mut used).unwrap().status, 200);
    let busy: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = gateway.connect();
            stream
                .write_all(b"GET /slow/400 HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    gateway.server.stop(Duration::from_secs(10));
    let took = started.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    for mut stream in busy {
        let answer = Answer::read(&mut stream).expect("a request under way is finished");
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer
                .header("connection")
                .map(str::to_ascii_lowercase)
                .as_deref(),
            Some("close")
        );
    }
    for mut stream in idle.into_iter().chain([used]) {
        assert_eq!(
            stream.read(&mut [0; 1]).unwrap(),
            0,
            "an idle connection is ended"
        );
    }
    assert!(std::net::TcpStream::connect(("127.0.0.1", gateway.port)).is_err());
}

#[test]
fn a_stop_cuts_what_outlives_its_grace() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    let mut stream = gateway.connect();
    stream
        .write_all(b"GET /slow/3000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    gateway.server.stop(Duration::from_millis(200));
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(Answer::read(&mut stream).is_none());
}

#[test]
fn a_stop_under_load_answers_everything_it_took() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    let port = gateway.port;
    let lost = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let lost = Arc::clone(&lost);
            std::thread::spawn(move || {
                // Each request on a connection of its own, until the port is closed.
                while let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) {
                    let is_sent = stream
                        .write_all(b"GET /slow/5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                        .is_ok();
                    if is_sent
                        && Answer::read(&mut stream).is_none_or(|answer| answer.status != 200)
                    {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    gateway.server.stop(Duration::from_secs(5));
    for thread in threads {
        thread.join().unwrap();
    }
    // A connection that the kernel completed after the last look at the backlog was never accepted; there is one per thread at most.
    let never_accepted = lost.load(Ordering::Relaxed);
    assert!(never_accepted <= 6, "{never_accepted}");
}

#[test]
fn records_usage_and_counters_account_for_every_request() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one_route(upstream.address));
    for _ in 0..5 {
        gateway.get("/a?secret=hidden");
    }
    let mut payload = one_route(upstream.address);
    payload["routes"][0]["paths"] = json!(["/only"]);
    gateway.apply(&payload);
    assert_eq!(gateway.get("/elsewhere").status, 404);
    std::thread::sleep(Duration::from_millis(50));
    let records = gateway.server.drain("records".parse().unwrap());
    let records: Vec<Value> = records
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(records.len(), 6);
    let statuses = |status: u64| records.iter().filter(|record| record[12] == status).count();
    assert_eq!((statuses(200), statuses(404)), (5, 1));
    assert!(
        records
            .iter()
            .all(|record| record.as_array().unwrap().len() == 21),
        "{}",
        records[0]
    );
    assert!(
        !records
            .iter()
            .any(|record| record.to_string().contains("hidden"))
    );
    let usage = gateway.server.drain("usage".parse().unwrap());
    let usage: Vec<Value> = usage
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let counted: u64 = usage.iter().map(|line| line[6].as_u64().unwrap()).sum();
    assert_eq!(counted, 6);
    assert!(
        usage.iter().any(|line| line[2] == "r" && line[5] == 200),
        "{usage:?}"
    );
    assert!(gateway.server.drain("records".parse().unwrap()).is_empty());
    assert!(gateway.server.drain("usage".parse().unwrap()).is_empty());
    let metrics = gateway.metrics();
    assert_eq!(metrics["requests_total"], 6);
    assert_eq!(metrics["connections"]["accepted"], 6);
    assert_eq!(metrics["connections"]["active"], 0);
    assert_eq!(
        metrics["lost"],
        json!({"records": 0, "logs": 0, "access": 0, "metrics": 0, "limits": 0})
    );
}

#[test]
fn over_the_limit_of_connections_the_rest_is_refused_at_once() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(
        &json!({"limits": {"connections_max": 3}}),
        &one_route(upstream.address),
    );
    let mut held: Vec<_> = (0..3).map(|_| gateway.connect()).collect();
    for stream in &mut held {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        assert_eq!(Answer::read(stream).unwrap().status, 200);
    }
    let mut refused = gateway.connect();
    assert!(matches!(refused.read(&mut [0; 1]), Ok(0) | Err(_)));
    drop(held.pop());
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(gateway.metrics()["connections"]["refused"], 1);
}

#[test]
fn the_proxy_protocol_names_the_client() {
    let upstream = Upstream::start();
    let listeners = json!([{"address": "127.0.0.1", "port": 0, "proxy_protocol": true}]);
    let settings = json!({"listeners": listeners, "trusted_ips": ["127.0.0.1"], "real_ip_header": "proxy_protocol"});
    let gateway = Gateway::start(&settings, &one_route(upstream.address));
    let mut stream = gateway.connect();
    stream
        .write_all(b"PROXY TCP4 192.0.2.7 127.0.0.1 4321 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let answer = Answer::read(&mut stream).unwrap();
    assert_eq!(answer.sent("x-real-ip"), ["192.0.2.7"]);
    let mut stream = gateway.connect();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert!(
        Answer::read(&mut stream).is_none(),
        "a header is expected there"
    );
}

/// Descriptors and threads of this process.
fn held() -> (usize, usize) {
    let count = |path: &str| std::fs::read_dir(path).map_or(0, Iterator::count);
    (count("/proc/self/fd"), count("/proc/self/task"))
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

/// Runs alone: other tests of this file hold descriptors and threads of the same process.
#[test]
#[ignore = "counts what the process holds; `everything_is_given_back` runs it in a process of its own"]
fn alone_everything_is_given_back() {
    let upstream = Upstream::start();
    let mut payload = one_route(upstream.address);
    let mut services = Vec::new();
    for number in 0..500 {
        payload["routes"].as_array_mut().unwrap().push(route(
            &format!("r{number}"),
            "s",
            &format!("/other/{number}"),
        ));
        services.push(service(&format!("s{number}"), upstream.address));
    }
    payload["services"].as_array_mut().unwrap().extend(services);
    let round = || {
        let gateway = Gateway::start(&json!({}), &payload);
        for _ in 0..200 {
            gateway.apply(&payload);
        }
        for _ in 0..20 {
            assert_eq!(gateway.get("/").status, 200);
        }
        gateway.server.stop(Duration::from_secs(1));
    };
    round();
    std::thread::sleep(Duration::from_millis(200));
    let (before, before_kib) = (held(), resident_kib());
    for _ in 0..5 {
        round();
    }
    std::thread::sleep(Duration::from_millis(200));
    let (after, after_kib) = (held(), resident_kib());
    assert_eq!(before, after, "descriptors and threads");
    assert!(
        after_kib < before_kib + 8_192,
        "{before_kib} KiB before, {after_kib} KiB after 1,000 configurations"
    );
}

#[test]
fn everything_is_given_back() {
    let itself = std::env::current_exe().unwrap();
    let run = std::process::Command::new(itself)
        .args([
            "--exact",
            "alone_everything_is_given_back",
            "--ignored",
            "--test-threads",
            "1",
        ])
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stdout)
    );
}
