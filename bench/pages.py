"""What does a page of the console cost the server, with as many entities as an installation may have?"""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

import httpx

from twinplane.control import Actor, Control, ControlSettings, NodeHello, NodePing, NodeReport, Operation, Scope
from twinplane.control.analytics import RECORD_COLUMNS, Analytics, Batch, Retention, Source
from twinplane.hybrid.hashing import config_hash
from twinplane.settings.host_names import HostNames
from twinplane.store.events import EventStore, EventStoreSettings
from twinplane.web import console

ENTITIES = 10_000
RECORDS = 100_000
NODES = 50
TIMES = 7
_DOMAIN = "example.test"
_ACTOR = Actor("system", "bench", "bench")


def run(directory: Path) -> list[str]:
    """Each page, asked for by a browser that is signed in; the application is called without a network."""
    control = Control.open(
        directory, settings=ControlSettings(domain=_DOMAIN, regions=("us",)), config_hash=config_hash
    )
    analytics = Analytics(EventStore(directory / "events.duckdb", EventStoreSettings()), Retention())
    try:
        return asyncio.run(_ask(control, analytics))
    finally:
        analytics.close()
        control.close()


async def _ask(control: Control, analytics: Analytics) -> list[str]:
    token = control.tokens.ensure_first()
    assert token is not None
    plane = control.control_planes.default(control.organizations.first().id, "us")
    ids = _fill(control, plane.scope)
    _measure(analytics, plane.scope, ids)
    app = console.create_app(
        {"us": console.Room(control, analytics)}, control.sessions, HostNames((_DOMAIN,)), _nothing, threads=2
    )
    base = f"/us/control-planes/{plane.id}"
    one = ids["services"][5_000]
    pages = {
        "control planes": "/us/control-planes",
        "overview": base,
        "nodes": f"{base}/nodes",
        "services": f"{base}/entities/services",
        "services, one that is found by its name": f"{base}/entities/services?q=s9876",
        "services, by a tag": f"{base}/entities/services?tags=t7",
        "a service": f"{base}/entities/services/{one}",
        "its form": f"{base}/entities/services/{one}/edit",
        "its deletion": f"{base}/entities/services/{one}/delete",
        "routes": f"{base}/entities/routes",
        "a new route": f"{base}/entities/routes/new?service={one}",
        "a new plugin": f"{base}/entities/plugins/new?plugin=rate-limiting&service={one}",
        "the gallery of plugins": f"{base}/entities/plugins/new",
        "consumers": f"{base}/entities/consumers",
        "changes": f"{base}/changes",
        "node certificates": f"{base}/node-certificates",
        "settings": f"{base}/settings",
        "network": "/us/network",
        "traffic of an hour": f"{base}/traffic",
        "traffic of a service": f"{base}/traffic?service={one}",
    }
    rows = ["| page | server CPU ms | wall ms | KiB |", "|---|---|---|---|"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"https://cloud.{_DOMAIN}") as browser:
        await browser.post("/sign-in", data={"token": token}, headers={"Sec-Fetch-Site": "same-origin"})
        for name, path in pages.items():
            rows.append(f"| {name} | {' | '.join(await _cost(browser, path))} |")
    app.end_streams()
    app.close()
    return rows


async def _cost(browser: httpx.AsyncClient, path: str) -> tuple[str, str, str]:
    cpu, wall, size = [], [], 0
    for _ in range(TIMES):
        began, used = time.perf_counter(), time.process_time()
        answer = await browser.get(path)
        cpu.append((time.process_time() - used) * 1000)
        wall.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        size = len(answer.content)
    return f"{statistics.median(cpu):.1f}", f"{statistics.median(wall):.1f}", f"{size / 1024:.0f}"


def _fill(control: Control, scope: Scope) -> dict[str, list[str]]:
    """As many services, routes and consumers; a plugin on every hundredth service; nodes that ping."""
    made: dict[str, list[str]] = {}

    def make(collection: str, bodies: list[dict[str, Any]]) -> None:
        operations = [Operation("create", collection, body=body) for body in bodies]
        rows = control.changes.apply(scope, _ACTOR, operations)
        made[collection] = [str(row["id"]) for row in rows if row is not None]

    numbers = range(ENTITIES)
    make("services", [{"name": f"s{n}", "host": f"s{n}.internal", "tags": [f"t{n % 100}"]} for n in numbers])
    services = made["services"]
    make("routes", [{"name": f"r{n}", "paths": [f"/r{n}"], "service": {"id": services[n]}} for n in numbers])
    make("consumers", [{"username": f"c{n}", "custom_id": f"x{n}"} for n in numbers])
    limits = {"name": "rate-limiting", "config": {"minute": 5}}
    make("plugins", [{**limits, "service": {"id": one}} for one in services[::100]])
    hash_ = control.nodes.expected_hash(scope).hash
    reports = [
        NodeReport(scope, f"node-{n}", hello=NodeHello(f"node-{n}", f"edge-{n}", "192.0.2.1", "3.9.0"),
                   ping=NodePing(hash_, 4, "e"))
        for n in range(NODES)
    ]  # fmt: skip
    control.nodes.record_reports(reports)
    return made


def _measure(analytics: Analytics, scope: Scope, ids: dict[str, list[str]]) -> None:
    """Requests of the last hour, spread over services, routes, consumers and nodes."""
    now = int(time.time() * 1e6)
    for node in range(NODES):
        rows = [
            {
                "request_start_us": now - n * 3_600_000_000 // RECORDS, "request_id": f"r{n}",
                "service_id": ids["services"][n * 7 % ENTITIES], "route_id": ids["routes"][n * 7 % ENTITIES],
                "consumer_id": ids["consumers"][n * 3 % ENTITIES], "method": "GET", "path": f"/r{n % 99}",
                "http_version": "1.1", "status": 500 if n % 50 == 0 else 200, "response_source": "upstream",
                "latency_kong_us": 400, "latency_upstream_us": n % 9_000, "latency_total_us": 400 + n % 9_000,
                "request_bytes": 100, "response_bytes": 2000, "tries": 1,
            }
            for n in range(node, RECORDS, NODES)
        ]  # fmt: skip
        columns = [[row.get(name) for row in rows] for name in RECORD_COLUMNS]
        source = Source(scope.control_plane_id, f"node-{node}", "3.9.0", "boot", 1, "origin", 0)
        analytics.add_records(Batch(source, columns))


async def _nothing(_scope: Any, _receive: Any, send: Any) -> None:
    """What is not the console's: nothing here."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})
