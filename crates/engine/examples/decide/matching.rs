//! Questions about routes and paths.
use serde::Deserialize;
use serde_json::{Value, json};
use twinplane_engine::headers::Headers;
use twinplane_engine::path;
use twinplane_engine::router::{Calculation, MatchInput, Router};
use twinplane_model::Route;

use super::{bytes, text};

#[derive(Deserialize)]
pub(crate) struct Match {
    is_strict: bool,
    routes: Vec<Route>,
    requests: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    host: String,
    port: u16,
    path: String,
    is_tls: bool,
    sni: Option<String>,
    headers: Vec<(String, String)>,
}

impl Match {
    pub(crate) fn answer(&self) -> Value {
        let calculation = if self.is_strict {
            Calculation::Strict
        } else {
            Calculation::Original
        };
        match Router::build(&self.routes, calculation) {
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
            listener_port: self.port,
            path: &bytes(&self.path),
            sni: self.sni.as_ref().map(String::as_bytes),
            is_tls: self.is_tls,
            headers: &headers,
        });
        found.map_or(Value::Null, |found| {
            json!({"route": found.route, "path_taken": found.path_taken, "by_host": found.by_host})
        })
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
