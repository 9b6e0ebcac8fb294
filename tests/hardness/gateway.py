"""A node's core between a client and a recording upstream: what it forwarded, logged and counted can be asked for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from tests.certificates import Leaf
from tests.hardness.recorded import Forwarded, RecordingUpstream
from tests.hardness.wire import Wire, ask

from twinplane import _dataplane  # noqa: TID251 - the core alone is what is tried
from twinplane.control import declarative
from twinplane.node.authority import Identity
from twinplane.node.core_settings import node_core_settings
from twinplane.settings import load_node_settings

_NODE_ID = "7a0a7d1a-0a51-4f0e-9a3c-5d2a6a0f4c11"
_WAIT_S = 20.0
_LISTENERS = "127.0.0.1:0, 127.0.0.1:0 http2 ssl, 127.0.0.1:0 http2"
# The columns of an access record that are looked at.
_METHOD, _PATH, _STATUS, _SOURCE = 7, 8, 12, 14


@dataclass(frozen=True)
class Record:
    """What the access record of a request says."""

    method: str
    path: str
    status: int
    source: str


@dataclass
class Gateway:
    """A core that serves."""

    core: _dataplane.Core
    port: int
    tls_port: int
    h2_port: int
    """HTTP/2, or HTTP/1, without TLS."""
    upstream: RecordingUpstream
    leaf: Leaf
    table: bytes = b""
    _sentinels: int = field(default=0)

    def settled(self) -> list[Forwarded]:
        """What was forwarded up to now, nothing that is under way missed: a last request goes through behind it all."""
        self._sentinels += 1
        target = f"/sentinel-{self._sentinels}"
        answer = ask(self.port, f"GET {target} HTTP/1.1\r\nHost: sentinel.example\r\n\r\n".encode())
        assert answer.status, "the gateway serves no more"
        found: list[Forwarded] = []
        end = time.monotonic() + _WAIT_S
        while not any(target in each.target for each in found) and time.monotonic() < end:
            found += self.upstream.seen()
            time.sleep(0.002)
        return [each for each in found if "/sentinel-" not in each.target]

    def log_entries(self, wanted: int) -> list[Any]:
        """The entries of log plugins, once there are as many as wanted."""
        return [each["entry"] for each in self._drained("logs", wanted)]

    def records(self, wanted: int) -> list[Record]:
        """The access records, once there are as many as wanted."""
        lines = self._drained("records", wanted)
        return [Record(line[_METHOD], line[_PATH], line[_STATUS], line[_SOURCE]) for line in lines]

    def forget(self) -> None:
        """Drop what was logged so far."""
        self.settled()
        self._drained("records", 0)
        self._drained("logs", 0)
        self.access_lines(0)

    def access_lines(self, wanted: int) -> list[str]:
        """The lines of the access log, once there are as many as wanted; those of last requests are left out."""
        found: list[str] = []
        end = time.monotonic() + _WAIT_S
        while True:
            lines = self.core.drain("access").decode().splitlines()
            found += [line for line in lines if "/sentinel-" not in line]
            if len(found) >= wanted or time.monotonic() >= end:
                return found
            time.sleep(0.005)

    def counts(self) -> dict[str, Any]:
        """The core's counters, once no request is under way."""
        return counts_of(self.core)

    def wait_for(self, name: str, least: int) -> int:
        """A counter, once it has reached a value."""
        end = time.monotonic() + _WAIT_S
        while (found := int(self.counts()[name])) < least and time.monotonic() < end:
            time.sleep(0.01)
        return found

    def connect(self) -> Wire:
        """A connection in plain text."""
        return Wire(self.port)

    def _drained(self, kind: str, wanted: int) -> list[Any]:
        found: list[Any] = []
        end = time.monotonic() + _WAIT_S
        while True:
            found += [orjson.loads(line) for line in self.core.drain(kind).splitlines()]
            if len(found) >= wanted or time.monotonic() >= end:
                return found
            time.sleep(0.005)


@dataclass(frozen=True)
class Started:
    """A core that serves whatever upstream its configuration names."""

    core: _dataplane.Core
    ports: list[int]
    leaf: Leaf
    table: bytes


class Listening(Protocol):
    """What an upstream has to say for itself."""

    @property
    def port(self) -> int:
        """Where it is reached on loopback."""


def counts_of(core: _dataplane.Core) -> dict[str, Any]:
    """A core's counters, once no request is under way."""
    end = time.monotonic() + _WAIT_S
    while (found := orjson.loads(core.drain("metrics")))["requests_active"] and time.monotonic() < end:
        time.sleep(0.005)
    assert isinstance(found, dict)
    return found


def declared(config: Mapping[str, Any]) -> bytes:
    """A declarative configuration as the core takes it."""
    table: bytes = declarative.load(
        {"_format_version": "3.0", **config}, now=time.time(), flavor="traditional_compatible"
    ).json()
    return table


@contextlib.contextmanager
def started(
    config: Mapping[str, Any],
    *,
    limits: Mapping[str, int] | None = None,
    settings: Mapping[str, str] | None = None,
    core_settings: Mapping[str, Any] | None = None,
) -> Iterator[Started]:
    """Start a core, and stop it in the end."""
    own = {"proxy_listen": _LISTENERS, "role": "traditional", "declarative_config_string": "{}"}
    environment = {f"KONG_{name.upper()}": value for name, value in {**own, **(settings or {})}.items()}
    environment.setdefault("KONG_NGINX_WORKER_PROCESSES", "1")
    leaf = Leaf.self_signed("localhost", names=("localhost", "*.example"))
    identity = Identity(leaf.certificate, leaf.key)
    document = orjson.loads(node_core_settings(load_node_settings(None, environment), _NODE_ID, [identity]))
    document["limits"] |= limits or {}
    document |= core_settings or {}
    core = _dataplane.Core.start(orjson.dumps(document), None)
    try:
        table = declared(config)
        core.apply(table)
        yield Started(core, [port for _, port, _ in core.status().listeners], leaf, table)
        assert core.status().invariant_broken == 0
    finally:
        core.stop(0)


@contextlib.contextmanager
def serving(
    upstream: RecordingUpstream,
    config: Mapping[str, Any] | None = None,
    *,
    limits: Mapping[str, int] | None = None,
    settings: Mapping[str, str] | None = None,
    core_settings: Mapping[str, Any] | None = None,
) -> Iterator[Gateway]:
    """Start a core, by default with one route for everything, and stop it in the end."""
    config = config or one_route(upstream)
    with started(config, limits=limits, settings=settings, core_settings=core_settings) as node:
        port, tls_port, *more = node.ports
        yield Gateway(node.core, port, tls_port, more[0] if more else 0, upstream, node.leaf, node.table)


def one_route(upstream: Listening, *plugins: Mapping[str, Any], **service: Any) -> dict[str, Any]:
    """Everything goes to the upstream; what happens is logged."""
    return {
        "services": [
            {
                "name": "all",
                "url": f"http://127.0.0.1:{upstream.port}",
                "retries": 0,
                "routes": [{"name": "all", "paths": ["/"], "strip_path": False}],
                **service,
            }
        ],
        "plugins": [{"name": "file-log", "config": {"path": "/dev/null"}}, *plugins],
    }
