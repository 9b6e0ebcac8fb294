//! prometheus: counts requests and streams, their latencies and their bytes for the scrape of the status API. What matched
//! no route is not counted.
use std::sync::Arc;

use serde_json::value::RawValue;
use twinplane_engine::exchange::{Exchange, Source};
use twinplane_engine::filter::{Filter, LogSink, Phases};
use twinplane_engine::plugin::{BuildContext, BuildError};

use super::config::Config;

const WORKSPACE: &str = "default";
const KONG_MS: &[f64] = &[
    1.0, 2.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 100.0, 200.0, 500.0, 750.0, 1_000.0,
    3_000.0, 6_000.0,
];
const UPSTREAM_MS: &[f64] = &[
    25.0, 50.0, 80.0, 100.0, 250.0, 400.0, 700.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 30_000.0,
    60_000.0,
];

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the schema"
)]
struct Prometheus {
    is_per_consumer: bool,
    counts_status: bool,
    observes_latency: bool,
    counts_bytes: bool,
    shows_target_health: bool,
}

/// Builds the filter.
pub(crate) fn build(
    config: &RawValue,
    _: &BuildContext<'_>,
) -> Result<Arc<dyn Filter>, BuildError> {
    let config: Config = serde_json::from_str(config.get())?;
    let is_on = |switch: Option<bool>| switch.unwrap_or(false);
    Ok(Arc::new(Prometheus {
        is_per_consumer: is_on(config.per_consumer),
        counts_status: is_on(config.status_code_metrics),
        observes_latency: is_on(config.latency_metrics),
        counts_bytes: is_on(config.bandwidth_metrics),
        shows_target_health: is_on(config.upstream_health_metrics),
    }))
}

impl Filter for Prometheus {
    fn phases(&self) -> Phases {
        if self.counts_status || self.observes_latency || self.counts_bytes {
            Phases::LOG
        } else {
            Phases::NONE
        }
    }

    fn shows_target_health(&self) -> bool {
        self.shows_target_health
    }

    fn log(&self, x: &Exchange, sink: &mut dyn LogSink) {
        let Some(route) = x.route() else {
            return;
        };
        let route = route.model.name.as_deref().unwrap_or(&route.model.id);
        let service = x.service().map(|service| &service.model);
        let service = service.map_or("", |service| {
            service.name.as_deref().unwrap_or(&service.host)
        });
        let consumer = x.consumer.as_ref().filter(|_| self.is_per_consumer);
        let consumer = consumer
            .and_then(|consumer| consumer.model.username.as_deref())
            .unwrap_or("");
        if self.counts_status && x.stream.is_some() {
            let mut code = itoa::Buffer::new();
            let source = if x.response.source == Source::Upstream {
                "service"
            } else {
                "kong"
            };
            let labels = [
                ("service", service),
                ("route", route),
                ("code", code.format(x.response.status)),
                ("source", source),
                ("workspace", WORKSPACE),
            ];
            sink.count("kong_stream_sessions_total", &labels, 1);
        } else if self.counts_status {
            let mut code = itoa::Buffer::new();
            let source = if x.response.source == Source::Upstream {
                "service"
            } else {
                "kong"
            };
            let labels = [
                ("service", service),
                ("route", route),
                ("code", code.format(x.response.status)),
                ("source", source),
                ("workspace", WORKSPACE),
                ("consumer", consumer),
            ];
            sink.count("kong_http_requests_total", &labels, 1);
        }
        if self.counts_bytes {
            for (direction, bytes) in [("egress", x.response.bytes), ("ingress", x.request.bytes)] {
                let labels = [
                    ("service", service),
                    ("route", route),
                    ("direction", direction),
                    ("workspace", WORKSPACE),
                    ("consumer", consumer),
                ];
                sink.count("kong_bandwidth_bytes", &labels, bytes);
            }
        }
        if self.observes_latency {
            let labels = [
                ("service", service),
                ("route", route),
                ("workspace", WORKSPACE),
            ];
            let total = x.times.total_us();
            if x.stream.is_some() {
                let kong = x.times.proxy_us();
                sink.observe("kong_kong_latency_ms", &labels, ms(kong), KONG_MS);
                sink.observe("kong_session_duration_ms", &labels, ms(total), UPSTREAM_MS);
                return;
            }
            let upstream = x.times.waiting_us();
            let kong = total.saturating_sub(upstream.unwrap_or(0));
            sink.observe("kong_kong_latency_ms", &labels, ms(kong), KONG_MS);
            sink.observe("kong_request_latency_ms", &labels, ms(total), UPSTREAM_MS);
            if let Some(upstream) = upstream {
                sink.observe(
                    "kong_upstream_latency_ms",
                    &labels,
                    ms(upstream),
                    UPSTREAM_MS,
                );
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "latencies are far below 2^52 microseconds"
)]
fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}
