"""The control plane's front door: the core with a built-in configuration, in front of two Unix sockets.

Holds no rule of the platform: paths of the link go to the link's socket, everything else to the application's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from twinplane._dataplane import ApplyError, Core, StartError  # noqa: TID251 - this room is the one that talks to the core
from twinplane.node.authority import Identity
from twinplane.node.core_settings import edge_core_settings
from twinplane.registry import entity_type
from twinplane.settings import Listener
from twinplane.settings.network import SHARED_NAME

# A WebSocket to a node is silent for up to its ping interval; an answer of the API never takes this long.
LINK_TIMEOUT_MS = 120_000
API_TIMEOUT_MS = 60_000
_SHARED_ID = "7b0c1d52-5ba5-4d0e-9d0c-6f1f0e6a7a10"


@dataclass(frozen=True, slots=True)
class LinkDoor:
    """A socket that links go to. With `server_names`, only those that ask for one of these in the handshake."""

    name: str
    socket: Path
    server_names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """What the front door is told when it opens."""

    address: str
    port: int
    workers: int | None
    certificate: Identity
    shared: Identity | None
    client_certificate_hosts: Sequence[str]
    body_bytes_max: int
    application_socket: Path
    links: Sequence[LinkDoor]
    link_paths: Sequence[str]


class Edge:
    """The running front door of one control plane process."""

    def __init__(self, settings: EdgeSettings) -> None:
        listener = Listener(settings.address, settings.port, frozenset({"ssl", "http2", "reuseport"}))
        core_settings = edge_core_settings(
            [listener],
            settings.workers,
            settings.certificate,
            settings.client_certificate_hosts,
            settings.body_bytes_max,
        )
        self._rows = _rows(settings)
        self._core = Core.start(core_settings, orjson.dumps(_configuration(self._rows, settings.shared)))

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._core.status().listeners[0][1]
        return port

    def renew(self, certificate: Identity) -> None:
        """Serve another certificate from the next handshake on; open connections go on. Raises ValueError."""
        try:
            self._core.renew(orjson.dumps([{"cert": certificate.certificate, "key": certificate.key}]))
        except StartError as error:
            raise ValueError("; ".join(map(str, error.args[0]))) from error

    def share(self, shared: Identity | None) -> None:
        """Present another pair to nodes that share it. Raises ValueError."""
        try:
            self._core.apply(orjson.dumps(_configuration(self._rows, shared)))
        except ApplyError as error:
            raise ValueError(str(error.args[0])) from error

    def stop(self, grace_ms: int) -> None:
        """Take no more connections, finish what is under way."""
        self._core.stop(grace_ms)


def _configuration(rows: Mapping[str, Any], shared: Identity | None) -> dict[str, Any]:
    """The built-in configuration, as a table that the core takes."""
    table: dict[str, Any] = {"_format_version": "3.0", "_transform": False, **rows}
    if shared is not None:
        # No name of a host, and often a certificate of X.509 version 1: the checks of the entities would refuse both.
        common = {"created_at": None, "updated_at": None, "tags": None}
        pair = {"cert": shared.certificate, "key": shared.key, "cert_alt": None, "key_alt": None}
        table["certificates"] = [{"id": _SHARED_ID, **pair, **common}]
        table["snis"] = [{"id": _SHARED_ID, "name": SHARED_NAME, "certificate": _SHARED_ID, **common}]
    return table


def _rows(settings: EdgeSettings) -> dict[str, Any]:
    """Where paths lead. Made once, so that a new configuration keeps the connections of the one before."""
    services = [_service("application", settings.application_socket, API_TIMEOUT_MS)]
    routes = [_route("application", services[0]["id"], ["/"])]
    for door in settings.links:
        service = _service(door.name, door.socket, LINK_TIMEOUT_MS)
        services.append(service)
        routes.append(_route(door.name, service["id"], list(settings.link_paths), door.server_names))
    return {"services": services, "routes": routes}


def _service(name: str, socket: Path, timeout_ms: int) -> dict[str, Any]:
    body = {"name": name, "host": "localhost", "read_timeout": timeout_ms, "write_timeout": timeout_ms, "retries": 0}
    row = entity_type("services").prepare_insert(body, now=time.time())
    # The host of an entity is a name or an address; only this configuration may lead to a Unix socket.
    return {**row, "host": f"unix:{socket}"}


def _route(name: str, service_id: str, paths: list[str], server_names: Sequence[str] = ()) -> dict[str, Any]:
    body = {"name": name, "service": {"id": service_id}, "paths": paths, "strip_path": False, "preserve_host": True}
    if server_names:
        body["snis"] = list(server_names)
    row = entity_type("routes").prepare_insert(body, now=time.time())
    return {**row, "service": service_id}
