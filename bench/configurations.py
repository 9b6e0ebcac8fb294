"""Configurations that are measured."""

from __future__ import annotations

import re

KEY = "bench-key"


def plain(upstream_port: int) -> dict[str, object]:
    """One service, one route, no plugin."""
    return {"services": [_service(upstream_port, [{"name": "bench", "paths": ["/"]}])]}


def streamed(upstream_port: int) -> dict[str, object]:
    """The same with bodies that pass as they come."""
    route: dict[str, object] = {
        "name": "bench",
        "paths": ["/"],
        "request_buffering": False,
        "response_buffering": False,
    }
    return {"services": [_service(upstream_port, [route])]}


def full(upstream_port: int) -> dict[str, object]:
    """The same with key-auth and a rate limit that is never reached; headers and telemetry are on in any case."""
    service = _service(upstream_port, [{"name": "bench", "paths": ["/"]}])
    service["plugins"] = [
        {"name": "key-auth"},
        {"name": "rate-limiting", "config": {"minute": 2_000_000_000, "policy": "local"}},
    ]
    consumer = {"username": "bench", "keyauth_credentials": [{"key": KEY}]}
    return {"services": [service], "consumers": [consumer]}


def grpc(upstream_port: int) -> dict[str, object]:
    """One gRPC service without TLS."""
    route = {"name": "bench", "protocols": ["grpc"], "paths": ["/"]}
    service = {"name": "bench", "protocol": "grpc", "host": "127.0.0.1", "port": upstream_port, "routes": [route]}
    return {"services": [service]}


def path_of(name: str) -> str:
    """The path, without its slash, of a route with this name."""
    return re.sub(r"[^a-z]+", "-", name.lower())


def routes_with_plugins(
    upstream_port: int, plugins: dict[str, list[dict[str, object]]], *consumers: dict[str, object]
) -> dict[str, object]:
    """A route for each name, with those plugins; its path is `path_of` the name."""
    routes: list[dict[str, object]] = [
        {"name": path_of(name), "paths": [f"/{path_of(name)}"], "plugins": listed} for name, listed in plugins.items()
    ]
    return {"services": [_service(upstream_port, routes)], "consumers": list(consumers)}


def many_routes(upstream_port: int, count: int, *, generation: int = 0) -> dict[str, object]:
    """A table of `count` routes by host and path; the one that is asked for lies in the middle."""
    routes: list[dict[str, object]] = [
        {"name": f"r{number}", "hosts": [f"h{number % 997}.example"], "paths": [f"/g{generation}/api/{number}"]}
        for number in range(count - 1)
    ]
    routes.insert(count // 2, {"name": "bench", "hosts": ["bench.example"], "paths": ["/bench"]})
    return {"services": [_service(upstream_port, routes)]}


def _service(upstream_port: int, routes: list[dict[str, object]]) -> dict[str, object]:
    return {"name": "bench", "url": f"http://127.0.0.1:{upstream_port}/", "routes": routes}
