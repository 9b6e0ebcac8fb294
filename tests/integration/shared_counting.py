"""Gateways whose limits count in a store that nodes share: their configuration, and what they tell of the store."""

from __future__ import annotations

import http.client
import json
from typing import Any

from tests.conformance.proxy.raw_client import Answer
from tests.plugin_cases import Gateway

ASK = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PLAIN = "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"
LIMIT = "X-RateLimit-Remaining-Year"
_PATIENCE_S = 60.0


def config(
    port: int, *, plugin: str = "rate-limiting", redis: dict[str, Any] | None = None, **own: Any
) -> dict[str, Any]:
    """A limited route, and one beside it that is not."""
    place = {"host": "127.0.0.1", "port": port, "timeout": 20_000, **(redis or {})}
    limited = {"name": plugin, "config": {"policy": "redis", "limit_by": "ip", "redis": place, **own}}
    routes = [{"name": "limited", "paths": ["/"], "plugins": [limited]}, {"name": "plain", "paths": ["/plain"]}]
    return {
        "_format_version": "3.0",
        "services": [{"name": "s", "url": "http://127.0.0.1:<echo-port>", "routes": routes}],
    }


def remaining(answer: Answer, name: str = LIMIT) -> str | None:
    """What is left, as the client is told; none: it is told nothing."""
    return dict(answer.headers).get(name)


def store(running: Gateway) -> dict[str, Any]:
    """How the one store fares."""
    (found,) = json.loads(running.node.core.drain("counter_stores"))
    return dict(found)


def reasons(running: Gateway) -> dict[str, int]:
    """Failed commands by reason."""
    series = json.loads(running.node.core.drain("metrics"))["prometheus"]
    name = "twinplane_counter_store_failures_total"
    return {one["labels"]["reason"]: one["value"] for one in series if one["name"] == name}


def patient_status(running: Gateway) -> int:
    """The status of a limited request that may wait for long."""
    connection = http.client.HTTPConnection("127.0.0.1", running.node.port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/", headers={"Host": "a"})
        return connection.getresponse().status
    finally:
        connection.close()
