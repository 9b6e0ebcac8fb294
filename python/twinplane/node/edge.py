"""The control plane's front door: the core with a built-in configuration, in front of two Unix sockets.

Holds no rule of the platform: paths of the link go to the link's socket, everything else to the application's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from twinplane._dataplane import Core  # noqa: TID251 - this room is the one that talks to the core
from twinplane.node.authority import Identity
from twinplane.node.core_settings import edge_core_settings
from twinplane.registry import entity_type
from twinplane.settings import Listener

# A WebSocket to a node is silent for up to its ping interval; an answer of the API never takes this long.
LINK_TIMEOUT_MS = 120_000
API_TIMEOUT_MS = 60_000


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """What the front door is told when it opens."""

    address: str
    port: int
    workers: int | None
    certificate: Identity
    client_certificate_hosts: Sequence[str]
    body_bytes_max: int
    application_socket: Path
    link_socket: Path
    link_paths: Sequence[str]


class Edge:
    """The running front door of one control plane process."""

    def __init__(self, settings: EdgeSettings) -> None:
        listener = Listener(settings.address, settings.port, frozenset({"ssl", "http2"}))
        core_settings = edge_core_settings(
            [listener],
            settings.workers,
            settings.certificate,
            settings.client_certificate_hosts,
            settings.body_bytes_max,
        )
        self._core = Core.start(core_settings, orjson.dumps(_configuration(settings)))

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._core.status().listeners[0][1]
        return port

    def stop(self, grace_ms: int) -> None:
        """Take no more connections, finish what is under way."""
        self._core.stop(grace_ms)


def _configuration(settings: EdgeSettings) -> dict[str, Any]:
    """The built-in configuration, as a table that the core takes."""
    services = [
        _service("link", settings.link_socket, LINK_TIMEOUT_MS),
        _service("application", settings.application_socket, API_TIMEOUT_MS),
    ]
    link_id, application_id = (service["id"] for service in services)
    routes = [_route("link", link_id, list(settings.link_paths)), _route("application", application_id, ["/"])]
    return {"_format_version": "3.0", "_transform": False, "services": services, "routes": routes}


def _service(name: str, socket: Path, timeout_ms: int) -> dict[str, Any]:
    body = {"name": name, "host": "localhost", "read_timeout": timeout_ms, "write_timeout": timeout_ms, "retries": 0}
    row = entity_type("services").prepare_insert(body, now=time.time())
    # The host of an entity is a name or an address; only this configuration may lead to a Unix socket.
    return {**row, "host": f"unix:{socket}"}


def _route(name: str, service_id: str, paths: list[str]) -> dict[str, Any]:
    body = {"name": name, "service": {"id": service_id}, "paths": paths, "strip_path": False, "preserve_host": True}
    row = entity_type("routes").prepare_insert(body, now=time.time())
    return {**row, "service": service_id}
