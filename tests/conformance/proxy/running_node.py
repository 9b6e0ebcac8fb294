"""A node for one case: the core by itself, with the case's settings and declarative file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from twinplane import _dataplane  # noqa: TID251  # this harness is the node of its tests
from twinplane.control import declarative
from twinplane.node.authority import Identity
from twinplane.node.core_settings import node_core_settings
from twinplane.node.metrics import exposition, health_samples, http2_samples
from twinplane.node.plugin_host import PluginHost
from twinplane.node.plugin_lending import HostLimits
from twinplane.registry import RouterFlavor
from twinplane.settings import load_node_settings

_NODE_ID = "b5a1c5d1-9a1c-4c43-9d0f-52b0a8a1f3c1"
_SETTLE_S = 2.0


@dataclass(frozen=True)
class RunningNode:
    """A core that serves."""

    core: _dataplane.Core
    port: int
    tls_port: int
    applied: _dataplane.Applied
    table: bytes
    """The configuration it serves."""

    def adopt(self, node: Mapping[str, str]) -> None:
        """Serve by other settings, as after a reload."""
        self.core.adopt(_core_settings(node))

    def log_entries(self, wanted: int) -> list[Any]:
        """The entries that log plugins have made, once there are as many as wanted or time is over."""
        found: list[Any] = []
        end = time.monotonic() + _SETTLE_S
        while len(found) < wanted and time.monotonic() < end:
            found += [orjson.loads(line)["entry"] for line in self.core.drain("logs").splitlines()]
            if len(found) < wanted:
                time.sleep(0.01)
        return found

    def metrics(self) -> list[str]:
        """The lines of the scrape, once the requests that are answered are counted too or time is over."""
        end = time.monotonic() + _SETTLE_S
        core = orjson.loads(self.core.drain("metrics"))
        while core["requests_active"] and time.monotonic() < end:
            time.sleep(0.005)
            core = orjson.loads(self.core.drain("metrics"))
        samples = [*health_samples(core), *http2_samples(core["upstream_http2"])]
        return exposition(core, samples).decode().splitlines()


@contextlib.contextmanager
def running(node: Mapping[str, str], config: Mapping[str, Any]) -> Iterator[RunningNode]:
    """Start a core, give it a declarative file, stop it in the end."""
    host = PluginHost(HostLimits())
    core = _dataplane.Core.start(_core_settings(node), None, host)
    host.attach(core)
    try:
        flavor: RouterFlavor = node.get("router_flavor", "traditional_compatible")  # type: ignore[assignment]  # as given
        table = declarative.load(config, now=time.time(), flavor=flavor).json()
        applied = core.apply(table)
        host.served()
        (_, port, _), (_, tls_port, _) = core.status().listeners
        yield RunningNode(core, port, tls_port, applied, table)
    finally:
        core.stop(0)
        host.close(5)


def _core_settings(node: Mapping[str, str]) -> bytes:
    listen = "127.0.0.1:0, 127.0.0.1:0 http2 ssl"
    own = {"proxy_listen": listen, "role": "traditional", "declarative_config_string": "{}"}
    environment = {f"KONG_{name.upper()}": value for name, value in {**own, **node}.items()}
    environment.setdefault("KONG_NGINX_WORKER_PROCESSES", "1")
    return node_core_settings(load_node_settings(None, environment), _NODE_ID, [_identity()])


@cache
def _identity() -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(certificate.public_bytes(Encoding.PEM).decode(), pem.decode())
