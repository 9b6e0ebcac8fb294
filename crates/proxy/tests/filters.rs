//! Filters at work in a real core: what they wait for is performed, and one that breaks costs its request alone.
mod gateway;

use std::sync::Arc;

use bytes::Bytes;
use gateway::{Gateway, Upstream, config, ok, reply};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use twinplane_engine::answer::Answer;
use twinplane_engine::exchange::{BodyChunk, Exchange};
use twinplane_engine::filter::{Effect, Filter, Flow, LogSink, Outcome, Phase, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError, PluginSpec};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const EVERY: Phases = Phases::REWRITE
    .and(Phases::ACCESS)
    .and(Phases::HEADER_FILTER)
    .and(Phases::BODY_FILTER)
    .and(Phases::LOG);

/// Does what its config says: `{"panic": phase}`, `{"wait": ...}`, `{"upper": true}`.
struct Puppet {
    config: Value,
}

impl Puppet {
    fn act(&self, phase: &str) {
        assert!(self.config["panic"] != phase, "asked to");
    }
}

impl Filter for Puppet {
    fn phases(&self) -> Phases {
        EVERY
    }

    fn rewrite(&self, _x: &mut Exchange) -> Flow {
        self.act("rewrite");
        Flow::Continue
    }

    fn access(&self, _x: &mut Exchange) -> Flow {
        self.act("access");
        match &self.config["wait"] {
            Value::Number(bytes) => Flow::Wait(Effect::RequestBody {
                bytes_max: usize::try_from(bytes.as_u64().unwrap_or(0)).unwrap_or(0),
            }),
            Value::String(_) => Flow::Wait(Effect::Timer { ms: 20 }),
            _ => Flow::Continue,
        }
    }

    fn resume(&self, _phase: Phase, x: &mut Exchange, outcome: Outcome) -> Flow {
        match outcome {
            Outcome::RequestBodyTooLarge => Flow::Answer(Answer::error(413, "too much")),
            Outcome::RequestBody => {
                let body = x.request.buffered.clone().unwrap_or_default();
                x.request
                    .headers
                    .set("X-Body", String::from_utf8_lossy(&body).into_owned());
                Flow::Continue
            }
            Outcome::Timer
            | Outcome::Visited(_)
            | Outcome::ResponseBody
            | Outcome::Counted(_)
            | Outcome::ResponseBodyTooLarge => Flow::Continue,
        }
    }

    fn header_filter(&self, x: &mut Exchange) {
        self.act("header_filter");
        x.response.headers.set("X-Filtered", "yes");
        x.response.is_body_changed = self.config["upper"] == true;
    }

    fn body_filter(&self, _x: &mut Exchange, chunk: &mut BodyChunk) {
        self.act("body_filter");
        if self.config["upper"] == true {
            chunk.data = Bytes::from(chunk.data.to_ascii_uppercase());
        }
    }

    fn log(&self, _x: &Exchange, _sink: &mut dyn LogSink) {
        self.act("log");
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the form of every builder")]
fn puppet(config: &RawValue, _context: &BuildContext<'_>) -> Result<Arc<dyn Filter>, BuildError> {
    Ok(Arc::new(Puppet {
        config: serde_json::from_str(config.get()).expect("json"),
    }))
}

static PLUGINS: [PluginSpec; 1] = [PluginSpec {
    name: "puppet",
    priority: 1,
    version: "1",
    observes_only: false,
    build: Some(puppet),
}];

fn gateway(upstream: &Upstream, puppet: &Value) -> Gateway {
    let mut all = config(upstream.address.port(), json!({}), json!({}));
    all["plugins"] = json!([{"id": "p", "name": "puppet", "config": puppet, "protocols": ["http"], "enabled": true}]);
    Gateway::start(json!({}), &all, &PLUGINS)
}

#[test]
fn a_filter_that_panics_costs_its_request_alone() {
    let upstream = Upstream::start();
    for (phase, status) in [
        ("rewrite", 500),
        ("access", 500),
        ("header_filter", 500),
        ("log", 200),
    ] {
        let gateway = gateway(&upstream, &json!({"panic": phase}));
        let mut client = gateway.connect();
        for count in 1..=2 {
            client.send(GET);
            let response = client.response();
            assert_eq!(response.status(), status, "{phase}");
            assert_eq!(gateway.records().len(), 1, "{phase}");
            assert!(gateway.server.status().invariant_broken >= count, "{phase}");
        }
    }
}

#[test]
fn a_body_filter_that_panics_cuts_the_response() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, &json!({"panic": "body_filter"}));
    assert!(gateway.ask(GET).is_cut);
    assert_eq!(gateway.records().len(), 1);
}

#[test]
fn a_filter_that_waits_for_the_body_gets_it_and_it_still_goes_upstream() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, &json!({"wait": 8}));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    std::thread::sleep(std::time::Duration::from_millis(30));
    client.send("2\r\nde\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    let request = upstream.request();
    assert!(
        request.contains("X-Body: abcde\r\n") && request.ends_with("\r\n\r\nabcde"),
        "{request}"
    );
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789");
    assert_eq!(client.response().status(), 413);
    client.send(GET);
    assert_eq!(client.response().status(), 200);
}

#[test]
fn a_filter_may_take_its_time() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, &json!({"wait": "timer"}));
    assert_eq!(gateway.ask(GET).text(), "ok");
}

#[test]
fn a_changed_body_is_framed_anew() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream, &json!({"upper": true}));
    upstream.next(ok());
    let response = gateway.ask(GET);
    assert_eq!(
        (
            response.text().as_str(),
            response.header("transfer-encoding")
        ),
        ("OK", Some("chunked"))
    );
    assert_eq!(response.header("x-filtered"), Some("yes"));
    upstream.next(reply(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
    ));
    assert_eq!(gateway.ask(GET).text(), "AB");
    upstream.next(reply("HTTP/1.1 204 No Content\r\n\r\n"));
    assert_eq!(gateway.ask(GET).status(), 204);
}

#[test]
fn a_plugin_that_is_not_available_guards_its_route() {
    static DECLARED: [PluginSpec; 1] = [PluginSpec {
        name: "puppet",
        priority: 1,
        version: "1",
        observes_only: false,
        build: None,
    }];
    let upstream = Upstream::start();
    let mut all = config(upstream.address.port(), json!({}), json!({}));
    all["plugins"] = json!([{"id": "p", "name": "puppet", "config": {}, "protocols": ["http"], "enabled": true}]);
    let gateway = Gateway::start(json!({}), &all, &DECLARED);
    assert_eq!(gateway.ask(GET).status(), 503);
    assert!(upstream.is_quiet());
}
