"""What a node is to its control plane: nobody to others, and untrusted in all that it says."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import Leaf
from tests.integration.link_peer import BINARY, Refused, eventually
from tests.integration.real_door import ACTOR, Door, open_door

from twinplane.control import ControlPlane, ControlSettings
from twinplane.control.errors import NameTaken

PATHS = ("/v1/outlet", "/v1/analytics/batches", "/v1/analytics/reqlog", "/v1/ingest")
SECRET = "kept-from-others.example"


class Tenants:
    """Two control planes with a node certificate each; one has something to hide."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.ours, self.theirs = door.plane, door.add_plane("theirs")
        self.our_leaf, self.their_leaf = Leaf.self_signed("ours"), Leaf.self_signed("theirs")
        door.pin(self.ours, self.our_leaf.certificate)
        door.pin(self.theirs, self.their_leaf.certificate)
        door.control.changes.create(self.theirs.scope, ACTOR, "services", {"name": "hidden", "host": SECRET})

    def rows(self, plane: ControlPlane) -> dict[str, Any]:
        return {node.id: node for node in self.door.control.nodes.list(plane.scope)}


@pytest.fixture
async def tenants(tmp_path: Path) -> AsyncIterator[Tenants]:
    async with open_door(tmp_path) as door:
        yield Tenants(door)


# --- one control plane and another ---


@pytest.mark.parametrize("path", PATHS)
async def test_a_certificate_opens_no_path_of_another_control_plane(tenants: Tenants, path: str) -> None:
    kind = "cp0" if path == "/v1/outlet" else "tp0"
    theirs = tenants.door.name(tenants.theirs, kind)
    with pytest.raises(Refused) as error:
        await tenants.door.connect(tenants.our_leaf, theirs, path=path)
    assert error.value.status == 401
    assert SECRET not in error.value.body
    assert tenants.rows(tenants.theirs) == {}


async def test_a_name_in_the_request_changes_nothing(tenants: Tenants) -> None:
    """Neither the `Host` header nor identity headers of a client decide."""
    forged = {
        "Client-Cert": ":AAAA:",
        "Client-Cert-Chain": ":AAAA:",
        "Twinplane-Sni": tenants.door.name(tenants.theirs),
        "X-Forwarded-Host": tenants.door.name(tenants.theirs),
    }
    node = await tenants.door.connect(tenants.our_leaf, tenants.door.name(), headers=forged)
    await node.hello()
    assert SECRET not in json.dumps(await node.configuration())
    with pytest.raises(Refused):
        await tenants.door.connect(None, tenants.door.name(tenants.theirs), headers=forged)


async def test_a_foreign_node_id_reads_and_reports_nothing_of_its_owner(tenants: Tenants) -> None:
    door, node_id = tenants.door, str(uuid.uuid4())
    their_node = await door.connect(tenants.their_leaf, door.name(tenants.theirs), node_id=node_id, hostname="real")
    await their_node.hello()
    assert SECRET in json.dumps(await their_node.configuration())
    await eventually(lambda: node_id in tenants.rows(tenants.theirs), 20)
    impostor = await door.connect(tenants.our_leaf, door.name(), node_id=node_id, hostname="impostor", version="3.8.0")
    await impostor.hello(labels={"claimed": "yes"})
    assert SECRET not in json.dumps(await impostor.configuration())
    await impostor.ping("f" * 32)
    ours = await eventually(lambda: tenants.rows(tenants.ours).get(node_id), 20)
    await eventually(lambda: tenants.rows(tenants.ours)[node_id].config_hash == "f" * 32, 20)
    theirs = tenants.rows(tenants.theirs)[node_id]
    assert (ours.hostname, theirs.hostname, theirs.version, theirs.labels) == ("impostor", "real", "3.9.3", {})
    assert theirs.config_hash != "f" * 32
    await their_node.receive_nothing(0.2)


async def test_telemetry_counts_for_the_control_plane_of_the_certificate(tenants: Tenants) -> None:
    door, node_id = tenants.door, str(uuid.uuid4())
    headers = {"Twinplane-Link": "1"}
    for leaf, plane in ((tenants.our_leaf, tenants.ours), (tenants.their_leaf, tenants.theirs)):
        name = door.name(plane, "tp0")
        node = await door.connect(leaf, name, path="/v1/analytics/batches", node_id=node_id, headers=headers)
        await node.send(BINARY, plane.id.encode())
        await node.receive_kind(BINARY, 20)
    assert [(reporter.control_plane_id, frame.decode()) for reporter, frame in door.intake.taken] == [
        (tenants.ours.id, tenants.ours.id),
        (tenants.theirs.id, tenants.theirs.id),
    ]
    assert {reporter.node_id for reporter, _ in door.intake.taken} == {node_id}


async def test_a_certificate_joins_one_control_plane_only(tenants: Tenants) -> None:
    """What a node joins with is its certificate: it cannot be used for a second control plane, nor pinned twice."""
    for plane in (tenants.ours, tenants.theirs):
        with pytest.raises(NameTaken):
            tenants.door.pin(plane, tenants.our_leaf.certificate)


async def test_a_certificate_is_worth_nothing_without_its_key(tenants: Tenants) -> None:
    stolen = Leaf(tenants.our_leaf.certificate, tenants.their_leaf.key)
    with pytest.raises(OSError, match="KEY_VALUES_MISMATCH"):
        await tenants.door.connect(stolen, tenants.door.name())


# --- what nodes say ---


@pytest.mark.parametrize(
    "said",
    [
        {"hostname": "a" * 254},
        {"hostname": "<script>"},
        {"hostname": "a%0d%0ab"},
        {"hostname": "h%C3%B6st"},
        {"hostname": "a/b"},
        {"version": "3.9.3<b>"},
        {"version": "3.9.3%0a"},
        {"version": "3." + "9" * 64},
        {"node_id": "not-a-uuid"},
        {"node_id": "../../etc/passwd"},
        {"node_id": "%27;--"},
    ],
    ids=lambda said: next(iter(said.values()))[:12],
)
async def test_who_says_odd_things_of_himself_is_refused(tenants: Tenants, said: dict[str, str]) -> None:
    with pytest.raises(Refused) as error:
        await tenants.door.connect(tenants.our_leaf, tenants.door.name(), **said)
    assert error.value.status == 400
    assert tenants.rows(tenants.ours) == {}


async def test_labels_are_kept_where_they_are_labels(tenants: Tenants) -> None:
    good = {f"key-{number}": "value" for number in range(30)}
    bad: dict[str, Any] = {
        "<script>": "x",
        "script": "<script>",
        "long": "v" * 64,
        "k" * 64: "x",
        "ümlaut": "x",
        "line": "a\nb",
        "number": 1,
        "": "x",
    }
    node_id = str(uuid.uuid4())
    node = await tenants.door.connect(tenants.our_leaf, tenants.door.name(), node_id=node_id)
    await node.hello(labels=bad | good)
    row = await eventually(lambda: tenants.rows(tenants.ours).get(node_id), 20)
    assert len(row.labels) == 10
    assert set(row.labels) < set(good)


async def test_what_a_node_tells_is_short_and_in_print(tenants: Tenants) -> None:
    node_id = str(uuid.uuid4())
    headers = {"Twinplane-Link": "1"}
    node = await tenants.door.connect(tenants.our_leaf, tenants.door.name(), node_id=node_id, headers=headers)
    await node.hello()
    message = await node.configuration()
    issue = {"code": "plugin\u001b[31m", "message": "a\nb\u0000c" + "x" * 10_000, "plugin": None, "plugin_id": None}
    applied = {"type": "applied", "config_hash": message["config_hash"], "revision": 1, "epoch": "e", "issues": [issue]}
    await node.send(BINARY, json.dumps(applied).encode())
    await eventually(lambda: tenants.rows(tenants.ours).get(node_id) and tenants.rows(tenants.ours)[node_id].issues, 20)
    (told,) = tenants.rows(tenants.ours)[node_id].issues
    assert (told.code + told.description).isprintable()
    assert len(told.description) <= 512


async def test_made_up_ids_do_not_fill_the_store(tmp_path: Path) -> None:
    settings = ControlSettings(nodes_max=3)
    async with open_door(tmp_path, settings=settings) as door:
        leaf, other = Leaf.self_signed("node"), door.add_plane("other")
        other_leaf = Leaf.self_signed("other")
        door.pin(door.plane, leaf.certificate)
        door.pin(other, other_leaf.certificate)
        await door.joined(other_leaf, door.name(other))
        ids = [str(uuid.uuid4()) for _ in range(6)]
        for node_id in ids:
            node = await door.connect(leaf, door.name(), node_id=node_id)
            await node.hello()
            await node.configuration()
            wanted = node_id
            await eventually(lambda: wanted in {row.id for row in door.control.nodes.list(door.plane.scope)}, 20)  # noqa: B023
            node.close()
            await asyncio.sleep(0.01)
        assert {row.id for row in door.control.nodes.list(door.plane.scope)} == set(ids[-3:])
        assert len(door.control.nodes.list(other.scope)) == 1
