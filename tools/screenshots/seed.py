"""A seeded installation: entities, a day of past traffic, traffic that goes on, and nodes with and without faults.

Everything but the past comes through the product's own doors; the past is written before the installation starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.certificates import Leaf
from tests.control_room import Platform, open_platform
from tests.integration.installation import Installation, eventually, free_ports, installation
from tests.integration.link_peer import connect_node

from tools.screenshots import past
from tools.screenshots.configuration import CONSUMERS, KEY, SERVICES, rows
from twinplane.control import Actor, NodeHello, NodePing, NodeReport
from twinplane.control.analytics import RECORD_COLUMNS, Batch, Source
from twinplane.store.events import EventStore, EventStoreSettings

ACTOR = Actor("user", "u", "admin")
OLD_NODE = "5b1c7a52-77a0-4a0e-9d0e-3f0f6f3c8f02"
AWAY_NODE = "6f1f6d54-3f0e-4d2c-9a55-0d5f6f3c8f01"
OLD_VERSION = "3.5.0"
SOON_DAYS = 9
PING_SECONDS = 10.0
ASKED_EVERY_SECONDS = 0.15
_DAY_S = 86_400.0


@dataclass
class Seed:
    """What was seeded: ids by name, and the control planes by what they show."""

    ids: dict[str, str] = field(default_factory=dict)
    planes: dict[str, str] = field(default_factory=dict)
    old_node: Leaf = field(default_factory=lambda: Leaf.self_signed("kong_clustering", days=SOON_DAYS))


@dataclass
class Seeded:
    """A seeded installation that runs."""

    up: Installation
    seed: Seed

    @property
    def address(self) -> str:
        """Where the console is."""
        return f"https://localhost:{self.up.ports['port']}"


@contextmanager
def seeded(directory: Path) -> Iterator[Seeded]:
    """Seed and start an installation, its upstream, its callers and its nodes."""
    with ExitStack() as stack:
        upstream = stack.enter_context(Shop())
        data = directory / "data"
        data.mkdir(mode=0o700)
        seed = prepare(data, upstream.port)
        up = stack.enter_context(installation(directory))
        found = Seeded(up, seed)
        stack.enter_context(Callers(up))
        stack.enter_context(OldNode(found))
        _change_something(found)
        eventually(lambda: len(up.requests()) > 40 and up.requests(), seconds=60)
        eventually(lambda: issues(found), seconds=60)
        yield found


def prepare(data: Path, upstream_port: int) -> Seed:
    """Write entities and past into a new data directory, as if over the last days."""
    now = time.time()
    moment = now - 3 * _DAY_S

    def clock() -> float:
        return moment

    seed = Seed()
    with open_platform(data, clock=clock) as platform:
        (data / "admin.token").write_text(f"{platform.token}\n")
        (data / "admin.token").chmod(0o600)
        seed.planes = _planes(platform)
        for row in rows(upstream_port, *free_ports(1)):
            moment += 1800
            body = {name: _resolved(value, seed.ids) for name, value in row.body.items()}
            made = platform.control.changes.create(platform.default.scope, ACTOR, row.collection, body)
            seed.ids.setdefault(row.as_name or row.collection, str(made["id"]))
            seed.ids.setdefault(row.collection, str(made["id"]))
        _nodes(platform, seed)
        _past(data, platform.default.id, seed.ids, now)
    return seed


def _planes(platform: Platform) -> dict[str, str]:
    def make(name: str, **fields: Any) -> str:
        organization = platform.principal.organization_id
        return platform.control.control_planes.create(organization, "us", ACTOR, {"name": name, **fields}).id

    kind = "CLUSTER_TYPE_K8S_INGRESS_CONTROLLER"
    return {
        "main": platform.default.id,
        "empty": make("sandbox", description="To try things out.", labels={"env": "dev"}),
        "new": make("payments-eu", description="Payments of the European shops.", labels={"env": "prod", "pci": "yes"}),
        "kic": make("kubernetes-eu", cluster_type=kind, labels={"env": "prod", "team": "platform"}),
    }


def _resolved(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping) and str(value.get("id", "")).startswith("@"):
        return {"id": ids[value["id"][1:]]}
    return value


def _nodes(platform: Platform, seed: Seed) -> None:
    """A certificate that ends soon, and a node that was there once."""
    control, scope = platform.control, platform.default.scope
    control.certificates.create(scope, ACTOR, seed.old_node.certificate, title="edge-eu-2")
    hello = NodeHello(AWAY_NODE, "edge-eu-1", "10.4.0.17", "3.9.3", labels={"zone": "eu-1"})
    ping = NodePing("8d1f5e0a" * 4, 12, "e")
    control.nodes.record_reports([NodeReport(scope, AWAY_NODE, hello=hello, ping=ping)])


def _past(data: Path, plane: str, ids: Mapping[str, str], now: float) -> None:
    found = list(past.records(ids, SERVICES, CONSUMERS, now=now))
    store = EventStore(data / "events.duckdb", EventStoreSettings())
    try:
        for node, part in ((AWAY_NODE, found[::3]), (OLD_NODE, [row for n, row in enumerate(found) if n % 3])):
            source = Source(plane, node, "3.9.3", uuid.uuid4().hex, time.time_ns(), "seed", 0)
            store.add_records(Batch(source, [[row[name] for row in part] for name in RECORD_COLUMNS]))
    finally:
        store.close()


def _change_something(found: Seeded) -> None:
    """Changes of today, by a client of the API."""
    base = f"/v2/control-planes/{found.seed.planes['main']}/core-entities"
    for path, body in (
        (f"/services/{found.seed.ids['orders']}", {"name": "orders", "host": "orders.internal", "path": "/orders"}),
        ("/consumers/{}".format(found.seed.ids["mobile-app"]), {"username": "mobile-app", "tags": ["shop", "mobile"]}),
    ):
        answer = found.up.api("PUT", base + path, body)
        assert answer.status == 200, answer.body


def issues(found: Seeded) -> Any:
    """The nodes that report any."""
    items = found.up.api("GET", f"/v2/control-planes/{found.seed.planes['main']}/nodes").json()["items"]
    return [node for node in items if node["compatibility_status"].get("issues")]


class Shop:
    """Every upstream of the seed: status and latency follow from the path."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                number = sum(self.path.encode())
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                # The latency that charts are to show.
                time.sleep(0.002 + (number % 23) / 1000)
                status = 500 if number % 29 == 0 else 404 if number % 13 == 0 else 200
                data = b'{"items":[]}' * (1 + number % 40)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Shop:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Callers:
    """Clients that ask the node again and again, some of them wrongly."""

    def __init__(self, up: Installation) -> None:
        self._up = up
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Callers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        paths = [f"/{name}/{number}" for number in range(9) for name in SERVICES] + ["/v0/old", "/nowhere"]
        number = 0
        while not self._ends.is_set():
            path = paths[number * 5 % len(paths)]
            headers = {"apikey": KEY} if number % 7 else {}
            with contextlib.suppress(OSError):
                self._up.proxy("POST" if number % 4 == 0 else "GET", path, b"" if number % 4 == 0 else None, headers)
            number += 1
            # The first ones at once, so that there is something to see.
            self._ends.wait(0 if number < len(paths) else ASKED_EVERY_SECONDS)


class OldNode:
    """A node of an older version that stays connected: it cannot do all of the configuration."""

    def __init__(self, found: Seeded) -> None:
        self._found = found
        self._loop = asyncio.new_event_loop()
        self._ends = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()), daemon=True)

    def __enter__(self) -> OldNode:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        up, seed = self._found.up, self._found.seed
        context = ssl.create_default_context(cafile=str(up.data / "ca.pem"))
        certificate = up.data / "old-node.pem"
        await asyncio.to_thread(certificate.write_text, seed.old_node.certificate + seed.old_node.key)
        context.load_cert_chain(certificate)
        answer = await asyncio.to_thread(up.api, "GET", f"/v2/control-planes/{seed.planes['main']}")
        host = answer.json()["config"]["control_plane_endpoint"].removeprefix("https://").partition(":")[0]
        reader, writer = await asyncio.open_connection("127.0.0.1", up.ports["port"], ssl=context, server_hostname=host)
        node, _ = await connect_node(reader, writer, node_id=OLD_NODE, version=OLD_VERSION, hostname="edge-eu-2")
        names = ("acl", "ai-proxy", "correlation-id", "cors", "key-auth", "prometheus", "rate-limiting")
        more = ("request-termination", "request-transformer")
        await node.hello(dict.fromkeys((*names, *more), OLD_VERSION), labels={"zone": "eu-2"})
        try:
            while not self._ends.is_set():
                await node.ping()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ends.wait(), PING_SECONDS)
        finally:
            node.close()
