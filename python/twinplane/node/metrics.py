"""The Prometheus text of a node: what the core counted, under Kong's names, and how the node's links fare. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Kong's names, described in our words.
_HELP = {
    "kong_http_requests_total": "Requests by service, route, status and who answered.",
    "kong_kong_latency_ms": "Time spent in the gateway.",
    "kong_upstream_latency_ms": "Time from sending a request upstream to the head of its answer.",
    "kong_request_latency_ms": "Time from the first byte of a request to the last byte of its answer.",
    "kong_bandwidth_bytes": "Bytes to and from clients.",
    "kong_stream_sessions_total": "Sessions of stream routes.",
    "kong_session_duration_ms": "Time from the beginning of a stream to its end.",
    "kong_nginx_connections_total": "Client connections by state.",
    "kong_nginx_requests_total": "Requests taken from clients.",
    "kong_nginx_metric_errors_total": "Metrics that could not be recorded.",
    "kong_datastore_reachable": "Whether the node has a configuration to serve; it has no database of its own.",
    "kong_node_info": "The node and the version it announces.",
    "kong_control_plane_connected": "Whether the link to the control plane is up.",
    "kong_data_plane_cluster_cert_expiry_timestamp": "When the node's certificate ends, in Unix seconds.",
    "kong_upstream_target_health": "State of each target of each upstream.",
    "twinplane_dns_queries_total": "Questions to name servers.",
    "twinplane_dns_failures_total": "Questions without an answer that helps.",
    "twinplane_dns_stale_total": "Look-ups served by an answer past its time.",
    "twinplane_dns_evicted_total": "Names forgotten to make room for others.",
    "twinplane_upstream_http2_connections": "HTTP/2 connections to upstreams that are open.",
    "twinplane_upstream_http2_streams": "Requests on them.",
    "twinplane_target_ejections_total": "How often health checks have put an address out.",
    "twinplane_target_rests_total": "How often an address was passed over for being slow.",
    "kong_memory_workers_lua_vms_bytes": "Memory of the node's process.",
    "twinplane_config_applied_total": "Configurations applied since the start.",
    "twinplane_config_refused_total": "Configurations refused since the start.",
    "twinplane_config_deltas_total": "Configurations applied as changes to the one before.",
    "twinplane_config_resyncs_total": "Times that a change did not fit and the whole configuration was asked for.",
    "twinplane_port_refused_total": "What the status port and the Admin API did not let in or understand, by reason.",
    "twinplane_link_failures_total": "Times that the link to the control plane failed.",
    "twinplane_certificate_renewals_total": "New certificates found in their files, by what became of them.",
    "twinplane_telemetry_backlog_records": "Request records that wait for the control plane.",
    "twinplane_telemetry_lost_records_total": "Request records dropped because too many waited.",
    "twinplane_telemetry_connected": "Whether the telemetry link is up.",
    "twinplane_log_entries_total": "Entries of log plugins by plugin and what became of them.",
    "twinplane_log_entries_waiting": "Entries of log plugins that wait for their sinks.",
    "twinplane_log_retries_total": "Batches of log plugins that were tried again.",
    "twinplane_access_log_lines_lost_total": "Lines of the access log dropped because too many waited.",
    "twinplane_log_lines_lost_total": "Lines of the node's log that could not be written, or found no room to wait.",
    "twinplane_access_log_bytes_lost_total": "Bytes of lines of the access log that could not be written.",
    "twinplane_port_access_log_lines_lost_total": "Lines of the access log of a port of the node's own, the same.",
    "twinplane_port_access_log_bytes_lost_total": "Bytes of such lines that could not be written.",
    "twinplane_log_entries_lost_total": "Entries of log plugins that the core had to drop.",
    "twinplane_proxy_cache_requests_total": "Requests by what proxy-cache did: Hit, Miss, Refresh or Bypass.",
    "twinplane_proxy_cache_entries": "Answers that proxy-cache keeps.",
    "twinplane_proxy_cache_bytes": "Bytes that they take.",
    "twinplane_proxy_cache_evicted_total": "Answers that had to go before their time for want of room.",
    "twinplane_proxy_cache_refused_total": "Answers that were too large to be kept.",
    "twinplane_response_bodies_unchanged_total": "JSON bodies that response-transformer passed on for their length.",
    "twinplane_rate_limit_windows_lost_total": "Windows of rate limits forgotten before their end for want of room.",
    "twinplane_counter_store_up": "Whether requests can be counted in a store that nodes share.",
    "twinplane_counter_store_failures_total": "Commands of a store that nodes share that failed, by store and reason.",
    "twinplane_counter_store_counts_lost_total": "Counts of `sync_rate` that a store may lack and is not told again, "
    "by store; a request counts once for each of its windows.",
    "twinplane_streams_refused_total": "Streams that found no room, as connections or as sessions of datagrams.",
    "twinplane_datagrams_lost_total": "Datagrams dropped because too many waited or their sessions found no room.",
    "twinplane_responses_ahead_bytes": "What was read of responses ahead of clients that are slow.",
    "twinplane_responses_ahead_refused_total": "Responses that found no room to be read ahead of their clients.",
    "twinplane_limits_broken_total": "Connections and streams ended for breaking a limit.",
    "twinplane_python_plugin_calls_total": "Calls of plugins in Python by plugin, phase and what came of them.",
    "twinplane_python_plugin_seconds": "Time that requests spent at plugins in Python, waiting included.",
    "twinplane_request_buffer_overruns_total": "Request bodies longer than what is held for plugins.",
    "twinplane_response_buffer_overruns_total": "Responses longer than plugins that want them whole allow.",
    "twinplane_python_plugin_calls_waiting": "Calls that wait for a thread of plugins in Python.",
    "twinplane_python_plugin_threads_busy": "Threads that are in a plugin in Python.",
    "twinplane_python_plugin_coroutines": "Coroutines of plugins that are under way.",
    "twinplane_python_plugin_calls_refused_total": "Calls that found no room in the queue of plugins in Python.",
    "twinplane_python_plugin_calls_interrupted_total": "Calls that ran over their time and were interrupted.",
    "twinplane_python_plugin_log_entries_lost_total": "Entries of the log phase dropped because too many waited.",
    "twinplane_python_plugin_task_failures_total": "Runs of periodic tasks of plugins that raised.",
    "twinplane_python_plugin_series_lost_total": "Values of metrics of plugins that had no room for a series.",
    "twinplane_python_plugin_cache_evictions_total": "Entries of a plugin's cache that made room before their time.",
    "twinplane_python_plugin_http_requests_total": "Requests that plugins made of their own, by what came of them.",
    "twinplane_python_plugin_log_failures_total": "Entries of the log phase that a plugin raised on.",
    "twinplane_invariant_broken_total": "Requests failed because of a fault of the gateway itself.",
}

_HEALTH_STATES = ("healthchecks_off", "healthy", "unhealthy", "dns_error")


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric. `kind` is counter or gauge."""

    name: str
    kind: str
    labels: Mapping[str, str]
    value: float


def exposition(core: Mapping[str, Any], samples: Sequence[Sample]) -> bytes:
    """The text for a scraper: the core's series (`prometheus` of its metrics), then `samples`."""
    families: dict[str, tuple[str, list[str]]] = {}
    for series in core.get("prometheus", ()):
        name = str(series["name"])
        is_histogram = "buckets" in series
        kind, lines = families.setdefault(name, ("histogram" if is_histogram else _kind(name), []))
        lines.extend(_histogram(name, series) if is_histogram else [_line(name, series["labels"], series["value"])])
    for sample in samples:
        kind, lines = families.setdefault(sample.name, (sample.kind, []))
        lines.append(_line(sample.name, sample.labels, sample.value))
    text: list[str] = []
    for name in sorted(families):
        kind, lines = families[name]
        if name in _HELP:
            text.append(f"# HELP {name} {_HELP[name]}")
        text.append(f"# TYPE {name} {kind}")
        text.extend(lines)
    return ("\n".join(text) + "\n").encode()


_PLUGIN_COUNTS = {
    "waiting": "twinplane_python_plugin_calls_waiting",
    "busy": "twinplane_python_plugin_threads_busy",
    "coroutines": "twinplane_python_plugin_coroutines",
    "refused": "twinplane_python_plugin_calls_refused_total",
    "interrupted": "twinplane_python_plugin_calls_interrupted_total",
    "log_entries_lost": "twinplane_python_plugin_log_entries_lost_total",
    "task_failures": "twinplane_python_plugin_task_failures_total",
    "log_failures": "twinplane_python_plugin_log_failures_total",
}


def plugin_samples(counts: Mapping[str, int]) -> Iterator[Sample]:
    """What there is to do for plugins in Python, and what became of the rest."""
    for key, name in _PLUGIN_COUNTS.items():
        if key in counts:
            yield Sample(name, _kind(name), {}, counts[key])


def dns_samples(counts: Mapping[str, int]) -> Iterator[Sample]:
    """What the resolver did since the start."""
    for name in ("absent", "failed", "timed_out"):
        if name in counts:
            yield Sample("twinplane_dns_failures_total", "counter", {"reason": name}, counts[name])
    for name in ("queries", "stale", "evicted"):
        if name in counts:
            yield Sample(f"twinplane_dns_{name}_total", "counter", {}, counts[name])


def counter_store_samples(stores: Sequence[Mapping[str, Any]]) -> Iterator[Sample]:
    """Which stores that nodes share can be counted in; one that plugins reach in several ways is up if all are."""
    up: dict[str, bool] = {}
    for store in stores:
        name = str(store["store"])
        up[name] = up.get(name, True) and not store["is_in_trouble"]
    for name, is_up in up.items():
        yield Sample("twinplane_counter_store_up", "gauge", {"store": name}, float(is_up))


def http2_samples(counts: Mapping[str, int]) -> Iterator[Sample]:
    """What is open towards upstreams that are spoken to in HTTP/2."""
    for name in ("connections", "streams"):
        yield Sample(f"twinplane_upstream_http2_{name}", "gauge", {}, counts.get(name, 0))


def ahead_samples(counts: Mapping[str, int]) -> Iterator[Sample]:
    """What is held of responses whose clients are slow."""
    yield Sample("twinplane_responses_ahead_bytes", "gauge", {}, counts.get("bytes", 0))
    yield Sample("twinplane_responses_ahead_refused_total", "counter", {}, counts.get("refused", 0))


def stream_samples(node_id: str, counts: Mapping[str, int]) -> Iterator[Sample]:
    """What became of streams; the states are those of connections for requests."""
    labels = {"node_id": node_id, "subsystem": "stream"}
    accepted, active = counts.get("accepted", 0), counts.get("active", 0)
    states = {"accepted": accepted, "active": active, "handled": accepted, "total": counts.get("total", 0)}
    for state, value in {**states, "reading": 0, "waiting": 0, "writing": active}.items():
        yield Sample("kong_nginx_connections_total", "gauge", {**labels, "state": state}, value)
    yield Sample("kong_nginx_requests_total", "gauge", labels, counts.get("total", 0))
    yield Sample("twinplane_streams_refused_total", "counter", {}, counts.get("refused", 0))
    yield Sample("twinplane_datagrams_lost_total", "counter", {}, counts.get("datagrams_lost", 0))


def health_samples(core: Mapping[str, Any]) -> Iterator[Sample]:
    """One sample for each target and state, where a plugin asks for them: 1 for the state it is in, else 0."""
    states = _HEALTH_STATES if core.get("shows_target_health") else ()
    for row in core.get("upstream_health", ()):
        for state in states:
            labels = {
                "upstream": str(row.get("upstream", "")),
                "target": str(row.get("target", "")),
                "address": str(row.get("address", "")),
                "state": state,
                "subsystem": "http",
            }
            is_state = str(row.get("health", "")).lower() == state
            yield Sample("kong_upstream_target_health", "gauge", labels, float(is_state))
        own = {name: str(row.get(name, "")) for name in ("upstream", "target", "address")}
        for name in ("ejections_total", "rests_total"):
            # Most targets have done well all along.
            if count := row.get(name):
                yield Sample(f"twinplane_target_{name}", "counter", own, float(count))


def _kind(name: str) -> str:
    return "counter" if name.endswith(("_total", "_bytes")) else "gauge"


def _histogram(name: str, series: Mapping[str, Any]) -> Iterator[str]:
    labels = series["labels"]
    for bound, count in series["buckets"]:
        yield _line(f"{name}_bucket", {**labels, "le": _number(bound)}, count)
    yield _line(f"{name}_bucket", {**labels, "le": "+Inf"}, series["count"])
    yield _line(f"{name}_count", labels, series["count"])
    yield _line(f"{name}_sum", labels, series["sum"])


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    if not labels:
        return f"{name} {_number(value)}"
    pairs = ",".join(f'{label}="{_escaped(str(text))}"' for label, text in labels.items())
    return f"{name}{{{pairs}}} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))
