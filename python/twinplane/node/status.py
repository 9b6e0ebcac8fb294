"""The status port of a node: is it alive, is it ready, what did it count. For operators and orchestrators.

Loss of the control plane never makes a node unready: only a missing configuration or an asked-for drain does.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from twinplane.hybrid.client import LinkFacts
from twinplane.hybrid.hashing import EMPTY_HASH
from twinplane.hybrid.wire import Issue
from twinplane.node.explain import BadQuestionError, core_question
from twinplane.node.http import HttpAnswer, json_answer
from twinplane.node.http_request import HttpRequest
from twinplane.node.logs import LogFacts
from twinplane.node.metrics import (
    CONTENT_TYPE,
    Sample,
    ahead_samples,
    counter_store_samples,
    dns_samples,
    exposition,
    health_samples,
    http2_samples,
    plugin_samples,
    stream_samples,
)
from twinplane.node.probing import ProbeFacts
from twinplane.node.renewal import RenewalFacts
from twinplane.node.target_health import TargetHealth
from twinplane.node.telemetry import TelemetryFacts

_UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_CACHE = (
    ("entries", "gauge", "entries"),
    ("bytes", "gauge", "bytes"),
    ("evicted_total", "counter", "evicted"),
    ("refused_total", "counter", "refused"),
)
_ALL_NAMES = "*:*"
_NOT_FOUND = json_answer(404, {"message": "Not found"})
_UPSTREAM = re.compile(r"/upstreams/([^/]+)/(?:(health|targets|targets/all)|targets/([^/]+))/?")
_TARGET = re.compile(r"/upstreams/([^/]+)/targets/([^/]+)(?:/([^/]+))?/(healthy|unhealthy)")


class CoreStatus(Protocol):
    """What the core tells of itself."""

    connections_active: int
    requests_total: int
    snapshot_ready: bool
    workers: int


class StatusCore(Protocol):
    """The part of the core that this room reads."""

    def drain(self, kind: Any) -> bytes:
        """The metrics, as JSON; the health of targets."""

    def judge(self, judgements: bytes) -> int:
        """Take into account what people want of targets."""

    def explain(self, question: bytes) -> bytes:
        """What would become of a request."""

    def status(self) -> Any:
        """A `CoreStatus`."""


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """Where the answers come from. What a node does not have is None."""

    node_id: str
    version: str
    core: StatusCore
    config_hash: Callable[[], str]
    counts: Callable[[], Mapping[str, int]]
    """`applied` and `refused` configurations since the start, how many were `deltas`, and `resyncs`."""
    link: LinkFacts | None = None
    telemetry: TelemetryFacts | None = None
    logs: Callable[[], LogFacts] | None = None
    certificate_expires_at: Callable[[], float | None] = lambda: None
    renewals: Callable[[], Mapping[str, RenewalFacts]] = dict
    """What became of new certificates, by name."""
    audit: Callable[[], Mapping[str, int]] = dict
    """Audit events: how many were `sent`, were `dropped`, are `waiting`; empty where none are sent."""
    conditions: Callable[[], Sequence[Issue]] = tuple
    """What is not as it should be while the node serves."""
    explains: bool = False
    """Whether the port tells what would become of requests."""
    license_expires_at: Callable[[], float | None] = lambda: None
    plugin_series: Callable[[], Sequence[Mapping[str, Any]]] = list
    """What plugins in Python measure, in the form of the core's own series."""
    plugins: Callable[[], Mapping[str, int]] = dict
    """How calls of plugins in Python fare; empty where there are none."""
    probes: ProbeFacts | None = None
    counts_names: bool = False
    """Whether the settings ask for the newer client of name servers, whose counters Kong shows."""
    access: Callable[[], Iterable[Sample]] = tuple
    """What access logs have lost."""
    log_lines_lost: Callable[[], int] = lambda: 0
    """Lines of the log that could not be written."""
    refused: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """What the ports of the node's own have not let in or not understood, by port and reason."""
    takes_target_health: bool = False
    """Whether targets may be put in and out through this port."""


class StatusApi:
    """Answers the requests of the status port; give `handle` to an `HttpServer`."""

    def __init__(self, facts: StatusFacts) -> None:
        self._facts = facts
        self.is_draining = False
        self.is_stopping = False
        """Whether the node is about to end."""

    async def handle(self, request: HttpRequest) -> HttpAnswer:
        """The answer to a request."""
        path = request.path.rstrip("/") or "/"
        if path == "/status/ready" and request.method == "POST":
            return self._drain(request)
        known = {
            "/status": self._status,
            "/status/ready": self._ready,
            "/metrics": lambda _request: self.metrics(),
            "/status/dns": self._dns,
        }
        if path == "/explain" and request.method == "POST":
            return await asyncio.to_thread(self._explain, request)
        answer = known.get(path)
        upstream = _UPSTREAM.fullmatch(path)
        if request.method in {"PUT", "POST"} and (target := _TARGET.fullmatch(path)):
            return await asyncio.to_thread(self._set_health, *target.groups())
        if answer is None and upstream is None:
            return _NOT_FOUND
        if request.method not in {"GET", "HEAD"}:
            return json_answer(405, {"message": "Method not allowed"})
        if upstream is not None:
            return await asyncio.to_thread(self._health, *upstream.groups())
        assert answer is not None
        return await asyncio.to_thread(answer, request)

    def readiness(self) -> str | None:
        """Why the node is not ready, None where it is."""
        if self.is_draining:
            return "draining"
        if self._facts.config_hash() == EMPTY_HASH:
            return "no configuration available (empty configuration present)"
        status: CoreStatus = self._facts.core.status()
        if not status.snapshot_ready:
            return f"router builds not yet complete, router ready in 0 of {status.workers} workers"
        return None

    def _drain(self, request: HttpRequest) -> HttpAnswer:
        if _asked_status(request) != "draining":
            return json_answer(400, {"message": "status must be 'draining'"})
        self.is_draining = True
        return HttpAnswer(204)

    def _ready(self, _request: HttpRequest) -> HttpAnswer:
        reason = self.readiness()
        return json_answer(200 if reason is None else 503, {"message": reason or "ready"})

    def _status(self, request: HttpRequest) -> HttpAnswer:
        code, body = self.figures(request.query.get("unit", "m"), request.query.get("scale", "2"))
        if code == 200:
            conditions = [{"code": one.code, "message": one.message} for one in self._facts.conditions()]
            body = {**body, "conditions": conditions}
        return json_answer(code, body)

    def figures(self, unit: str, scale: str) -> tuple[int, Mapping[str, Any]]:
        """What is told of connections, memory and configuration, with the status code to tell it by."""
        unit = unit.lower()
        if unit not in _UNITS:
            return 400, {"message": f"invalid unit '{unit}' (expected 'k/K', 'm/M', or 'g/G')"}
        if not scale.isascii() or not scale.isdigit() or int(scale) > 10:
            return 400, {"message": "scale must be a whole number from 0 to 10"}
        connections = self._core_metrics()["connections"]
        status: CoreStatus = self._facts.core.status()
        idle = connections.get("idle", 0)
        return 200, {
            "configuration_hash": self._facts.config_hash(),
            "memory": {
                "workers_lua_vms": [{"pid": os.getpid(), "http_allocated_gc": _amount(unit, int(scale))}],
                "lua_shared_dicts": {},
            },
            "server": {
                "connections_accepted": connections.get("accepted", 0) + connections.get("refused", 0),
                "connections_active": status.connections_active,
                "connections_handled": connections.get("accepted", 0),
                "connections_reading": 0,
                "connections_waiting": idle,
                "connections_writing": max(status.connections_active - idle, 0),
                "total_requests": status.requests_total,
            },
        }

    def metrics(self) -> HttpAnswer:
        """What Prometheus reads."""
        core = self._core_metrics()
        plugins = plugin_samples(self._facts.plugins())
        samples = [
            *self._core_samples(core),
            *self._link_samples(),
            *plugins,
            *health_samples(core),
            *http2_samples(core.get("upstream_http2", {})),
            *ahead_samples(core.get("responses_ahead", {})),
            *dns_samples(core.get("dns", {})),
            *counter_store_samples(core.get("counter_stores", ())),
            *stream_samples(self._facts.node_id, core.get("streams", {})),
        ]
        series = [*core.get("prometheus", ()), *self._facts.plugin_series()]
        return HttpAnswer(200, exposition({**core, "prometheus": series}, samples), CONTENT_TYPE)

    def _core_samples(self, core: Mapping[str, Any]) -> list[Sample]:
        facts, connections = self._facts, core["connections"]
        node = {"node_id": facts.node_id}
        active, idle = connections.get("active", 0), connections.get("idle", 0)
        states = {
            # Kong counts those that it closes at its limit among the first alone.
            "accepted": connections.get("accepted", 0) + connections.get("refused", 0),
            "active": active,
            "handled": connections.get("accepted", 0),
            "reading": 0,
            "total": core["requests_total"],
            "waiting": idle,
            "writing": max(active - idle, 0),
        }
        http = {**node, "subsystem": "http"}
        lost, cache = core.get("lost", {}), core.get("cache", {})
        counts = facts.counts()
        is_configured = float(facts.config_hash() != EMPTY_HASH)
        memory = {**node, "pid": str(os.getpid()), "kong_subsystem": "http"}
        return [
            *(
                Sample("kong_nginx_connections_total", "gauge", {**http, "state": state}, value)
                for state, value in states.items()
            ),
            Sample("kong_nginx_requests_total", "gauge", http, core["requests_total"]),
            Sample("kong_nginx_metric_errors_total", "counter", {}, lost.get("metrics", 0)),
            Sample("kong_datastore_reachable", "gauge", {}, is_configured),
            Sample("kong_node_info", "gauge", {**node, "version": facts.version}, 1),
            Sample("kong_memory_workers_lua_vms_bytes", "gauge", memory, _resident_bytes()),
            Sample("twinplane_config_applied_total", "counter", {}, counts.get("applied", 0)),
            *(Sample("twinplane_condition", "gauge", {"code": one.code}, 1) for one in facts.conditions()),
            *(
                Sample("twinplane_port_refused_total", "counter", {"port": port, "reason": reason}, count)
                for port, reasons in facts.refused.items()
                for reason, count in sorted(reasons.items())
            ),
            Sample("twinplane_config_refused_total", "counter", {}, counts.get("refused", 0)),
            Sample("twinplane_config_deltas_total", "counter", {}, counts.get("deltas", 0)),
            Sample("twinplane_config_resyncs_total", "counter", {}, counts.get("resyncs", 0)),
            Sample("twinplane_log_entries_lost_total", "counter", {}, lost.get("logs", 0)),
            Sample("twinplane_access_log_lines_lost_total", "counter", {}, lost.get("access", 0)),
            Sample("twinplane_rate_limit_windows_lost_total", "counter", {}, lost.get("limits", 0)),
            *(Sample(f"twinplane_proxy_cache_{name}", kind, {}, cache.get(key, 0)) for name, kind, key in _CACHE),
            Sample("twinplane_limits_broken_total", "counter", {}, core.get("limits_broken", 0)),
            Sample("twinplane_invariant_broken_total", "counter", {}, core.get("invariant_broken", 0)),
        ]

    def _link_samples(self) -> list[Sample]:
        facts = self._facts
        samples: list[Sample] = []
        if facts.link is not None:
            samples.append(Sample("kong_control_plane_connected", "gauge", {}, float(facts.link.is_connected)))
            samples.append(Sample("twinplane_link_failures_total", "counter", {}, facts.link.failures_total))
        license_end = facts.license_expires_at()
        if license_end is not None:
            samples.append(Sample("kong_enterprise_license_expiration", "gauge", {}, license_end))
        expires_at = facts.certificate_expires_at()
        if expires_at is not None:
            samples.append(Sample("kong_data_plane_cluster_cert_expiry_timestamp", "gauge", {}, expires_at))
        for name, renewal in facts.renewals().items():
            for outcome, value in {"used": renewal.renewed_total, "refused": renewal.refused_total}.items():
                labels = {"certificate": name, "outcome": outcome}
                samples.append(Sample("twinplane_certificate_renewals_total", "counter", labels, value))
        if facts.telemetry is not None:
            telemetry = facts.telemetry
            samples += [
                Sample("twinplane_telemetry_connected", "gauge", {}, float(telemetry.is_connected)),
                Sample("twinplane_telemetry_backlog_records", "gauge", {}, telemetry.backlog_records),
                Sample("twinplane_telemetry_lost_records_total", "counter", {}, telemetry.lost_records),
            ]
        if facts.logs is not None:
            samples += facts.logs().samples()
        samples.append(Sample("twinplane_log_lines_lost_total", "counter", {}, facts.log_lines_lost()))
        samples += facts.access()
        if audit := facts.audit():
            samples += [
                Sample("twinplane_audit_events_total", "counter", {"outcome": outcome}, audit[outcome])
                for outcome in ("sent", "dropped")
            ]
            samples.append(Sample("twinplane_audit_events_waiting", "gauge", {}, audit["waiting"]))
        if facts.probes is not None:
            probes = facts.probes
            for outcome, value in {"answered": probes.answered_total, "failed": probes.failed_total}.items():
                samples.append(Sample("twinplane_probes_total", "counter", {"outcome": outcome}, value))
            samples.append(Sample("twinplane_probes_delayed_total", "counter", {}, probes.delayed_total))
        return samples

    def _explain(self, request: HttpRequest) -> HttpAnswer:
        """Tell what would become of a request."""
        if not self._facts.explains:
            return json_answer(403, {"message": "requests are not explained through this port: status_explain is off"})
        try:
            told = self._facts.core.explain(core_question(orjson.loads(request.body)))
        except orjson.JSONDecodeError as error:
            return json_answer(400, {"message": f"the body is no JSON: {error}"})
        except BadQuestionError as error:
            return json_answer(400, {"message": str(error), "mistakes": list(error.mistakes)})
        except ValueError as error:
            return json_answer(503, {"message": str(error)})
        return HttpAnswer(200, told)

    def _set_health(self, upstream: str, target: str, address: str | None, wanted: str) -> HttpAnswer:
        """Put a target in or out by hand, whole or one address of it."""
        if not self._facts.takes_target_health:
            return json_answer(
                403, {"message": "target health is not set through this port: status_target_health is off"}
            )
        is_there = TargetHealth(self._facts.core).set(upstream, target, address, is_healthy=wanted == "healthy")
        return HttpAnswer(204) if is_there else _NOT_FOUND

    def _health(self, upstream: str, view: str | None, target: str | None) -> HttpAnswer:
        """Targets of an upstream as the node's balancer sees them, or one of them."""
        health = TargetHealth(self._facts.core)
        data = health.of(upstream)
        if not data and not health.knows(upstream):
            return _NOT_FOUND
        if view is None:
            one = next((row for row in data if target in (row["id"], row["target"])), None)
            return _NOT_FOUND if one is None else json_answer(200, one)
        if view != "health":
            data = [{name: row[name] for name in ("id", "target", "weight", "upstream")} for row in data]
        return json_answer(200, {"data": data, "next": None, "node_id": self._facts.node_id})

    def _dns(self, _request: HttpRequest) -> HttpAnswer:
        """Questions to name servers, in the form of Kong's newer client; counted for all names together."""
        if not self._facts.counts_names:
            return json_answer(501, {"message": "not implemented with the legacy DNS client"})
        counts = self._core_metrics().get("dns", {})
        failed = counts.get("failed", 0) + counts.get("timed_out", 0)
        told = {
            "query": counts.get("queries", 0),
            "query_succ": counts.get("queries", 0) - failed,
            "query_fail": failed,
            "stale": counts.get("stale", 0),
        }
        status: CoreStatus = self._facts.core.status()
        return json_answer(200, {"worker": {"id": 0, "count": status.workers}, "stats": {_ALL_NAMES: told}})

    def _core_metrics(self) -> dict[str, Any]:
        metrics: dict[str, Any] = orjson.loads(self._facts.core.drain("metrics"))
        return metrics


def _asked_status(request: HttpRequest) -> str | None:
    """`status` of a JSON or form body."""
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            body = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return None
        asked = body.get("status") if isinstance(body, dict) else None
        return asked if isinstance(asked, str) else None
    fields = dict(pair.partition("=")[::2] for pair in request.body.decode("latin-1").split("&"))
    return fields.get("status")


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _amount(unit: str, scale: int) -> str:
    value = _resident_bytes() / _UNITS[unit]
    names = {"b": "B", "k": "KiB", "m": "MiB", "g": "GiB"}
    return f"{value:.{scale if unit != 'b' else 0}f} {names[unit]}"
