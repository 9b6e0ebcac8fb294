//! TLS with clients, over real sockets: the certificate by server name, client certificates only where they are wanted,
//! and who a connection is handed on in headers that nobody can forge.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod support;

use serde_json::{Value, json};
use support::tls::Client;
use support::{Gateway, Upstream, one_route, pair, pem, route, service};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

fn certificate(id: &str, name: &str) -> Value {
    let mut row = pair(name);
    row["id"] = id.into();
    row
}

fn sni(name: &str, certificate: &str) -> Value {
    json!({"id": name, "name": name, "certificate": certificate})
}

fn edge() -> Value {
    json!({"edge": {"client_certificate_hosts": ["*.cp0.example", "kong_clustering"]}})
}

#[test]
fn the_server_name_decides_the_certificate() {
    let upstream = Upstream::start();
    let mut payload = one_route(upstream.address);
    payload["certificates"] = json!([certificate("c1", "one"), certificate("c2", "wild")]);
    payload["snis"] = json!([sni("one.example", "c1"), sni("*.wild.example", "c2")]);
    let gateway = Gateway::start_tls(&json!({}), &payload);
    for (name, shown) in [
        ("one.example", "one"),
        ("ONE.example", "one"),
        ("a.wild.example", "wild"),
        ("a.b.wild.example", "default"),
        ("other.example", "default"),
        ("127.0.0.1", "default"),
    ] {
        let connected = Client::default().connect(gateway.port, name).unwrap();
        assert!(connected.was_shown(shown), "{name} is shown {shown}");
    }
}

#[test]
fn a_new_configuration_brings_its_certificates() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_tls(&json!({}), &one_route(upstream.address));
    assert!(
        Client::default()
            .connect(gateway.port, "one.example")
            .unwrap()
            .was_shown("default")
    );
    let mut payload = one_route(upstream.address);
    payload["certificates"] = json!([certificate("c1", "one")]);
    payload["snis"] = json!([sni("one.example", "c1")]);
    gateway.apply(&payload);
    assert!(
        Client::default()
            .connect(gateway.port, "one.example")
            .unwrap()
            .was_shown("one")
    );
}

#[test]
fn default_certificates_are_renewed_under_open_connections() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_tls(&json!({}), &one_route(upstream.address));
    let connect = || Client::default().connect(gateway.port, "other.example");
    let mut before = connect().unwrap();
    assert!(before.was_shown("default"));
    let renew = |list: &Value| gateway.server.renew(list.to_string().as_bytes());
    renew(&json!([pair("one")])).unwrap();
    assert!(connect().unwrap().was_shown("one"));
    assert_eq!(before.ask(GET).unwrap().status, 200, "it goes on");
    let mut damaged = pair("wild");
    damaged["key"] = pem("one.key").into();
    for wrong in [
        json!([damaged]),
        json!([]),
        json!({}),
        json!([{"cert": ""}]),
    ] {
        assert!(!renew(&wrong).unwrap_err().faults.is_empty());
    }
    assert!(connect().unwrap().was_shown("one"));
}

#[test]
fn a_damaged_certificate_refuses_the_configuration() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_tls(&json!({}), &one_route(upstream.address));
    let mut row = certificate("c1", "one");
    row["key"] = pem("wild.key").into();
    let payload = json!({"certificates": [row], "snis": [sni("one.example", "c1")]});
    let error = gateway
        .server
        .apply(payload.to_string().as_bytes())
        .unwrap_err();
    assert_eq!(error.faults[0].entity, Some("certificates"));
    assert_eq!(error.faults[0].id.as_deref(), Some("c1"));
    assert_eq!(
        Client::default()
            .connect(gateway.port, "a.example")
            .unwrap()
            .ask(GET)
            .unwrap()
            .status,
        200
    );
}

#[test]
fn a_client_certificate_is_asked_for_only_where_it_is_wanted() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_tls(&edge(), &one_route(upstream.address));
    for (name, is_asked) in [
        ("a.us.cp0.example", true),
        ("kong_clustering", true),
        ("console.example", false),
        ("cp0.example", false),
        ("127.0.0.1", false),
    ] {
        for is_tls12 in [false, true] {
            let mut connected = Client {
                is_tls12,
                ..Client::default()
            }
            .connect(gateway.port, name)
            .unwrap();
            assert_eq!(connected.was_asked(), is_asked, "{name}");
            let answer = connected
                .ask(GET)
                .expect("a client without a certificate is served");
            assert!(answer.sent("client-cert").is_empty());
        }
    }
}

#[test]
fn certificates_of_version_1_prove_who_a_node_is() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_tls(&edge(), &one_route(upstream.address));
    for name in ["version1", "version1_rsa", "one"] {
        for is_tls12 in [false, true] {
            let client = Client {
                own: Some((name, name)),
                is_tls12,
                ..Client::default()
            };
            let answer = client
                .connect(gateway.port, "kong_clustering")
                .unwrap()
                .ask(GET)
                .expect("served");
            let base64: String = pem(&format!("{name}.pem"))
                .lines()
                .filter(|line| !line.starts_with('-'))
                .collect();
            assert_eq!(
                answer.sent("client-cert"),
                [format!(":{base64}:")],
                "{name}"
            );
            assert!(answer.sent("client-cert-chain").is_empty());
        }
    }
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_tls(&edge(), &one_route(upstream.address));
    for is_tls12 in [false, true] {
        let client = Client {
            own: Some(("version1", "one")),
            is_tls12,
            ..Client::default()
        };
        let answer = client
            .connect(gateway.port, "kong_clustering")
            .ok()
            .and_then(|mut connected| connected.ask(GET));
        assert!(answer.is_none(), "the key is another's");
    }
    assert_eq!(upstream.seen(), 0);
}

#[test]
fn who_a_connection_is_cannot_be_forged() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_tls(&edge(), &one_route(upstream.address));
    let mut connected = Client::default()
        .connect(gateway.port, "a.us.cp0.example")
        .unwrap();
    let answer = connected
        .ask(
            "GET / HTTP/1.1\r\nHost: a.example\r\nClient-Cert: :AAAA:\r\nCLIENT_CERT: :AAAA:\r\nClient-Cert-Chain: :AAAA:\r\n\
             client_cert_chain: :AAAA:\r\nTwinplane-Sni: b.us.cp0.example\r\nTWINPLANE_SNI: b\r\nTwinplane-Peer: 192.0.2.1:1\r\n\
             twinplane_peer: 192.0.2.1:1\r\n\
             Connection: keep-alive, Twinplane-Sni, Twinplane-Peer\r\n\r\n",
        )
        .unwrap();
    for name in [
        "client-cert",
        "client_cert",
        "client-cert-chain",
        "client_cert_chain",
        "twinplane_sni",
        "twinplane_peer",
    ] {
        assert!(answer.sent(name).is_empty(), "{name} in {}", answer.text());
    }
    assert_eq!(answer.sent("twinplane-sni"), ["a.us.cp0.example"]);
    let peer = connected.stream.sock.local_addr().unwrap().to_string();
    assert_eq!(answer.sent("twinplane-peer"), [peer]);
}

#[test]
fn a_node_hands_on_no_identity() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_tls(&json!({}), &one_route(upstream.address));
    let answer = Client::default()
        .connect(gateway.port, "a.example")
        .unwrap()
        .ask(GET)
        .unwrap();
    assert!(answer.sent("twinplane-sni").is_empty() && answer.sent("twinplane-peer").is_empty());
}

#[test]
fn clear_text_on_a_tls_port_is_closed_and_counted() {
    let upstream = Upstream::start();
    let gateway = Gateway::start_tls(&json!({}), &one_route(upstream.address));
    let mut stream = gateway.connect();
    std::io::Write::write_all(&mut stream, GET.as_bytes()).unwrap();
    assert!(support::Answer::read(&mut stream).is_none());
    // The client sees the end a moment before it is counted.
    let is_counted = || gateway.metrics()["connections"]["handshakes_failed"] == 1;
    assert!((0..200).any(|_| is_counted() || {
        std::thread::sleep(std::time::Duration::from_millis(10));
        false
    }));
}

#[test]
fn a_silent_client_is_closed_at_the_limit() {
    let upstream = Upstream::start();
    let limits = json!({"limits": {"head_timeout_ms": 200}});
    let gateway = Gateway::start_tls(&limits, &one_route(upstream.address));
    let started = std::time::Instant::now();
    assert!(support::Answer::read(&mut gateway.connect()).is_none());
    assert!((200..2_000).contains(&started.elapsed().as_millis()));
}

#[test]
fn the_edge_reaches_unix_sockets() {
    let path = std::env::temp_dir().join(format!("twinplane-edge-{}", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut writer = stream.unwrap();
            let mut reader = std::io::BufReader::new(writer.try_clone().unwrap());
            std::thread::spawn(move || {
                let counter = std::sync::atomic::AtomicUsize::new(0);
                while support::echo(&mut reader, &mut writer, &counter).is_some() {}
            });
        }
    });
    let mut row = service("s", "127.0.0.1:80".parse().unwrap());
    row["host"] = format!("unix:{}", path.display()).into();
    let mut to_socket = route("r", "s", "/");
    to_socket["preserve_host"] = true.into();
    let gateway = Gateway::start_tls(&edge(), &json!({"services": [row], "routes": [to_socket]}));
    let mut connected = Client::default()
        .connect(gateway.port, "console.example")
        .unwrap();
    for _ in 0..2 {
        let answer = connected.ask(GET).unwrap();
        assert_eq!(
            (answer.status, answer.sent("host")),
            (200, vec!["a.example"])
        );
    }
    std::fs::remove_file(&path).unwrap();
}
