//! All bundled plugins in the order in which they run: name, priority, version, and how to build those that
//! have behaviour here. A plugin without one is known, validated and stored, and guards its routes with 503.
//!
//! Generated from `python/twinplane/plugins/*/schema.py` by `make generate`; do not edit.
use twinplane_engine::plugin::{BuildFilter, PluginSpec};

use crate::{
    acl, basic_auth, bot_detection, correlation_id, cors, file_log, guest, hmac_auth, http_log,
    ip_restriction, jwt, key_auth, lua, prometheus, proxy_cache, rate_limiting, redirect,
    request_size_limiting, request_termination, request_transformer, response_ratelimiting,
    response_transformer, syslog, tcp_log, udp_log,
};

const fn plugin(
    name: &'static str,
    priority: i32,
    version: &'static str,
    build: Option<BuildFilter>,
) -> PluginSpec {
    PluginSpec {
        name,
        priority,
        version,
        observes_only: false,
        build,
    }
}

/// A plugin that neither refuses nor changes anything.
const fn observer(
    name: &'static str,
    priority: i32,
    version: &'static str,
    build: Option<BuildFilter>,
) -> PluginSpec {
    PluginSpec {
        name,
        priority,
        version,
        observes_only: true,
        build,
    }
}

/// All of them.
pub(crate) const TABLE: [PluginSpec; 45] = [
    plugin(
        "pre-function",
        1_000_000,
        "3.9.3",
        Some(lua::refuse_functions),
    ),
    plugin(
        "correlation-id",
        100_001,
        "3.9.3",
        Some(correlation_id::filter::build),
    ),
    observer("zipkin", 100_000, "3.9.3", None),
    plugin(
        "bot-detection",
        2_500,
        "3.9.3",
        Some(bot_detection::filter::build),
    ),
    plugin("cors", 2_000, "3.9.3", Some(cors::filter::build)),
    plugin("session", 1_900, "3.9.3", None),
    plugin("acme", 1_705, "3.9.3", None),
    plugin("jwt", 1_450, "3.9.3", Some(jwt::filter::build)),
    plugin("oauth2", 1_400, "3.9.3", None),
    plugin("key-auth", 1_250, "3.9.3", Some(key_auth::filter::build)),
    plugin("ldap-auth", 1_200, "3.9.3", None),
    plugin(
        "basic-auth",
        1_100,
        "3.9.3",
        Some(basic_auth::filter::build),
    ),
    plugin("hmac-auth", 1_030, "3.9.3", Some(hmac_auth::filter::build)),
    plugin("grpc-gateway", 998, "3.9.3", None),
    plugin(
        "ip-restriction",
        990,
        "3.9.3",
        Some(ip_restriction::filter::build),
    ),
    plugin(
        "request-size-limiting",
        951,
        "3.9.3",
        Some(request_size_limiting::filter::build),
    ),
    plugin("acl", 950, "3.9.3", Some(acl::filter::build)),
    plugin(
        "rate-limiting",
        910,
        "3.9.3",
        Some(rate_limiting::filter::build),
    ),
    plugin(
        "response-ratelimiting",
        900,
        "3.9.3",
        Some(response_ratelimiting::filter::build),
    ),
    plugin(
        "request-transformer",
        801,
        "3.9.3",
        Some(request_transformer::filter::build),
    ),
    plugin(
        "response-transformer",
        800,
        "3.9.3",
        Some(response_transformer::filter::build),
    ),
    plugin("redirect", 779, "3.9.3", Some(redirect::filter::build)),
    plugin("ai-request-transformer", 777, "3.9.3", None),
    plugin("ai-prompt-template", 773, "3.9.3", None),
    plugin("ai-prompt-decorator", 772, "3.9.3", None),
    plugin("ai-prompt-guard", 771, "3.9.3", None),
    plugin("ai-proxy", 770, "3.9.3", None),
    plugin("ai-response-transformer", 768, "3.9.3", None),
    plugin("standard-webhooks", 760, "3.9.3", Some(guest::build)),
    plugin("aws-lambda", 750, "3.9.3", None),
    plugin("azure-functions", 749, "3.9.3", None),
    plugin(
        "proxy-cache",
        100,
        "3.9.3",
        Some(proxy_cache::filter::build),
    ),
    observer("opentelemetry", 14, "3.9.3", None),
    observer("prometheus", 13, "3.9.3", Some(prometheus::filter::build)),
    observer("http-log", 12, "3.9.3", Some(http_log::filter::build)),
    observer("statsd", 11, "3.9.3", None),
    observer("datadog", 10, "3.9.3", None),
    observer("file-log", 9, "3.9.3", Some(file_log::filter::build)),
    observer("udp-log", 8, "3.9.3", Some(udp_log::filter::build)),
    observer("tcp-log", 7, "3.9.3", Some(tcp_log::filter::build)),
    observer("loggly", 6, "3.9.3", None),
    observer("syslog", 4, "3.9.3", Some(syslog::filter::build)),
    plugin("grpc-web", 3, "3.9.3", None),
    plugin(
        "request-termination",
        2,
        "3.9.3",
        Some(request_termination::filter::build),
    ),
    plugin(
        "post-function",
        -1_000,
        "3.9.3",
        Some(lua::refuse_functions),
    ),
];
