//! Which headers the gateway adds of its own, by the tokens that name them.

/// Which headers the gateway adds of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the settings"
)]
pub struct HeaderSwitches {
    /// `Server` on responses made by the gateway.
    pub server: bool,
    /// `Via` on proxied responses.
    pub via: bool,
    /// `X-Kong-Proxy-Latency`
    pub proxy_latency: bool,
    /// `X-Kong-Upstream-Latency`
    pub upstream_latency: bool,
    /// `X-Kong-Response-Latency`
    pub response_latency: bool,
    /// `X-Kong-Upstream-Status`
    pub upstream_status: bool,
    /// `X-Kong-Request-Id` on responses.
    pub request_id: bool,
    /// `X-Kong-Request-Id` towards upstreams.
    pub upstream_request_id: bool,
}

/// The switches that these tokens turn on.
pub(super) fn header_switches(
    headers: &[String],
    upstream: &[String],
    faults: &mut Vec<String>,
) -> HeaderSwitches {
    let mut on = HeaderSwitches::default();
    for token in headers {
        match token.to_ascii_lowercase().as_str() {
            "off" | "x-kong-admin-latency" => {}
            "server_tokens" => (on.server, on.via) = (true, true),
            "latency_tokens" => {
                (on.proxy_latency, on.upstream_latency, on.response_latency) = (true, true, true);
            }
            "server" => on.server = true,
            "via" => on.via = true,
            "x-kong-proxy-latency" => on.proxy_latency = true,
            "x-kong-upstream-latency" => on.upstream_latency = true,
            "x-kong-response-latency" => on.response_latency = true,
            "x-kong-upstream-status" => on.upstream_status = true,
            "x-kong-request-id" => on.request_id = true,
            other => faults.push(format!("headers: unknown token {other}")),
        }
    }
    for token in upstream {
        match token.to_ascii_lowercase().as_str() {
            "off" => {}
            "x-kong-request-id" => on.upstream_request_id = true,
            other => faults.push(format!("headers_upstream: unknown token {other}")),
        }
    }
    on
}
