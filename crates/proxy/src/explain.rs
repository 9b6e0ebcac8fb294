//! Tells what would become of a request or a stream, by the code that would serve it: the route and why others lost, the
//! plugins, the upstream and its target. Nothing is sent, no plugin runs, nobody's turn is over.
mod stream;
mod target;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc::Sender;

use serde::Deserialize;
use serde_json::{Value, json};
use twinplane_engine::answer::AnswerBody;
use twinplane_engine::chain::{self, Link};
use twinplane_engine::exchange::{Exchange, HttpVersion, Scheme};
use twinplane_engine::filter::Phase;
use twinplane_engine::headers::Headers;
use twinplane_engine::router::{Considered, Trace};
use twinplane_engine::text::Text;

use crate::conn_info::ConnInfo;
use crate::error_page::{self, GatewayError};
use crate::forwarded;
use crate::grpc;
use crate::request::route;
use crate::worker::Worker;
use stream::StreamQuestion;
use target::Target;

/// How many routes are told of at most, before the one that won and after it.
const TOLD_MAX: usize = 1_000;

/// What somebody wonders about.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Question {
    /// A stream.
    Stream(StreamQuestion),
    /// A request.
    Request(Box<RequestQuestion>),
}

/// A request that somebody wonders about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestQuestion {
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    is_tls: bool,
    #[serde(default)]
    is_http2: bool,
    /// The `Host` header.
    host: String,
    /// Path and query.
    target: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    sni: Option<Box<str>>,
    #[serde(default = "nowhere")]
    client_ip: IpAddr,
    #[serde(default)]
    client_port: u16,
    #[serde(default = "nowhere")]
    listener_ip: IpAddr,
    #[serde(default)]
    listener_port: Option<u16>,
    /// Id or username of the consumer that plugins would find.
    #[serde(default)]
    consumer: Option<String>,
    #[serde(default = "considered_max")]
    considered_max: usize,
    /// Whether nothing is asked of plugins and upstreams.
    #[serde(default)]
    routes_only: bool,
}

/// A question on its way, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) question: Question,
    pub(crate) reply: Sender<Vec<u8>>,
}

fn get() -> String {
    "GET".to_owned()
}

const fn nowhere() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

const fn considered_max() -> usize {
    20
}

/// Answers a question on a worker.
pub(crate) async fn answer(worker: Rc<Worker>, asked: Box<Asked>) {
    let told = match asked.question {
        Question::Stream(question) => stream::explain(&worker, question).await,
        Question::Request(question) => explain(&worker, *question).await,
    };
    // Who asked may have given up.
    let _gone = asked.reply.send(told.to_string().into_bytes());
}

async fn explain(worker: &Rc<Worker>, question: RequestQuestion) -> Value {
    let most = question.considered_max.min(TOLD_MAX);
    let consumer = question.consumer.clone();
    let routes_only = question.routes_only;
    let mut x = exchange(worker, question);
    if let Some(name) = &consumer {
        x.consumer = x.snapshot.consumers.find(name).cloned();
    }
    let refused = route::find(&worker.settings(), &mut x).err();
    let trace = route::trace(&x, most);
    let plugins: Vec<Value> = chain::applying(&x)
        .iter()
        .enumerate()
        .map(|(place, link)| ordered_plugin(&x, place, *link))
        .collect();
    let upstream = match (&refused, x.service) {
        (None, Some(_)) if !routes_only => upstream(worker, &mut x).await,
        _ => Value::Null,
    };
    let is_serviceless = refused.is_none() && x.service.is_none();
    let refused = refused.or(is_serviceless.then_some(GatewayError::NoService));
    json!({
        "request": {
            "method": text(&x.request.method),
            "host": text(&x.request.host),
            "path": text(&x.request.path),
            "query": x.request.query.as_ref().map(text),
            "scheme": scheme(x.client.scheme),
            "sni": x.client.sni.as_deref(),
            "client_ip": x.client.ip,
        },
        "considered": considered(&x, &trace),
        "considered_untold": trace.before_untold,
        "route": trace.won.as_ref().map(|won| named_route(&x, won)),
        "would_match": trace.after.iter().map(|each| named_route(&x, each)).collect::<Vec<_>>(),
        "captures": x.matched.captures.iter().map(|(name, value)| json!({"name": name, "value": value}))
            .collect::<Vec<_>>(),
        "consumer": x.consumer.as_ref().map(|consumer| &consumer.model.id),
        "plugins": plugins,
        "answered": refused.map(|error| answered(&error, &x)),
        "service": x.service().map(|service| json!({"id": service.model.id, "name": service.model.name})),
        "upstream": upstream,
    })
}

fn exchange(worker: &Worker, question: RequestQuestion) -> Exchange {
    let mut headers = Headers::new();
    for (name, value) in question.headers {
        headers.append(name, value);
    }
    let usual_port = if question.is_tls { 443 } else { 80 };
    let info = ConnInfo {
        peer: SocketAddr::new(question.client_ip, question.client_port),
        proxied_for: None,
        listener_ip: question.listener_ip,
        listener_port: question.listener_port.unwrap_or(usual_port),
        tls: None,
        serial: crate::conn_info::Serial::default(),
        identity: None,
        closing: Rc::default(),
    };
    let version = if question.is_http2 {
        HttpVersion::Http2
    } else {
        HttpVersion::Http11
    };
    let mut x = Exchange::new(worker.snapshot(), Rc::clone(&worker.state));
    x.client = forwarded::client(&info, &worker.settings(), &headers, version);
    if question.is_tls {
        x.client.scheme = Scheme::Https;
        let told = forwarded::forwarded_scheme(x.client.is_trusted, &headers);
        x.client.forwarded_scheme = told.unwrap_or(Scheme::Https);
        x.client.sni = question.sni.map(Into::into);
    }
    let query = question.target.split_once('?').map(|(_, query)| query);
    x.request.query = query.map(|query| Text::copy_from(query.as_bytes()));
    x.request.method = Text::from(question.method);
    x.request.host = Text::from(question.host);
    x.request.target = Text::from(question.target);
    x.request.headers = headers;
    worker.touch(&mut x);
    x
}

fn considered(x: &Exchange, trace: &Trace) -> Vec<Value> {
    let lost = trace.before.iter().map(|each| {
        let mut told = named_route(x, each);
        told["lacks"] = each
            .unmet
            .iter()
            .map(|unmet| json!({"part": unmet.part, "detail": unmet.detail}))
            .collect();
        told
    });
    lost.collect()
}

fn named_route(x: &Exchange, considered: &Considered) -> Value {
    let model = &x.snapshot.routes[considered.route as usize].model;
    json!({
        "place": considered.place + 1,
        "id": model.id,
        "name": model.name,
        "paths": considered.starts,
    })
}

fn ordered_plugin(x: &Exchange, place: usize, link: Link) -> Value {
    let phases = [
        (Phase::Rewrite, "rewrite"),
        (Phase::Access, "access"),
        (Phase::Response, "response"),
        (Phase::HeaderFilter, "header_filter"),
        (Phase::BodyFilter, "body_filter"),
        (Phase::Log, "log"),
    ];
    let ordering = x.snapshot.plugins[link.plugin as usize].ordering.as_deref();
    let named = |places: Option<&[u16]>| -> Vec<&str> {
        let all = x.snapshot.plugins.iter();
        let is_meant = |name: &u16| places.is_some_and(|places| places.contains(name));
        let mut names: Vec<&str> = all
            .filter(|other| is_meant(&other.order))
            .map(|other| other.name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let mut told = plugin(x, place, link, &phases);
    told["before"] = named(ordering.map(|ordering| &*ordering.before)).into();
    told["after"] = named(ordering.map(|ordering| &*ordering.after)).into();
    told
}

fn plugin(x: &Exchange, place: usize, link: Link, phases: &[(Phase, &str)]) -> Value {
    let instance = &x.snapshot.plugins[link.plugin as usize];
    let acts = phases
        .iter()
        .filter(|(phase, _)| instance.phases.has(*phase));
    json!({
        "place": place + 1,
        "name": instance.name,
        "id": instance.id,
        "scope": chain::scope_of(link.rank),
        "phases": acts.map(|(_, name)| *name).collect::<Vec<_>>(),
        "condition": instance.condition.as_ref().map(|condition| condition.text()),
        "skipped": chain::unmet(x, instance),
    })
}

fn answered(error: &GatewayError, x: &Exchange) -> Value {
    let worded = error_page::word(error, x, None);
    let message = match &worded.answer.body {
        AnswerBody::Error(message) => Some(message.as_ref()),
        _ => None,
    };
    let mut told = json!({"status": worded.answer.status, "message": message});
    if grpc::is_call(x) {
        let own = worded.answer.headers.get_str("grpc-status");
        let code = own.and_then(|code| code.parse().ok());
        let status = || grpc::status(&worded.answer, worded.is_of_server).code;
        told["grpc_status"] = Value::from(code.unwrap_or_else(status));
    }
    told
}

/// The URI that goes upstream, and where to.
async fn upstream(worker: &Rc<Worker>, x: &mut Exchange) -> Value {
    let target = Target::of(worker, x).await;
    let Some(service) = x.service() else {
        return Value::Null;
    };
    let mut host_header = target.host_header.unwrap_or(text(&service.host_header));
    if let Some(kept) = &x.upstream.host_header {
        host_header = text(kept);
    }
    let query = x.request.query.as_ref().map(text);
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    let path = text(&x.upstream.path);
    let spoken = match &*service.model.protocol {
        protocol if service.is_grpc => protocol,
        _ => scheme(x.upstream.scheme),
    };
    let address = target::address(service);
    let problem = target.problem.map(GatewayError::NoDestination);
    json!({
        "uri": format!("{spoken}://{address}{path}{query}"),
        "host_header": host_header,
        "target": target.told,
        "problem": problem.map(|error| answered(&error, x)),
    })
}

fn text(text: &Text) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

const fn scheme(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}
