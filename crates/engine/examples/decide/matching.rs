//! Questions about routes and paths.
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};
use twinplane_engine::headers::Headers;
use twinplane_engine::path;
use twinplane_engine::router::{
    Calculation, End, Expression, Flavor, MatchInput, Protocol, Router, Rules, Subsystem,
};
use twinplane_model::Route;

use super::{bytes, text};

#[derive(Deserialize)]
pub(crate) struct Match {
    #[serde(default)]
    is_strict: bool,
    #[serde(default)]
    flavor: String,
    #[serde(default)]
    is_stream: bool,
    routes: Vec<Route>,
    requests: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    host: String,
    port: u16,
    path: String,
    #[serde(default)]
    query: String,
    protocol: String,
    sni: Option<String>,
    #[serde(default)]
    source: (Option<IpAddr>, Option<u16>),
    #[serde(default)]
    destination: Option<IpAddr>,
    headers: Vec<(String, String)>,
}

impl Match {
    pub(crate) fn answer(&self) -> Value {
        let rules = Rules {
            flavor: match self.flavor.as_str() {
                "expressions" => Flavor::Expressions,
                "traditional" => Flavor::Traditional,
                _ => Flavor::TraditionalCompatible,
            },
            calculation: if self.is_strict {
                Calculation::Strict
            } else {
                Calculation::Original
            },
            subsystem: if self.is_stream {
                Subsystem::Stream
            } else {
                Subsystem::Http
            },
        };
        match Router::build(&self.routes, rules) {
            Ok(router) => {
                let found = self.requests.iter().map(|request| request.ask(&router));
                Value::Array(found.collect())
            }
            Err(faults) => {
                let faults = faults
                    .iter()
                    .map(|fault| json!([fault.route, fault.message]));
                json!({"faults": faults.collect::<Vec<_>>()})
            }
        }
    }
}

impl Request {
    fn ask(&self, router: &Router) -> Value {
        let mut headers = Headers::new();
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        let found = router.find(&MatchInput {
            method: self.method.as_bytes(),
            host: self.host.as_bytes(),
            path: &bytes(&self.path),
            query: self.query.as_bytes(),
            protocol: match self.protocol.as_str() {
                "https" => Protocol::Https,
                "tcp" => Protocol::Tcp,
                "tls" => Protocol::Tls,
                "udp" => Protocol::Udp,
                _ => Protocol::Http,
            },
            sni: self.sni.as_ref().map(String::as_bytes),
            source: End {
                address: self.source.0,
                port: self.source.1,
            },
            destination: End {
                address: self.destination,
                port: Some(self.port),
            },
            headers: &headers,
        });
        found.map_or(Value::Null, |found| {
            json!({"route": found.route, "path_taken": found.path_taken, "by_host": found.by_host})
        })
    }
}

/// Whether a text is an expression.
#[derive(Deserialize)]
pub(crate) struct Read {
    text: String,
    is_stream: bool,
}

impl Read {
    pub(crate) fn answer(&self) -> Value {
        let subsystem = if self.is_stream {
            Subsystem::Stream
        } else {
            Subsystem::Http
        };
        match Expression::read(&self.text, subsystem) {
            Ok(_) => Value::Array(Vec::new()),
            Err(faults) => faults
                .iter()
                .map(|fault| json!([fault.at, fault.message]))
                .collect(),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Path {
    target: String,
    base: String,
    taken: Option<usize>,
    strips: bool,
}

impl Path {
    pub(crate) fn answer(&self) -> Value {
        let Ok(normal) = path::normalise(&bytes(&self.target)).map(std::borrow::Cow::into_owned)
        else {
            return Value::Null;
        };
        let taken = self.taken.map(|taken| taken.min(normal.len()));
        let joined = path::upstream_path(&bytes(&self.base), &normal, taken, self.strips);
        json!({"normal": text(&normal), "sent": text(&path::escape(&joined))})
    }
}
