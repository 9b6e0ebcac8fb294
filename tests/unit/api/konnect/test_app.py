"""The Konnect API over a real store: who is let in, by which host, and what is told to the others."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.asgi import Client
from tests.control_room import Platform, open_platform

from twinplane.api.konnect import App, create_app
from twinplane.control import ControlSettings, NodeHello, NodeIssue
from twinplane.control.analytics import Analytics, Retention
from twinplane.store.events import EventStore, EventStoreSettings

PROBLEM = "application/problem+json"
NODE_ID = "11111111-1111-4111-8111-111111111111"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def platform(tmp_path: Path, clock: Clock) -> Iterator[Platform]:
    with open_platform(tmp_path, ControlSettings(domain="t.test", busy_timeout_ms=100), clock=clock) as opened:
        yield opened


@pytest.fixture
def app(platform: Platform) -> Iterator[App]:
    made = create_app(platform.control)
    yield made
    made.close()


async def test_health_needs_no_token_and_checks_the_store(app: App, tmp_path: Path) -> None:
    for host in ("localhost", "us.api.twinplane.localhost", "x.us.portal.twinplane.localhost"):
        assert (await Client(app, host).json("GET", "/health"))["status"] == "ok"
    assert (await Client(app).call("POST", "/health", {})).status == 405
    with contextlib.closing(sqlite3.connect(tmp_path / "control.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert (await Client(app).call("GET", "/health")).status == 503
    assert (await Client(app).call("GET", "/health")).status == 200


async def test_token_is_needed_in_the_form_of_each_part(platform: Platform, app: App) -> None:
    core = f"/v2/control-planes/{platform.default.id}/core-entities/services"
    for token in (None, "wrong", platform.token[:-1]):
        client = Client(app, token=token)
        received = await client.call("GET", core)
        assert (received.status, received.json()) == (401, {"message": "Unauthorized", "status": 401})
        for path in ("/v2/control-planes", "/v3/users/me", "/nosuch", "/openapi.json"):
            received = await client.call("GET", path)
            assert (received.status, received.headers["content-type"]) == (401, PROBLEM)


async def test_expired_and_revoked_tokens_are_refused(platform: Platform, clock: Clock, app: App) -> None:
    tokens, who = platform.control.tokens, platform.principal
    token, secret = tokens.create(who.organization_id, who.user_id, "short", expires_at=clock.now + 90_000)
    client = Client(app, token=secret)
    assert (await client.call("GET", "/v2/organizations/me")).status == 200
    clock.now += 90_001
    assert (await client.call("GET", "/v2/organizations/me")).status == 401
    clock.now -= 90_001
    tokens.revoke(who.organization_id, who.user_id, token.id)
    assert (await client.call("GET", "/v2/organizations/me")).status == 401


async def test_word_before_the_token_is_not_told_by_its_case(platform: Platform, app: App) -> None:
    for value, status in ((f"bearer {platform.token}", 200), (f"Basic {platform.token}", 401), (platform.token, 401)):
        received = await Client(app).call("GET", "/v2/organizations/me", headers={"Authorization": value})
        assert received.status == status


async def test_services_that_are_not_enabled_say_so(platform: Platform, app: App) -> None:
    for host, service in (("p.us.portal.t.test", "portal"), ("us.mesh.sync.t.test", "mesh")):
        received = await Client(app, host, platform.token).call("GET", "/v2/control-planes")
        assert received.status == 404
        assert service in received.json()["detail"]


async def test_region_of_the_host_is_served_or_refused(platform: Platform, app: App) -> None:
    core = f"/v2/control-planes/{platform.default.id}/core-entities/services"
    for host in ("us.api.t.test", "global.api.t.test", "localhost", "127.0.0.1:9443"):
        client = Client(app, host, platform.token)
        assert (await client.json("GET", "/v2/control-planes"))["meta"]["page"]["total"] == 1
        assert (await client.json("GET", core))["data"] == []
    client = Client(app, "eu.api.t.test", platform.token)
    received = await client.call("GET", "/v2/control-planes")
    assert (received.status, received.headers["content-type"]) == (404, PROBLEM)
    received = await client.call("GET", core)
    assert (received.status, received.json()) == (404, {"message": "Not found"})


async def test_core_entities_answer_under_older_names_too(platform: Platform, app: App) -> None:
    client = Client(app, token=platform.token)
    plane = platform.default.id
    path = f"/v2/runtime-groups/{plane}/core-entities/services"
    row = await client.json("POST", path, {"host": "a.test"}, status=201)
    page = await client.json("GET", f"/konnect-api/api/runtime_groups/{plane}/core-entities/services?size=1")
    assert [one["id"] for one in page["data"]] == [row["id"]]
    assert (await client.call("GET", "/v2/control-planes/nosuch/core-entities/services")).status == 404
    assert (await client.call("GET", f"/v2/control-planes/{plane}/core-entities")).status == 404
    assert (await client.call("GET", f"/v2/control-planes/{plane}/core-entities-x")).status == 404


async def test_licences_are_kept_as_they_were_given(platform: Platform, app: App) -> None:
    client = Client(app, token=platform.token)
    path = f"/v2/control-planes/{platform.default.id}/core-entities/licenses"
    text = '{"license":{"version":1,"payload":{"license_expiration_date":"2027-01-01"}}}'
    made = await client.json("POST", path, {"payload": text}, status=201)
    assert made["payload"] == text
    assert (await client.json("GET", f"{path}/{made['id']}"))["payload"] == text
    assert (await client.call("POST", path, {"payload": text})).status == 409
    for wrong in ("no json", "[1]", "{}", "x" * 65_537, "[" * 60_000):
        assert (await client.call("POST", path, {"payload": wrong})).status == 400
    assert (await client.call("DELETE", f"{path}/{made['id']}")).status == 204
    assert (await client.json("GET", path))["data"] == []


async def test_next_leads_on_as_it_is_written(platform: Platform, app: App) -> None:
    client = Client(app, token=platform.token)
    base = f"/v2/control-planes/{platform.default.id}/core-entities/consumers"
    for name in ("a", "b", "c"):
        await client.json("POST", base, {"username": name, "tags": ["t"]}, status=201)
    seen, target = [], f"{base}?size=2&tags=t"
    while target:
        page = await client.json("GET", target)
        seen += [row["username"] for row in page["data"]]
        target = page["next"]
    assert sorted(seen) == ["a", "b", "c"]


async def test_nodes_are_shown_with_their_issues(platform: Platform, app: App) -> None:
    nodes, scope = platform.control.nodes, platform.default.scope
    nodes.record_hello(scope, NodeHello(NODE_ID, "dp-1", "10.0.0.1", "3.9.3", labels={"a": "b"}))
    nodes.record_issues(scope, NODE_ID, [NodeIssue("P1", "error", "cannot run acme", affected_resources=[{"id": "x"}])])
    client = Client(app, token=platform.token)
    base = f"/v2/control-planes/{platform.default.id}/nodes"
    shown = (await client.json("GET", f"{base}/{NODE_ID}"))["item"]
    assert shown["hostname"] == "dp-1"
    assert shown["labels"] == {"a": "b"}
    assert shown["compatibility_status"]["issues"][0]["code"] == "P1"
    assert (await client.json("GET", base))["page"]["total_count"] == 1
    await client.json("DELETE", f"{base}/{NODE_ID}", status=204)
    assert (await client.call("GET", f"{base}/{NODE_ID}")).status == 404
    assert (await client.call("DELETE", f"{base}/{NODE_ID}")).status == 404


async def test_bodies_that_are_not_read(platform: Platform) -> None:
    app = create_app(platform.control, body_bytes_max=1000)
    client = Client(app, token=platform.token)
    path = "/v2/control-planes"
    assert (await client.call("POST", path, b"x" * 1001)).status == 413
    assert (await client.call("POST", path, b"{bad")).status == 400
    assert (await client.call("POST", path, b"[" * 900)).status == 400
    assert (await client.call("POST", path, b'{"name":"\xff"}')).status == 400
    assert (await client.call("POST", path, b'"text"')).status == 400
    typed = await client.call("POST", path, b"name=x", headers={"Content-Type": "text/plain"})
    assert (typed.status, typed.headers["content-type"]) == (415, PROBLEM)
    app.close()


async def test_analytics_is_asked_for_the_control_planes_in_sight(platform: Platform, tmp_path: Path) -> None:
    analytics = Analytics(EventStore(tmp_path / "events.duckdb", EventStoreSettings()), Retention())
    app = create_app(platform.control, analytics=analytics)
    query = {"time_range": {"type": "relative", "time_range": "6H"}}
    client = Client(app, token=platform.token)
    answer = await client.json("POST", "/v2/api-requests", query)
    assert answer["results"] == []
    period = {"type": "relative", "time_range": "6h"}
    metrics = {"time_range": period, "metrics": ["request_count"], "dimensions": ["control_plane"]}
    assert "data" in await client.json("POST", "/v2/metrics", metrics)
    assert (await Client(app).call("POST", "/v2/api-requests", query)).status == 401
    app.close()
    analytics.close()
