"""The requests that decK was seen to make, in its order, against both faces: the program itself works unchanged."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.asgi import Client
from tests.control_room import Platform, open_platform

from twinplane.api import admin, konnect
from twinplane.control import ControlSettings

_LISTS = (
    "services",
    "routes",
    "plugins",
    "upstreams",
    "targets",
    "certificates",
    "ca_certificates",
    "snis",
    "vaults",
    "keys",
    "key-sets",
    "consumers",
    "key-auths",
    "basic-auths",
    "jwts",
    "acls",
    "hmac-auths",
)
_TOLERATED = (
    "partials",
    "filter-chains",
    "consumer_groups",
    "mtls-auths",
    "degraphql_routes",
    "ai-models",
    "graphql-rate-limiting-advanced/costs",
)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path, ControlSettings(domain="konghq.local")) as opened:
        yield opened


def new_id() -> str:
    """An id as decK makes it."""
    return str(uuid.uuid4())


class Konnect:
    """decK's Konnect mode."""

    validated_status = 201
    has_json_schemas = True

    def __init__(self, platform: Platform) -> None:
        self.client = Client(konnect.create_app(platform.control), "us.api.konghq.local", platform.token)
        self.root = Client(self.client.app, "global.api.konghq.local", platform.token)
        self.base = ""

    async def ping(self) -> None:
        me = await self.root.json("GET", "/v2/organizations/me")
        assert me["name"]
        assert me["id"]
        groups = await self.client.json("GET", "/konnect-api/api/runtime_groups?page=1&size=100")
        assert groups["page"] == 1
        assert groups["pageCount"] == 1
        chosen = next(group for group in groups["data"] if group["name"] == "default")
        self.base = f"/v2/control-planes/{chosen['id']}/core-entities"

    async def targets(self, _upstream_id: str) -> list[Any]:
        return await self.all("targets")

    async def all(self, collection: str) -> list[Any]:
        return await _all(self.client, f"{self.base}/{collection}")


class Gateway:
    """decK's gateway mode."""

    validated_status = 200
    has_json_schemas = False

    def __init__(self, platform: Platform) -> None:
        self.client = Client(admin.create_app(platform.control, platform.default.scope), "localhost:8001")
        self.base = ""

    async def ping(self) -> None:
        assert (await self.client.json("GET", "/"))["version"] == "3.9.3"

    async def targets(self, upstream_id: str) -> list[Any]:
        return await self.all(f"upstreams/{upstream_id}/targets")

    async def all(self, collection: str) -> list[Any]:
        return await _all(self.client, f"{self.base}/{collection}")


async def _all(client: Client, path: str) -> list[Any]:
    rows: list[Any] = []
    query = "?size=1000"
    while True:
        page = await client.json("GET", path + query)
        rows += page["data"]
        if not page.get("offset"):
            assert "offset" not in page
            return rows
        query = f"?size=1000&offset={quote(page['offset'])}"


@pytest.fixture(params=[Konnect, Gateway])
async def mode(request: pytest.FixtureRequest, platform: Platform) -> Any:
    made = request.param(platform)
    await made.ping()
    return made


async def dump(mode: Any) -> dict[str, list[Any]]:
    """What decK lists before each of its commands."""
    found = {}
    for collection in _LISTS:
        if collection == "targets":
            lists = [await mode.targets(upstream["id"]) for upstream in await mode.all("upstreams")]
            found["targets"] = lists[0] if lists else []
        else:
            found[collection] = await mode.all(collection)
    for collection in _TOLERATED:
        received = await mode.client.call("GET", f"{mode.base}/{collection}?size=1000")
        assert received.status in {200, 400, 404}, collection
    return found


async def sync(mode: Any) -> dict[str, Any]:
    """The creations of a first sync, by stage; every id is decK's own."""
    ids = {
        name: new_id() for name in ("service", "route", "upstream", "target", "consumer", "key", "jwt", "acl", "plugin")
    }
    if mode.has_json_schemas:
        for entity in ("service", "route", "upstream", "target"):
            schema = await mode.client.json("GET", f"{mode.base}/v1/schemas/json/{entity}")
            assert schema["properties"]
        defaults = await mode.client.json("GET", f"{mode.base}/v1/schemas/json/service")
        assert defaults["properties"]["retries"]["default"] == 5
    else:
        for entity in ("services", "routes", "upstreams", "targets"):
            assert (await mode.client.json("GET", f"/schemas/{entity}"))["fields"]

    async def put(path: str, body: dict[str, Any]) -> Any:
        row = await mode.client.json("PUT", f"{mode.base}/{path}", body)
        assert row["id"] == path.rpartition("/")[2]
        return row

    consumer = f"consumers/{ids['consumer']}"
    await put(consumer, {"id": ids["consumer"], "username": "reader", "tags": ["t1"]})
    await put(f"services/{ids['service']}", {"id": ids["service"], "name": "books", "host": "books.test", "port": 80})
    await put(f"upstreams/{ids['upstream']}", {"id": ids["upstream"], "name": "books.test", "slots": 10000})
    await put(f"{consumer}/key-auth/{ids['key']}", {"id": ids["key"], "key": "secret-key"})
    await put(f"{consumer}/jwt/{ids['jwt']}", {"id": ids["jwt"], "key": "issuer", "secret": "s"})
    await put(f"{consumer}/acls/{ids['acl']}", {"id": ids["acl"], "group": "readers"})
    if isinstance(mode, Konnect):
        target = f"upstreams/{ids['upstream']}/targets/{ids['target']}"
        assert (await put(target, {"id": ids["target"], "target": "10.0.0.1:80"}))["weight"] == 100
    route = {"id": ids["route"], "name": "books", "paths": ["/books"], "service": {"id": ids["service"]}}
    await put(f"routes/{ids['route']}", route)
    assert (await mode.client.json("GET", f"{mode.base}/schemas/plugins/rate-limiting"))["fields"]
    plugin = {"id": ids["plugin"], "name": "rate-limiting", "config": {"minute": 5}, "service": {"id": ids["service"]}}
    await put(f"plugins/{ids['plugin']}", plugin)
    return ids


async def test_first_dump_is_empty(mode: Any) -> None:
    assert not any((await dump(mode)).values())


async def test_what_was_synced_is_dumped_with_its_references(mode: Any) -> None:
    ids = await sync(mode)
    found = await dump(mode)
    assert [row["id"] for row in found["services"]] == [ids["service"]]
    assert found["routes"][0]["service"] == {"id": ids["service"]}
    for collection in ("key-auths", "jwts", "acls"):
        assert found[collection][0]["consumer"] == {"id": ids["consumer"]}
    plugin = found["plugins"][0]
    assert plugin["service"] == {"id": ids["service"]}
    assert plugin["config"]["policy"] == "local"
    assert plugin["config"]["hour"] is None
    assert plugin["enabled"] is True
    assert set(plugin["protocols"]) == {"grpc", "grpcs", "http", "https"}


async def test_update_by_put_replaces_and_keeps_created_at(mode: Any) -> None:
    ids = await sync(mode)
    path = f"{mode.base}/services/{ids['service']}"
    before = await mode.client.json("GET", path)
    after = await mode.client.json("PUT", path, {**before, "retries": 2, "tags": None})
    assert after["created_at"] == before["created_at"]
    assert after["retries"] == 2
    again = await mode.client.json("PUT", path, {"id": ids["service"], "host": "books.test"})
    assert again["name"] is None
    assert again["retries"] == 5


async def test_tags_choose_what_is_listed(mode: Any) -> None:
    ids = await sync(mode)
    listed = await mode.client.json("GET", f"{mode.base}/consumers?size=1000&tags=t1")
    assert [row["id"] for row in listed["data"]] == [ids["consumer"]]
    assert (await mode.client.json("GET", f"{mode.base}/consumers?size=1000&tags=t1,t2"))["data"] == []


async def test_reset_deletes_all_of_it(mode: Any) -> None:
    ids = await sync(mode)
    consumer = f"consumers/{ids['consumer']}"
    for path in (
        f"plugins/{ids['plugin']}",
        f"routes/{ids['route']}",
        f"services/{ids['service']}",
        f"upstreams/{ids['upstream']}",
        f"{consumer}/key-auth/{ids['key']}",
        f"{consumer}/jwt/{ids['jwt']}",
        f"{consumer}/acls/{ids['acl']}",
        consumer,
    ):
        await mode.client.json("DELETE", f"{mode.base}/{path}", status=204)
    assert not any((await dump(mode)).values())


async def test_validate_checks_by_table_name(mode: Any) -> None:
    for table, good in (
        ("services", {"host": "h"}),
        ("routes", {"paths": ["/a"]}),
        ("consumers", {"username": "u"}),
        ("plugins", {"name": "key-auth"}),
        ("upstreams", {"name": "u.test"}),
        ("keyauth_credentials", {"key": "k", "consumer": {"id": new_id()}}),
        ("acls", {"group": "g", "consumer": {"id": new_id()}}),
    ):
        path = f"{mode.base}/schemas/{table}/validate"
        answer = await mode.client.json("POST", path, good, status=mode.validated_status)
        assert answer == {"message": "schema validation successful"}
        refused = await mode.client.json("POST", path, {**good, "nosuch": 1}, status=400)
        assert "nosuch: unknown field" in refused["message"]


async def test_workspace_default_is_no_prefix_of_its_own(platform: Platform) -> None:
    mode = Konnect(platform)
    await mode.ping()
    await sync(mode)
    assert (await mode.client.json("GET", f"{mode.base}/workspaces/default"))["name"] == "default"
    assert (await mode.client.call("GET", f"{mode.base}/workspaces/team1")).status == 404
    assert len(await _all(mode.client, f"{mode.base}/default/services")) == 1


async def test_refusals_carry_a_message(mode: Any) -> None:
    received = await mode.client.call(
        "PUT", f"{mode.base}/routes/{new_id()}", {"paths": ["/a"], "service": {"id": new_id()}}
    )
    assert received.status == 400
    assert "does not reference an existing 'services' entity" in received.json()["message"]
    received = await mode.client.call("PUT", f"{mode.base}/services/{new_id()}", {"nosuch": 1, "port": "x"})
    assert received.status == 400
    assert received.json()["message"].startswith("3 schema violations (")


async def test_defaults_of_the_json_schemas_are_those_of_the_rows(platform: Platform) -> None:
    mode = Konnect(platform)
    await mode.ping()
    ids = await sync(mode)
    for entity, collection in (("service", "services"), ("route", "routes"), ("upstream", "upstreams")):
        schema = await mode.client.json("GET", f"{mode.base}/v1/schemas/json/{entity}")
        row = await mode.client.json("GET", f"{mode.base}/{collection}/{ids[entity]}")
        assert row.keys() == schema["properties"].keys()
        filled = {name for name, value in row.items() if value not in (None, [], {})}
        assert filled <= {*schema["properties"], "id"}
    target = (await mode.all("targets"))[0]
    schema = await mode.client.json("GET", f"{mode.base}/v1/schemas/json/target")
    assert target.keys() == schema["properties"].keys()
    assert target["failover"] == schema["properties"]["failover"]["default"]


async def test_consumer_groups_have_members_in_either_form(platform: Platform) -> None:
    mode = Konnect(platform)
    await mode.ping()
    call, base = mode.client.json, mode.base
    group, consumer, other = new_id(), new_id(), new_id()
    made = await call("POST", f"{base}/v1/consumer-groups", {"id": group, "name": "gold", "tags": ["t"]}, status=201)
    assert made["item"]["id"] == group
    for identity, name in ((consumer, "ada"), (other, "bob")):
        await call("PUT", f"{base}/consumers/{identity}", {"id": identity, "username": name})
    await call("POST", f"{base}/v1/consumers/{consumer}/groups/{group}/members", status=201)
    await call("POST", f"{base}/consumer_groups/{group}/consumers", {"consumer": other}, status=201)
    shown = await call("GET", f"{base}/consumer_groups/gold")
    assert shown["consumer_group"]["id"] == group
    assert {row["id"] for row in shown["consumers"]} == {consumer, other}
    assert [row["id"] for row in await mode.all("consumer_groups")] == [group]
    assert [row["name"] for row in await mode.all(f"consumers/{other}/consumer_groups")] == ["gold"]
    await call("DELETE", f"{base}/consumer_groups/{group}/consumers/{other}", status=204)
    await call("DELETE", f"{base}/v1/consumers/{consumer}/groups/{group}/members", status=204)
    assert (await call("GET", f"{base}/consumer_groups/gold"))["consumers"] == []
    replaced = await call("PUT", f"{base}/v1/consumer-groups/{group}", {"name": "golden"})
    assert replaced["item"]["name"] == "golden"
    await call("DELETE", f"{base}/consumer_groups/{group}", status=204)
    assert await mode.all("consumer_groups") == []
