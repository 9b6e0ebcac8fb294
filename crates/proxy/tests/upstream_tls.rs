//! TLS towards upstreams: verified where authorities are configured, with the service's own certificate, and no connection
//! shared by services that verify differently.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod support;

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DistinguishedName, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use support::{Gateway, pair, pem, route, service};

/// Takes any client certificate.
#[derive(Debug)]
struct AnyClient;

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The server name and the client certificate that a connection came with.
type Presented = (Option<String>, Option<CertificateDer<'static>>);

/// An upstream that speaks TLS; tells with which server name and client certificate each connection came.
struct Upstream {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    connections: Arc<Mutex<Vec<Presented>>>,
}

impl Upstream {
    fn start() -> Self {
        Self::with("upstream")
    }

    /// With the certificate of that name.
    fn with(name: &str) -> Self {
        let chain = CertificateDer::pem_slice_iter(pem(&format!("{name}.pem")).as_bytes())
            .map(Result::unwrap)
            .collect();
        let key = PrivateKeyDer::from_pem_slice(pem(&format!("{name}.key")).as_bytes()).unwrap();
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_client_cert_verifier(Arc::new(AnyClient))
                .with_single_cert(chain, key)
                .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (counter, seen) = (Arc::clone(&requests), Arc::clone(&connections));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, counter, seen) =
                    (Arc::clone(&config), Arc::clone(&counter), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let mut stream =
                        StreamOwned::new(ServerConnection::new(config).unwrap(), stream.unwrap());
                    while stream.conn.is_handshaking() {
                        if stream.conn.complete_io(&mut stream.sock).is_err() {
                            return;
                        }
                    }
                    let certificate = stream
                        .conn
                        .peer_certificates()
                        .map(|chain| chain[0].clone().into_owned());
                    seen.lock()
                        .unwrap()
                        .push((stream.conn.server_name().map(str::to_owned), certificate));
                    loop {
                        let mut answer = Vec::new();
                        let mut reader = BufReader::with_capacity(1, &mut stream);
                        if support::echo(&mut reader, &mut answer, &counter).is_none() {
                            return;
                        }
                        if stream.write_all(&answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            address,
            requests,
            connections,
        }
    }
}

fn https(id: &str, upstream: &Upstream, changes: &Value) -> Value {
    let mut row = service(id, upstream.address);
    row["protocol"] = "https".into();
    for (name, value) in changes.as_object().unwrap() {
        row[name] = value.clone();
    }
    row
}

fn one(upstream: &Upstream, changes: &Value) -> Value {
    json!({
        "services": [https("s", upstream, changes)],
        "routes": [route("r", "s", "/")],
        "ca_certificates": [
            {"id": "right", "cert": pem("authority.pem")},
            {"id": "wrong", "cert": pem("one.pem")},
        ],
        "certificates": [{"id": "own", "cert": pem("version1.pem"), "key": pem("version1.key")}],
    })
}

#[test]
fn unset_verifies_only_where_authorities_are_configured() {
    let upstream = Upstream::start();
    let trusting = json!({"trusted_certificates": pem("authority.pem")});
    for (settings, changes, status) in [
        (json!({}), json!({}), 200),
        (json!({}), json!({"ca_certificates": ["right"]}), 200),
        (json!({}), json!({"ca_certificates": ["wrong"]}), 502),
        (
            json!({}),
            json!({"ca_certificates": ["wrong"], "tls_verify": false}),
            200,
        ),
        (
            json!({}),
            json!({"tls_verify": true, "ca_certificates": ["wrong", "right"]}),
            200,
        ),
        (trusting.clone(), json!({"tls_verify": true}), 200),
        (
            json!({"trusted_certificates": pem("one.pem")}),
            json!({"tls_verify": true}),
            502,
        ),
        (
            trusting,
            json!({"tls_verify": true, "ca_certificates": ["wrong"]}),
            502,
        ),
    ] {
        let gateway = Gateway::start(&settings, &one(&upstream, &changes));
        assert_eq!(gateway.get("/").status, status, "{changes}");
    }
}

#[test]
fn a_chain_is_no_longer_than_its_depth() {
    for (certificate, depth, status) in [
        ("upstream", 0, 200),
        ("chained", 0, 502),
        ("chained", 1, 200),
        ("chained", 2, 200),
    ] {
        let upstream = Upstream::with(certificate);
        let changes = json!({"ca_certificates": ["right"], "tls_verify_depth": depth});
        let gateway = Gateway::start(&json!({}), &one(&upstream, &changes));
        assert_eq!(gateway.get("/").status, status, "{certificate} {depth}");
    }
}

#[test]
fn a_name_that_is_not_the_certificates_is_refused() {
    let upstream = Upstream::start();
    let mut payload = one(&upstream, &json!({"ca_certificates": ["right"]}));
    payload["services"][0]["host"] = "other.localhost".into();
    let gateway = Gateway::start(&json!({}), &payload);
    assert_eq!(gateway.get("/").status, 502);
    payload["services"][0]["tls_verify"] = false.into();
    gateway.apply(&payload);
    assert_eq!(gateway.get("/").status, 200);
    let seen = upstream.connections.lock().unwrap();
    assert_eq!(seen.last().unwrap().0.as_deref(), Some("other.localhost"));
}

#[test]
fn a_service_shows_its_own_certificate() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(
        &json!({}),
        &one(&upstream, &json!({"client_certificate": "own"})),
    );
    assert_eq!(gateway.get("/").status, 200);
    let wanted = CertificateDer::from_pem_slice(pem("version1.pem").as_bytes()).unwrap();
    assert_eq!(upstream.connections.lock().unwrap()[0].1, Some(wanted));
}

#[test]
fn an_upstream_shows_its_certificate_unless_the_service_has_one() {
    let upstream = Upstream::start();
    let mut payload = one(&upstream, &json!({"host": "pool.test"}));
    payload["certificates"].as_array_mut().unwrap().push(json!({
        "id": "pools", "cert": pem("one.pem"), "key": pem("one.key")}));
    payload["upstreams"] = json!([{"id": "u", "name": "pool.test", "client_certificate": "pools", "healthchecks": {
        "active": {"https_verify_certificate": true, "unhealthy": {}, "healthy": {}},
        "passive": {"unhealthy": {}, "healthy": {}}}}]);
    payload["targets"] =
        json!([{"id": "t", "upstream": "u", "target": upstream.address.to_string()}]);
    let gateway = Gateway::start(&json!({}), &payload);
    assert_eq!(gateway.get("/").status, 200);
    payload["services"][0]["client_certificate"] = "own".into();
    gateway.apply(&payload);
    assert_eq!(gateway.get("/").status, 200);
    let seen = upstream.connections.lock().unwrap();
    let wanted = |name| Some(CertificateDer::from_pem_slice(pem(name).as_bytes()).unwrap());
    assert_eq!(
        (&seen[0].1, &seen[1].1),
        (&wanted("one.pem"), &wanted("version1.pem"))
    );
}

#[test]
fn the_settings_certificate_stands_in() {
    let upstream = Upstream::start();
    let settings = json!({"client_certificate": pair("one")});
    let gateway = Gateway::start(&settings, &one(&upstream, &json!({})));
    assert_eq!(gateway.get("/").status, 200);
    let wanted = CertificateDer::from_pem_slice(pem("one.pem").as_bytes()).unwrap();
    assert_eq!(upstream.connections.lock().unwrap()[0].1, Some(wanted));
}

#[test]
fn services_that_verify_differently_share_no_connection() {
    let upstream = Upstream::start();
    let mut payload = one(&upstream, &json!({}));
    payload["services"].as_array_mut().unwrap().extend([
        https("strict", &upstream, &json!({"ca_certificates": ["wrong"]})),
        https("like-s", &upstream, &json!({})),
    ]);
    payload["routes"].as_array_mut().unwrap().extend([
        route("r2", "strict", "/strict"),
        route("r3", "like-s", "/like-s"),
    ]);
    let gateway = Gateway::start(&json!({"workers": 1}), &payload);
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(gateway.get("/strict").status, 502);
    assert_eq!(gateway.get("/like-s").status, 200);
    assert_eq!(upstream.requests.load(Ordering::SeqCst), 2);
    let connections = upstream.connections.lock().unwrap().len();
    assert_eq!(connections, 1, "services that verify alike share one");
}

#[test]
fn a_new_configuration_keeps_idle_connections() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(
        &json!({"workers": 1}),
        &one(&upstream, &json!({"ca_certificates": ["right"]})),
    );
    for _ in 0..5 {
        assert_eq!(gateway.get("/").status, 200);
        gateway.apply(&one(&upstream, &json!({"ca_certificates": ["right"]})));
    }
    assert_eq!(upstream.connections.lock().unwrap().len(), 1);
}

#[test]
fn to_verify_with_nothing_trusted_is_an_error_not_a_connection() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&json!({}), &one(&upstream, &json!({"tls_verify": true})));
    assert!(gateway.get("/").status >= 500);
    assert_eq!(upstream.requests.load(Ordering::SeqCst), 0);
}
