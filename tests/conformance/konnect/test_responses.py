"""Answers of the Konnect face, each checked against its OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.asgi import Client, Received
from tests.certificates import self_signed
from tests.conformance.konnect.openapi import FOLDER, Document, document
from tests.control_room import Platform, open_platform

from twinplane.api.konnect import create_app

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"the API documents are not at {FOLDER}")

PLANES = ("control-planes/v2", "/v2")
CONFIG = ("control-planes-config/v2", "/v2")
IDENTITY = ("identity/v3", "/v3")


# Bodies of entities are the same on both faces, and there Kong says null.
_KNOWN = re.compile(r"healthchecks\.active\.(headers|https_sni): null is not allowed")


@dataclass(frozen=True)
class Checked:
    """A client whose every answer is checked."""

    client: Client
    document: Document

    async def call(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        received = await self.client.call(method, path, body)
        assert received.status == status, f"{method} {path}: {received.status} {received.body[:500]!r}"
        self.check(method, path, received)
        return received.json() if received.body else None

    def check(self, method: str, path: str, received: Received) -> None:
        found = [one for one in self.document.violations(method, path, received) if not _KNOWN.search(one)]
        assert not found, f"{method} {path} {received.status}: {found}"


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path) as opened:
        yield opened


def client(platform: Platform, host: str = "us.api.twinplane.localhost") -> Client:
    return Client(create_app(platform.control), host, platform.token)


async def test_control_planes(platform: Platform) -> None:
    api = Checked(client(platform), document(*PLANES))
    labels = {"KONGCTL-namespace": "default", "env": "test"}
    body = {"name": "cp-a", "description": "one", "labels": labels, "proxy_urls": [_url("a.test")]}
    made = await api.call("POST", "/v2/control-planes", body, status=201)
    assert made["labels"] == labels
    assert made["config"]["cluster_type"] == "CLUSTER_TYPE_CONTROL_PLANE"
    path = f"/v2/control-planes/{made['id']}"
    assert await api.call("GET", path) == made
    kept = {"KONGCTL-namespace": "default", "env": None}
    changed = await api.call("PATCH", path, {"labels": kept, "description": "two"})
    assert changed["labels"] == {"KONGCTL-namespace": "default"}
    assert changed["description"] == "two"
    listed = await api.call("GET", "/v2/control-planes?page[number]=1&page[size]=10")
    assert {plane["name"] for plane in listed["data"]} == {"default", "cp-a"}
    assert listed["meta"]["page"] == {"number": 1, "size": 10, "total": 2}
    beyond = await api.call("GET", "/v2/control-planes?page[number]=9&page[size]=10")
    assert beyond["data"] == []
    await api.call("DELETE", path, status=204)
    await api.call("GET", path, status=404)


def _url(host: str) -> dict[str, Any]:
    return {"host": host, "port": 443, "protocol": "https"}


async def test_explicit_nulls_count_as_left_out(platform: Platform) -> None:
    api = Checked(client(platform), document(*PLANES))
    nulls = dict.fromkeys(("description", "auth_type", "cluster_type", "cloud_gateway", "proxy_urls", "labels"))
    made = await api.call("POST", "/v2/control-planes", {"name": "cp-n", **nulls}, status=201)
    assert made["description"] == ""
    assert made["labels"] == {}


async def test_control_planes_are_found_by_filter_and_label(platform: Platform) -> None:
    api = Checked(client(platform), document(*PLANES))
    for name in ("alpha", "beta"):
        await api.call("POST", "/v2/control-planes", {"name": name, "labels": {"team": name}}, status=201)

    async def names(query: str) -> set[str]:
        listed = await api.call("GET", f"/v2/control-planes?{query}")
        return {plane["name"] for plane in listed["data"]}

    assert await names("filter[name][eq]=alpha") == {"alpha"}
    assert await names("filter%5Bname%5D%5Bcontains%5D=eta") == {"beta"}
    assert await names("filter[name][neq]=alpha") == {"default", "beta"}
    assert await names("labels=team:beta") == {"beta"}
    assert await names("labels=team") == {"alpha", "beta"}
    assert await names("nosuch=1") == {"default", "alpha", "beta"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name"}),
        ({"name": "x"}, {"name"}),
        ({"name": 5, "description": 7, "nosuch": 1}, {"name", "description", "nosuch"}),
        ({"name": "ok", "cluster_type": "NOSUCH"}, {"cluster_type"}),
        ({"name": "ok", "proxy_urls": [{"host": "h"}]}, {"proxy_urls.0.port", "proxy_urls.0.protocol"}),
    ],
)
async def test_bad_control_plane_is_told_everything(platform: Platform, body: Any, fields: set[str]) -> None:
    api = Checked(client(platform), document(*PLANES))
    problem = await api.call("POST", "/v2/control-planes", body, status=400)
    assert {entry["field"] for entry in problem["invalid_parameters"]} == fields


async def test_taken_name_is_a_conflict(platform: Platform) -> None:
    api = Checked(client(platform), document(*PLANES))
    await api.call("POST", "/v2/control-planes", {"name": "twice"}, status=201)
    await api.call("POST", "/v2/control-planes", {"name": "twice"}, status=409)


async def test_predefined_control_plane_stays(platform: Platform) -> None:
    api = Checked(client(platform), document(*PLANES))
    await api.call("DELETE", f"/v2/control-planes/{platform.default.id}", status=403)


async def test_missing_and_wrong_tokens_are_unauthenticated(platform: Platform) -> None:
    for token in (None, "", "kpat_nosuch", platform.token + "x", "x" * 10_000):
        api = Checked(Client(create_app(platform.control), "localhost", token), document(*PLANES))
        await api.call("GET", "/v2/control-planes", status=401)


async def test_node_certificates(platform: Platform) -> None:
    api = Checked(client(platform), document(*CONFIG))
    base = f"/v2/control-planes/{platform.default.id}/dp-client-certificates"
    first, second = self_signed("node-a"), self_signed("node-b")
    made = await api.call("POST", base, {"cert": first, "title": "a"}, status=201)
    assert made["item"]["title"] == "a"
    path = f"{base}/{made['item']['id']}"
    assert await api.call("GET", path) == made
    changed = await api.call("PUT", path, {"cert": second})
    assert changed["item"]["id"] == made["item"]["id"]
    listed = await api.call("GET", base)
    assert [item["cert"] for item in listed["items"]] == [changed["item"]["cert"]]
    assert listed["page"]["total_count"] == 1
    await api.call("DELETE", path, status=204)
    assert (await api.client.call("GET", path)).status == 404
    refused = await api.client.call("POST", base, {"cert": "nonsense"})
    assert refused.status == 400
    assert refused.headers["content-type"] == "application/problem+json"


async def test_nodes_and_expected_configuration(platform: Platform) -> None:
    api = Checked(client(platform), document(*CONFIG))
    base = f"/v2/control-planes/{platform.default.id}"
    before = await api.call("GET", f"{base}/expected-config-hash")
    await api.client.json("POST", f"{base}/core-entities/services", {"name": "s", "host": "h.test"}, status=201)
    after = await api.call("GET", f"{base}/expected-config-hash")
    assert len(after["expected_hash"]) == 32
    assert before["expected_hash"] != after["expected_hash"]
    await api.call("GET", f"{base}/expected-config-version")
    for path in ("nodes", "nodes/eol", "nodes?page[size]=5&page[after]="):
        assert (await api.call("GET", f"{base}/{path}"))["items"] == []


async def test_who_asks(platform: Platform) -> None:
    for host in ("localhost", "global.api.twinplane.localhost", "us.api.twinplane.localhost"):
        api = Checked(client(platform, host), document(*IDENTITY))
        organization = await api.call("GET", "/v3/organizations/me")
        assert organization["id"] == platform.principal.organization_id
        user = await api.call("GET", "/v3/users/me")
        assert user["id"] == platform.principal.user_id
        assert (await api.client.json("GET", "/v2/organizations/me"))["name"] == organization["name"]


CORE = (
    ("services", {"name": "svc", "host": "svc.test"}),
    ("routes", {"name": "rt", "paths": ["/a"]}),
    ("consumers", {"username": "con"}),
    ("upstreams", {"name": "ups.test"}),
    ("plugins", {"name": "rate-limiting", "config": {"minute": 5}}),
    ("vaults", {"prefix": "my-env", "name": "env", "config": {"prefix": "X_"}}),
    ("key-sets", {"name": "ks"}),
)


@pytest.mark.parametrize(("collection", "body"), CORE)
async def test_core_entities(platform: Platform, collection: str, body: dict[str, Any]) -> None:
    api = Checked(client(platform), document(*CONFIG))
    base = f"/v2/control-planes/{platform.default.id}/core-entities/{collection}"
    made = await api.call("POST", base, body, status=201)
    assert await api.call("GET", f"{base}/{made['id']}") == made
    replaced = await api.call("PUT", f"{base}/{made['id']}", body)
    assert replaced["id"] == made["id"]
    listed = await api.client.json("GET", f"{base}?offset=&size=10")
    assert listed["data"] == [replaced]
    assert "offset" not in listed
    await api.call("DELETE", f"{base}/{made['id']}", status=204)
    assert (await api.client.call("GET", f"{base}/{made['id']}")).json() == {"message": "Not found"}


async def test_core_entities_say_unauthorized_in_kongs_form(platform: Platform) -> None:
    api = Checked(Client(create_app(platform.control), "localhost", "wrong"), document(*CONFIG))
    path = f"/v2/control-planes/{platform.default.id}/core-entities/services"
    assert await api.call("GET", path, status=401) == {"message": "Unauthorized", "status": 401}
