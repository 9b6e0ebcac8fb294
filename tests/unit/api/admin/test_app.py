"""The Admin API over a real store: what a control plane says of itself, of its nodes, and to whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from tests.asgi import Client
from tests.control_room import Platform, open_platform

from twinplane.api.admin import App, create_app
from twinplane.control import Actor, NodeHello


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path) as opened:
        yield opened


@pytest.fixture
def app(platform: Platform) -> Iterator[App]:
    made = create_app(platform.control, platform.default.scope)
    yield made
    made.close()


async def test_root_names_version_role_and_plugins(app: App) -> None:
    root = await Client(app).json("GET", "/")
    assert root["version"] == "3.9.3"
    assert root["configuration"]["role"] == "control_plane"
    assert root["configuration"]["router_flavor"] == "traditional_compatible"
    assert root["plugins"]["available_on_server"]["key-auth"] == {"version": "3.9.3", "priority": 1250}
    assert root["plugins"]["enabled_in_cluster"] == []
    await Client(app).json("POST", "/plugins", {"name": "cors"}, status=201)
    assert (await Client(app).json("GET", "/"))["plugins"]["enabled_in_cluster"] == ["cors"]


async def test_form_makes_a_service_and_its_route(app: App) -> None:
    client = Client(app)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    made = await client.call("PUT", "/services/demo", b"url=http://127.0.0.1:8007/status", headers=form)
    assert made.status == 200
    assert made.json()["port"] == 8007
    route = await client.call("PUT", "/services/demo/routes/demo", b"paths[]=/demo", headers=form)
    assert route.json()["service"] == {"id": made.json()["id"]}


async def test_nodes_are_listed_and_measured(platform: Platform, app: App) -> None:
    nodes, scope = platform.control.nodes, platform.default.scope
    nodes.record_hello(scope, NodeHello("11111111-1111-4111-8111-111111111111", 'dp"1', "10.0.0.1", "3.9.3"))
    nodes.record_ping(scope, "11111111-1111-4111-8111-111111111111", config_hash="0" * 31 + "f")
    client = Client(app)
    listed = (await client.json("GET", "/clustering/data-planes"))["data"]
    assert [(node["hostname"], node["version"], node["config_hash"]) for node in listed] == [
        ('dp"1', "3.9.3", "0" * 31 + "f")
    ]
    assert set(await client.json("GET", "/clustering/status")) == {listed[0]["id"]}
    metrics = (await client.call("GET", "/metrics")).body.decode()
    assert 'kong_data_plane_config_hash{node_id="11111111-1111-4111-8111-111111111111",hostname="dp\\"1",' in metrics
    assert '"} 15.0\n' in metrics


async def test_another_actor_than_the_api_is_noted(platform: Platform, app: App) -> None:
    await Client(app).json("POST", "/services", {"host": "a.test"}, status=201)
    changes = platform.control.history.list(platform.default.scope)
    assert [(change.actor.kind, change.type_name, change.operation) for change in changes] == [
        ("admin-api", "services", "create")
    ]


async def test_fields_of_later_versions_are_neither_taken_nor_shown(app: App) -> None:
    client = Client(app)
    row = await client.json("POST", "/services", {"host": "a.test"}, status=201)
    assert "tls_sans" not in row
    refused = await client.json("POST", "/services", {"tls_sans": {}, "port": "x"}, status=400)
    assert refused["fields"] == {
        "host": "required field missing",
        "port": "expected an integer",
        "tls_sans": "unknown field",
    }


async def test_foreign_pages_and_names_are_refused_before_anything_is_read(platform: Platform, app: App) -> None:
    body = b"url=http://evil.test"
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://evil.test"}
    assert (await Client(app).call("POST", "/services", body, headers=form)).status == 403
    assert (await Client(app, host="evil.test:8001").call("GET", "/services")).status == 403
    assert (await Client(app).json("GET", "/services"))["data"] == []
    answered = await Client(app).call("GET", "/services")
    assert not any(name.startswith("access-control-") for name in answered.headers)


async def test_every_path_is_listed_and_none_of_them_fails(app: App) -> None:
    client = Client(app)
    paths = (await client.json("GET", "/endpoints"))["data"]
    assert len(paths) > 100
    for path in paths:
        filled = "/".join("x" if part.startswith("{") else part for part in path.split("/"))
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
            received = await client.call(method, filled)
            assert received.status < 500, f"{method} {filled}"
            assert method != "OPTIONS" or "GET" not in received.headers["allow"] or "HEAD" in received.headers["allow"]


async def test_log_level_is_shown_and_changed_for_a_while(app: App) -> None:
    client = Client(app)
    before = (await client.json("GET", "/debug/node/log-level"))["message"]
    assert (await client.json("PUT", "/debug/node/log-level/debug?timeout=60"))["message"] == "log level changed"
    assert (await client.json("GET", "/debug/node/log-level"))["message"] == "log level: debug"
    assert (await client.call("PUT", "/debug/node/log-level/nosuch")).status == 400
    assert (await client.call("PUT", "/debug/node/log-level/info?timeout=-1")).status == 400
    name = before.removeprefix("log level: ")
    assert (await client.json("PUT", f"/debug/node/log-level/{name}?timeout=0"))["message"] == "log level changed"
    assert (await client.json("GET", "/debug/node/log-level"))["message"] == before


async def test_routes_are_written_as_the_flavour_of_the_control_plane_has_them(platform: Platform, app: App) -> None:
    client = Client(app)
    by_expression = {"name": "r", "expression": 'http.path ^= "/a"', "priority": 7}
    refused = await client.json("POST", "/routes", by_expression, status=400)
    assert refused["fields"] == {"expression": "unknown field", "priority": "unknown field"} | {
        name: message for name, message in refused["fields"].items() if name == "@entity"
    }
    scope = platform.default.scope
    platform.control.control_planes.update(
        scope.organization_id,
        "us",
        Actor("system", "system", "test"),
        scope.control_plane_id,
        {"router_flavor": "expressions"},
    )
    made = await client.json("POST", "/routes", by_expression, status=201)
    assert (made["expression"], made["priority"]) == ('http.path ^= "/a"', 7)
    assert (await client.json("GET", "/routes/r"))["priority"] == 7
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    changed = await client.call("PATCH", "/routes/r", b"priority=9", headers=form)
    assert changed.json()["priority"] == 9
    broken = await client.json("PATCH", "/routes/r", {"expression": "http.path =="}, status=400)
    assert "Router Expression failed validation" in broken["message"]
    names = [next(iter(field)) for field in (await client.json("GET", "/schemas/routes"))["fields"]]
    assert {"expression", "priority"} <= set(names)
    exported = orjson.loads(platform.control.export.payload(scope.control_plane_id).json())
    assert [(row["expression"], row["priority"]) for row in exported["routes"]] == [('http.path ^= "/a"', 9)]
