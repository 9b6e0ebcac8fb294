"""Pages over many entities: what a page costs the stores does not grow with what they hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from tests.unit.web.console.conftest import Browser, Rig

from twinplane.control import Actor, NodeHello, NodePing, NodeReport, Operation
from twinplane.control.analytics import RECORD_COLUMNS, Batch, Source

ACTOR = Actor("user", "tester", "tester")
STATEMENTS_MAX = 25
"""Of a page with all that goes before it: session, control plane, and what the page shows."""


def _scope(rig: Rig) -> Any:
    return rig.control.control_planes.default(rig.control.organizations.first().id, "us").scope


@contextmanager
def _statements(rig: Rig) -> Iterator[list[str]]:
    seen: list[str] = []
    engine = rig.control._database._engine

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _fill(rig: Rig, names: range) -> None:
    """Services with a route, a plugin, a consumer and a node each, and requests to all of them."""
    scope = _scope(rig)

    def make(collection: str, bodies: list[dict[str, Any]]) -> list[str]:
        made = rig.control.changes.apply(scope, ACTOR, [Operation("create", collection, body=body) for body in bodies])
        return [str(row["id"]) for row in made if row is not None]

    services = make("services", [{"name": f"s{n}", "host": "h", "tags": ["t"]} for n in names])
    routes = make(
        "routes", [{"name": f"r{n}", "paths": ["/"], "service": {"id": services[n - names[0]]}} for n in names]
    )
    consumers = make("consumers", [{"username": f"c{n}"} for n in names])
    make("plugins", [{"name": "rate-limiting", "config": {"minute": 1}, "route": {"id": one}} for one in routes])
    hellos = [NodeHello(f"n{n}", f"edge-{n}", "192.0.2.1", "3.9.0") for n in names]
    ping = NodePing("a" * 32, 1, "e")
    rig.control.nodes.record_reports([NodeReport(scope, hello.id, hello=hello, ping=ping) for hello in hellos])
    for number in range(3):
        rig.control.control_planes.create(
            rig.control.organizations.first().id, "us", ACTOR, {"name": f"plane-{names[0]}-{number}"}
        )
    for n, service, route, consumer in zip(names, services, routes, consumers, strict=True):
        row = {
            "request_start_us": int(time.time() * 1e6), "request_id": f"q{n}", "service_id": service, "route_id": route,
            "consumer_id": consumer, "method": "GET", "path": "/", "http_version": "1.1", "status": 200,
            "response_source": "upstream", "latency_kong_us": 1, "latency_total_us": 2, "request_bytes": 1,
            "response_bytes": 1, "tries": 1,
        }  # fmt: skip
        source = Source(scope.control_plane_id, f"n{n}", "3.9.3", "boot", n + 1, "origin", 0)
        rig.analytics.add_records(Batch(source, [[row.get(name)] for name in RECORD_COLUMNS]))


async def test_no_page_asks_the_store_once_for_each_of_its_lines(rig: Rig, signed_in: Browser) -> None:
    _fill(rig, range(2))
    scope, base = _scope(rig), rig.plane_path
    service = rig.control.changes.get(scope, "services", "s1")["id"]
    pages = [
        "/us/control-planes", base, f"{base}/nodes", f"{base}/node-certificates", f"{base}/changes", f"{base}/traffic",
        f"{base}/traffic?service={service}", f"{base}/traffic/requests/q1",
        f"{base}/entities/plugins/new?plugin=rate-limiting", f"{base}/entities/routes/new",
        *(f"{base}/entities/{name}" for name in ("services", "routes", "consumers", "plugins")),
        f"{base}/entities/services?q=s", f"{base}/entities/services?tags=t",
        *(f"{base}/entities/services/{service}{page}" for page in ("", "/edit", "/delete")),
    ]  # fmt: skip
    few: dict[str, list[str]] = {}
    for page in pages:
        assert (await signed_in.get(page)).status_code == 200
        with _statements(rig) as few[page]:
            assert (await signed_in.get(page)).status_code == 200
    _fill(rig, range(2, 45))
    # What is worked out once for a revision is worked out here.
    await signed_in.get(base)
    for page in pages:
        with _statements(rig) as seen:
            assert (await signed_in.get(page)).status_code == 200
        assert len(seen) == len(few[page]), (page, set(seen) - set(few[page]))
        assert len(seen) <= STATEMENTS_MAX, (page, seen)


async def test_lists_and_tops_name_what_they_link_to(rig: Rig, signed_in: Browser) -> None:
    _fill(rig, range(3))
    routes = (await signed_in.get(f"{rig.plane_path}/entities/routes")).text
    assert all(f">s{n}</a>" in routes for n in range(3))
    traffic = (await signed_in.get(f"{rig.plane_path}/traffic")).text
    assert all(f">{name}</a>" in traffic for name in ("s1", "r1", "c1", "edge-1"))
    overview = (await signed_in.get(rig.plane_path)).text
    assert "<b>3</b><span>Consumers</span>" in overview
    planes = (await signed_in.get("/us/control-planes")).text
    assert "3 connected" in planes
