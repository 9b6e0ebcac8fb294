//! What would become of a stream: as of a request, by the code that would carry it.
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};
use twinplane_engine::chain;
use twinplane_engine::exchange::{Exchange, Scheme};
use twinplane_engine::filter::Phase;
use twinplane_engine::stream::{self, NOT_SERVED, Offered, Transport};

use super::target::{self, Target};
use super::{TOLD_MAX, answered, considered, considered_max, named_route, nowhere, plugin};
use crate::conn_info::{ConnInfo, Serial};
use crate::error_page::GatewayError;
use crate::stream::{client, status_of};
use crate::worker::Worker;

const PHASES: [(Phase, &str); 2] = [(Phase::Preread, "preread"), (Phase::Log, "log")];

/// A stream that somebody wonders about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamQuestion {
    /// What comes in. Of TLS the route decides where it ends.
    protocol: Protocol,
    /// Server name of the TLS handshake.
    #[serde(default)]
    sni: Option<Box<str>>,
    #[serde(default = "nowhere")]
    client_ip: IpAddr,
    #[serde(default)]
    client_port: u16,
    #[serde(default = "nowhere")]
    listener_ip: IpAddr,
    listener_port: u16,
    #[serde(default = "considered_max")]
    considered_max: usize,
    /// Whether nothing is asked of plugins and upstreams.
    #[serde(default)]
    routes_only: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Protocol {
    Tcp,
    Tls,
    TlsPassthrough,
    Udp,
}

impl Protocol {
    const fn offered(self) -> Offered {
        match self {
            Self::Tcp => Offered::Clear,
            Self::Tls | Self::TlsPassthrough => Offered::Tls,
            Self::Udp => Offered::Datagrams,
        }
    }
}

/// Answers a question.
pub(super) async fn explain(worker: &Rc<Worker>, question: StreamQuestion) -> Value {
    let most = question.considered_max.min(TOLD_MAX);
    let offered = question.protocol.offered();
    let routes_only = question.routes_only;
    let mut x = exchange(worker, question);
    let found = stream::find(&mut x, offered);
    let trace = stream::trace(&x, offered, most);
    // Of a stream that is closed before them plugins hear nothing.
    let links = if found.is_ok() {
        chain::of_stream(&x)
    } else {
        Vec::new()
    };
    let links = links.iter().enumerate();
    let plugins: Vec<Value> = links
        .map(|(place, link)| plugin(&x, place, *link, &PHASES))
        .collect();
    let upstream = match found {
        Ok(transport) if !routes_only => upstream(worker, &mut x, transport).await,
        _ => Value::Null,
    };
    json!({
        "stream": {
            "offered": offered_name(offered),
            "sni": x.client.sni.as_deref(),
            "client_ip": x.client.ip,
            "client_port": x.client.port,
            "listener_ip": x.client.listener_ip,
            "listener_port": x.client.listener_port,
        },
        "considered": considered(&x, &trace),
        "considered_untold": trace.before_untold,
        "route": trace.won.as_ref().map(|won| named_route(&x, won)),
        "would_match": trace.after.iter().map(|each| named_route(&x, each)).collect::<Vec<_>>(),
        "carried": found.ok().map(Transport::name),
        "closed": found.err().map(|refusal| json!({"status": NOT_SERVED, "message": refusal.message()})),
        "plugins": plugins,
        "service": x.service().map(|service| json!({"id": service.model.id, "name": service.model.name})),
        "upstream": upstream,
    })
}

const fn offered_name(offered: Offered) -> &'static str {
    match offered {
        Offered::Clear => "tcp",
        Offered::Tls => "tls",
        Offered::Datagrams => "udp",
    }
}

fn exchange(worker: &Worker, question: StreamQuestion) -> Exchange {
    let info = ConnInfo {
        peer: SocketAddr::new(question.client_ip, question.client_port),
        proxied_for: None,
        listener_ip: question.listener_ip,
        listener_port: question.listener_port,
        tls: None,
        serial: Serial::default(),
        identity: None,
        closing: Rc::default(),
    };
    let mut x = Exchange::new(worker.snapshot(), Rc::clone(&worker.state));
    x.stream = Some(Box::default());
    x.client = client(&info, &worker.settings());
    x.client.sni = question.sni.map(Into::into);
    worker.touch(&mut x);
    x
}

/// What is spoken upstream, and where to.
async fn upstream(worker: &Rc<Worker>, x: &mut Exchange, transport: Transport) -> Value {
    let target = Target::of(worker, x).await;
    let Some(service) = x.service() else {
        return Value::Null;
    };
    let spoken = match (transport, x.upstream.scheme) {
        (Transport::Udp, _) => "udp",
        (_, Scheme::Https) => "tls",
        (_, Scheme::Http) => "tcp",
    };
    let problem = target.problem.map(|none| {
        let status = status_of(&none);
        let mut told = answered(&GatewayError::NoDestination(none), x);
        told["status"] = status.into();
        told
    });
    json!({
        "uri": format!("{spoken}://{}", target::address(service)),
        "target": target.told,
        "problem": problem,
    })
}
