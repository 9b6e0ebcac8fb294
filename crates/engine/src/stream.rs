//! A stream instead of a request: bytes or datagrams that are passed on unread. Says which route it is for and how it is
//! carried; the proxy moves it.
use std::rc::Rc;

use crate::exchange::{Exchange, Scheme};
use crate::router::{End, MatchInput, Protocol, Trace};

/// Status of a stream that was served.
pub const SERVED: u16 = 200;
/// Status of a stream that nothing is configured for, or that something of ours broke.
pub const NOT_SERVED: u16 = 500;
/// Status of a stream whose upstream could not be reached.
pub const NOT_REACHED: u16 = 502;
/// Status of a stream whose beginning could not be read.
pub const NOT_READ: u16 = 400;

/// Whether a protocol of routes and plugins is one of streams.
pub fn is_stream(protocol: &str) -> bool {
    matches!(protocol, "tcp" | "tls" | "tls_passthrough" | "udp")
}

/// What a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// Connections in the clear.
    Clear,
    /// Connections that begin with a TLS handshake.
    Tls,
    /// Datagrams.
    Datagrams,
}

/// How a stream is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// A connection in the clear.
    #[default]
    Tcp,
    /// TLS that ends here.
    Tls,
    /// TLS that ends at the upstream.
    TlsPassthrough,
    /// Datagrams.
    Udp,
}

impl Transport {
    /// Its name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::TlsPassthrough => "tls_passthrough",
            Self::Udp => "udp",
        }
    }

    /// As conditions of plugins see it.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Tcp => Protocol::Tcp,
            Self::Tls => Protocol::Tls,
            Self::TlsPassthrough => Protocol::TlsPassthrough,
            Self::Udp => Protocol::Udp,
        }
    }
}

/// What an exchange holds where it is a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stream {
    /// How it is carried.
    pub transport: Transport,
    /// Bytes sent to the upstream.
    pub upstream_sent: u64,
    /// Bytes received from the upstream.
    pub upstream_received: u64,
}

/// Why a stream is closed before any plugin sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No route is for it.
    NoRoute,
    /// The route is for streams in the clear, and this is TLS.
    NotForTls,
    /// The route leads nowhere.
    NoService,
}

impl Refusal {
    /// In words.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoRoute => "no Route found with those values",
            Self::NotForTls => "unexpected protocols in matched Route",
            Self::NoService => "no Service found with those values",
        }
    }
}

// The rules of a real node: what has a server name is TLS, whatever the listener; what has none is not.
fn input(x: &Exchange, offered: Offered) -> MatchInput<'_> {
    MatchInput {
        method: b"",
        host: b"",
        path: b"",
        query: b"",
        protocol: match (offered, &x.client.sni) {
            (Offered::Datagrams, _) => Protocol::Udp,
            (_, Some(_)) => Protocol::Tls,
            (_, None) => Protocol::Tcp,
        },
        sni: x.client.sni.as_deref().map(str::as_bytes),
        source: End {
            address: Some(x.client.ip),
            port: Some(x.client.port),
        },
        destination: End {
            address: Some(x.client.listener_ip),
            port: Some(x.client.listener_port),
        },
        headers: &x.request.headers,
    }
}

/// The way of the router over a stream that [`find`] has seen.
pub fn trace(x: &Exchange, offered: Offered, most: usize) -> Trace {
    x.snapshot.stream_router.trace(&input(x, offered), most)
}

/// Finds the route of a stream and how it is carried. On a listener for TLS the route decides whether the handshake is
/// ours.
pub fn find(x: &mut Exchange, offered: Offered) -> Result<Transport, Refusal> {
    let snapshot = Rc::clone(&x.snapshot);
    let found = snapshot.stream_router.find(&input(x, offered));
    let found = found.ok_or(Refusal::NoRoute)?;
    let route = &snapshot.routes[found.route as usize];
    let is_for = |protocol: &str| route.model.protocols.iter().any(|own| **own == *protocol);
    x.route = Some(found.route);
    x.service = route.service;
    let transport = match offered {
        Offered::Clear => Transport::Tcp,
        Offered::Datagrams => Transport::Udp,
        Offered::Tls if is_for("tls") => Transport::Tls,
        Offered::Tls if is_for("tls_passthrough") => Transport::TlsPassthrough,
        Offered::Tls => return Err(Refusal::NotForTls),
    };
    let service = x.service().ok_or(Refusal::NoService)?;
    x.upstream.scheme = match transport {
        Transport::TlsPassthrough | Transport::Udp => Scheme::Http,
        Transport::Tcp | Transport::Tls => service.scheme,
    };
    if let Some(stream) = &mut x.stream {
        stream.transport = transport;
    }
    Ok(transport)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::build::{BuildInput, build};
    use crate::chain::{self, Step};
    use crate::plugin::PluginSpec;
    use crate::router::Rules;
    use crate::snapshot::NodeState;

    const PLUGINS: [PluginSpec; 1] = [PluginSpec {
        name: "jwt",
        priority: 1450,
        version: "3.9.3",
        observes_only: false,
        build: None,
    }];

    fn plugin(id: &str, route: &str, protocol: &str) -> Value {
        json!({"id": id, "name": "jwt", "route": route, "protocols": [protocol], "enabled": true, "config": {}})
    }

    fn exchange(routes: &[Value], sni: Option<&str>, listener_port: u16) -> Exchange {
        let plugins = [plugin("p", "a", "http"), plugin("q", "c", "tcp")];
        exchange_with(routes, &plugins, sni, listener_port)
    }

    fn exchange_with(
        routes: &[Value],
        plugins: &[Value],
        sni: Option<&str>,
        listener_port: u16,
    ) -> Exchange {
        let table = json!({
            "services": [{"id": "s", "protocol": "tls", "host": "127.0.0.1", "port": 9, "enabled": true}],
            "routes": routes,
            "plugins": plugins,
        });
        let node = Arc::new(NodeState::default());
        let input = BuildInput {
            plugins: &PLUGINS,
            node: &node,
            rules: Rules::default(),
            previous: None,
            is_edge: false,
        };
        let snapshot = build(serde_json::from_value(table).unwrap(), input).unwrap();
        let mut x = Exchange::new(Rc::new(Arc::new(snapshot)), Rc::new(Arc::clone(&node)));
        x.stream = Some(Box::default());
        x.client.sni = sni.map(Into::into);
        x.client.listener_port = listener_port;
        x
    }

    fn route(id: &str, protocols: &[&str], more: &Value) -> Value {
        let mut row = json!({"id": id, "service": "s", "protocols": protocols, "https_redirect_status_code": 426,
            "strip_path": true, "preserve_host": false, "request_buffering": true, "response_buffering": true});
        for (name, value) in more.as_object().unwrap() {
            row[name] = value.clone();
        }
        row
    }

    #[test]
    fn the_route_decides_whether_the_handshake_is_ours() {
        let routes = [
            route("a", &["tls"], &json!({"snis": ["ended.example"]})),
            route(
                "b",
                &["tls_passthrough"],
                &json!({"snis": ["passed.example"]}),
            ),
            route("c", &["tcp"], &json!({"destinations": [{"port": 7}]})),
        ];
        let found = |sni, port, offered| {
            let mut x = exchange(&routes, sni, port);
            let transport = find(&mut x, offered);
            (transport, x.upstream.scheme)
        };
        assert_eq!(
            found(Some("ended.example"), 1, Offered::Tls),
            (Ok(Transport::Tls), Scheme::Https)
        );
        assert_eq!(
            found(Some("passed.example"), 1, Offered::Tls),
            (Ok(Transport::TlsPassthrough), Scheme::Http)
        );
        assert_eq!(
            found(Some("other.example"), 7, Offered::Tls).0,
            Err(Refusal::NotForTls)
        );
        assert_eq!(
            found(Some("other.example"), 1, Offered::Tls).0,
            Err(Refusal::NoRoute)
        );
    }

    #[test]
    fn a_plugin_that_cannot_run_closes_streams_of_its_protocols_alone() {
        let to = |port: u16| json!({"destinations": [{"port": port}]});
        let routes = [route("a", &["tcp"], &to(1)), route("c", &["tcp"], &to(2))];
        let mut x = exchange(&routes, None, 1);
        assert_eq!(find(&mut x, Offered::Clear), Ok(Transport::Tcp));
        assert!(matches!(chain::preread(&mut x), Step::Done));
        let mut x = exchange(&routes, None, 2);
        assert_eq!(find(&mut x, Offered::Clear), Ok(Transport::Tcp));
        assert!(matches!(chain::preread(&mut x), Step::Answered(_)));
    }

    #[test]
    fn a_condition_knows_how_a_stream_is_carried() {
        let routes = [
            route("a", &["tls"], &json!({"snis": ["ended.example"]})),
            route(
                "b",
                &["tls_passthrough"],
                &json!({"snis": ["passed.example"]}),
            ),
            route(
                "c",
                &["tcp", "udp"],
                &json!({"destinations": [{"port": 7}]}),
            ),
        ];
        let is_asked = |condition: &str, sni, port, offered| {
            let mut asked = plugin("q", "", "tcp");
            asked["route"] = Value::Null;
            asked["condition"] = condition.into();
            let mut x = exchange_with(&routes, &[asked], sni, port);
            assert!(find(&mut x, offered).is_ok());
            // The plugin cannot run, so it answers where its condition holds.
            matches!(chain::preread(&mut x), Step::Answered(_))
        };
        let streams = [
            ("tcp", None, 7, Offered::Clear),
            ("tls", Some("ended.example"), 1, Offered::Tls),
            ("tls_passthrough", Some("passed.example"), 1, Offered::Tls),
            ("udp", None, 7, Offered::Datagrams),
        ];
        for (own, sni, port, offered) in streams {
            for name in ["tcp", "tls", "tls_passthrough", "udp", "http", "https"] {
                let condition = format!("net.protocol == \"{name}\"");
                assert_eq!(
                    is_asked(&condition, sni, port, offered),
                    name == own,
                    "{own} {name}"
                );
            }
            assert_eq!(
                is_asked("tls.sni =^ \".example\"", sni, port, offered),
                sni.is_some()
            );
            assert!(!is_asked("http.path ^= \"/\"", sni, port, offered));
        }
    }

    #[test]
    fn routes_of_requests_are_none_of_streams() {
        let routes = [
            route("a", &["http"], &json!({"paths": ["/"]})),
            route("b", &["udp"], &json!({"destinations": [{"port": 53}]})),
            route("c", &["http"], &json!({"paths": ["/c"]})),
        ];
        let mut x = exchange(&routes, None, 53);
        assert_eq!(find(&mut x, Offered::Datagrams), Ok(Transport::Udp));
        assert_eq!(x.route, Some(1));
        let mut x = exchange(&[routes[0].clone(), routes[2].clone()], None, 53);
        assert_eq!(find(&mut x, Offered::Clear), Err(Refusal::NoRoute));
    }
}
