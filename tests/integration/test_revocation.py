"""What ends a node's right to be in: asked of a real responder, and enforced on live links through the real door."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.certificates import Authority, Leaf
from tests.integration.link_peer import Refused, eventually
from tests.integration.ocsp_responder import Responder
from tests.integration.real_door import ACTOR, Door, open_door

from twinplane.control import ControlPlane
from twinplane.hybrid.ocsp import OcspSettings

ON = OcspSettings("on", allows_loopback=True, believed_s=0.2, timeout_s=15.0)
OPTIONAL = dataclasses.replace(ON, mode="optional")


@pytest.fixture
async def responder() -> AsyncIterator[Responder]:
    made = Responder(Authority("company"))
    await made.start()
    yield made
    await made.stop()


def trusting(door: Door, authority: Authority) -> ControlPlane:
    plane = door.add_plane("company", auth_type="pki_client_certs")
    door.pin(plane, authority.certificate)
    return plane


async def is_refused(door: Door, leaf: Leaf, name: str) -> bool:
    try:
        node = await door.connect(leaf, name)
    except Refused as error:
        return error.status == 401
    node.close()
    return False


# --- OCSP ---


@pytest.mark.parametrize("settings", [ON, OPTIONAL], ids=["on", "optional"])
async def test_who_is_revoked_stays_out(tmp_path: Path, responder: Responder, settings: OcspSettings) -> None:
    good, bad = responder.leaf("good"), responder.leaf("bad")
    responder.revoke(bad)
    async with open_door(tmp_path, ocsp=settings) as door:
        name = door.name(trusting(door, responder.authority))
        await door.joined(good, name)
        assert await is_refused(door, bad, name)
        assert len(responder.asked) >= 2


@pytest.mark.parametrize("settings", [ON, OPTIONAL], ids=["on", "optional"])
async def test_who_is_revoked_later_is_put_out(tmp_path: Path, responder: Responder, settings: OcspSettings) -> None:
    leaf, other = responder.leaf("node"), responder.leaf("other")
    async with open_door(tmp_path, ocsp=settings) as door:
        name = door.name(trusting(door, responder.authority))
        node, stays = await door.joined(leaf, name), await door.joined(other, name)
        responder.revoke(leaf)
        assert await node.ended(20)
        assert await is_refused(door, leaf, name)
        await stays.receive_nothing(0.3)


FAULTS = {
    "status": lambda responder: setattr(responder, "status", 500),
    "redirect": lambda responder: (setattr(responder, "status", 302), setattr(responder, "location", "http://[::1]/")),
    "silence": lambda responder: setattr(responder, "is_silent", True),
    "noise": lambda responder: setattr(responder, "raw", b"no answer at all"),
    "too much": lambda responder: setattr(responder, "raw", b"0" * 100_000),
    "outdated": lambda responder: setattr(responder, "begin", timedelta(hours=-2)),
    "future": lambda responder: setattr(responder, "begin", timedelta(hours=2)),
    "unknown": lambda responder: responder.unknown.update(responder.certificates),
    "forged": lambda responder: setattr(responder, "signer", Authority("company").leaf("company")),
    "no delegate": lambda responder: setattr(responder, "signer", responder.authority.leaf("anybody")),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_without_an_answer_the_setting_decides(tmp_path: Path, responder: Responder, fault: str) -> None:
    leaf = responder.leaf("node")
    FAULTS[fault](responder)
    timeout_s = 1.0 if fault == "silence" else ON.timeout_s
    async with open_door(tmp_path, ocsp=dataclasses.replace(ON, timeout_s=timeout_s)) as strict:
        name = strict.name(trusting(strict, responder.authority))
        assert await is_refused(strict, leaf, name)
        checker = strict.server.gatekeeper.ocsp
        assert checker is not None
        assert (checker.facts.failed_total, checker.facts.refused_total) == (1, 1)
    (tmp_path / "lenient").mkdir()
    async with open_door(tmp_path / "lenient", ocsp=dataclasses.replace(OPTIONAL, timeout_s=timeout_s)) as lenient:
        await lenient.joined(leaf, lenient.name(trusting(lenient, responder.authority)))


async def test_a_forged_revocation_puts_nobody_out(tmp_path: Path, responder: Responder) -> None:
    leaf = responder.leaf("node")
    responder.revoke(leaf)
    responder.signer = Authority("company").leaf("company")
    async with open_door(tmp_path, ocsp=OPTIONAL) as door:
        await door.joined(leaf, door.name(trusting(door, responder.authority)))


async def test_a_delegate_of_the_authority_may_answer(tmp_path: Path, responder: Responder) -> None:
    good, bad = responder.leaf("good"), responder.leaf("bad")
    responder.revoke(bad)
    responder.signer = responder.authority.leaf("responder", is_responder=True)
    async with open_door(tmp_path, ocsp=ON) as door:
        name = door.name(trusting(door, responder.authority))
        await door.joined(good, name)
        assert await is_refused(door, bad, name)


async def test_an_answer_is_remembered_and_outlives_its_responder(tmp_path: Path, responder: Responder) -> None:
    leaf = responder.leaf("node")
    async with open_door(tmp_path, ocsp=dataclasses.replace(ON, believed_s=60)) as door:
        name = door.name(trusting(door, responder.authority))
        for _ in range(3):
            await door.joined(leaf, name)
        assert len(responder.asked) == 1
    (tmp_path / "second").mkdir()
    async with open_door(tmp_path / "second", ocsp=ON) as door:
        name = door.name(trusting(door, responder.authority))
        node = await door.joined(leaf, name)
        checker = door.server.gatekeeper.ocsp
        assert checker is not None
        await responder.stop()
        # Still valid, so the fleet does not go down with the responder.
        await eventually(lambda: checker.facts.failed_total >= 1, within=20)
        await node.receive_nothing(0.3)
        await door.joined(leaf, name)
        # One that nobody has vouched for yet is another matter.
        assert await is_refused(door, responder.leaf("new"), name)


async def test_an_answer_without_an_end_is_valid_while_it_is_believed(tmp_path: Path, responder: Responder) -> None:
    leaf = responder.leaf("node")
    responder.lifetime = None
    async with open_door(tmp_path, ocsp=ON) as door:
        node = await door.joined(leaf, door.name(trusting(door, responder.authority)))
        await responder.stop()
        assert await node.ended(20)


async def test_what_is_remembered_is_bounded(tmp_path: Path, responder: Responder) -> None:
    leaves = [responder.leaf(f"node {number}") for number in range(3)]
    settings = dataclasses.replace(ON, believed_s=60, entries_max=2)
    async with open_door(tmp_path, ocsp=settings) as door:
        name = door.name(trusting(door, responder.authority))
        for leaf in [*leaves, leaves[0]]:
            node = await door.connect(leaf, name)
            node.close()
        assert len(responder.asked) == 4


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ldap://127.0.0.1/ocsp",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://user:password@127.0.0.1/",
        "http://no-such-host.invalid/",
        "http://0.0.0.0/",
    ],
)
async def test_nothing_is_asked_where_nothing_may_be_fetched(tmp_path: Path, responder: Responder, url: str) -> None:
    leaf = responder.leaf("node", url=url)
    async with open_door(tmp_path, ocsp=ON) as door:
        assert await is_refused(door, leaf, door.name(trusting(door, responder.authority)))
    assert responder.asked == []


async def test_this_machine_is_asked_only_where_a_setting_says_so(tmp_path: Path, responder: Responder) -> None:
    leaf = responder.leaf("node")
    async with open_door(tmp_path, ocsp=dataclasses.replace(ON, allows_loopback=False)) as door:
        assert await is_refused(door, leaf, door.name(trusting(door, responder.authority)))
    assert responder.asked == []


async def test_pinned_and_shared_certificates_are_not_asked_about(tmp_path: Path, responder: Responder) -> None:
    leaf = responder.leaf("node")
    responder.revoke(leaf)
    async with open_door(tmp_path, ocsp=ON) as door:
        door.pin(door.plane, leaf.certificate)
        await door.joined(leaf, door.name())
    assert responder.asked == []


# --- live links ---


async def test_a_removed_authority_ends_the_links_of_its_nodes(tmp_path: Path) -> None:
    leaving, staying = Authority("leaving"), Authority("staying")
    async with open_door(tmp_path, check_interval_s=3600) as door:
        plane = door.add_plane("company", auth_type="pki_client_certs")
        removed = door.pin(plane, leaving.certificate)
        door.pin(plane, staying.certificate)
        name, leaf = door.name(plane), leaving.leaf("node")
        node, other = await door.joined(leaf, name), await door.joined(staying.leaf("other"), name)
        door.control.certificates.delete(plane.scope, ACTOR, removed.id)
        assert await node.ended(20)
        assert await is_refused(door, leaf, name)
        await other.receive_nothing(0.2)


async def test_another_auth_type_ends_the_links_that_it_does_not_let_in(tmp_path: Path) -> None:
    async with open_door(tmp_path) as door:
        plane, leaf = door.add_plane("turning"), Leaf.self_signed("node")
        door.pin(plane, leaf.certificate)
        name = door.name(plane)
        node = await door.joined(leaf, name)
        fields = {"auth_type": "pki_client_certs"}
        door.control.control_planes.update(plane.organization_id, "us", ACTOR, plane.id, fields)
        assert await node.ended(20)
        assert await is_refused(door, leaf, name)


async def test_an_expiring_certificate_ends_its_link(tmp_path: Path) -> None:
    authority = Authority("company")
    async with open_door(tmp_path) as door:
        name = door.name(trusting(door, authority))
        leaf = authority.leaf("node", seconds=3)
        node = await door.joined(leaf, name)
        assert await node.ended(20)
        assert await is_refused(door, leaf, name)


async def test_a_deleted_control_plane_ends_its_links(tmp_path: Path) -> None:
    async with open_door(tmp_path) as door:
        plane, leaf = door.add_plane("leaving"), Leaf.self_signed("node")
        door.pin(plane, leaf.certificate)
        node = await door.joined(leaf, door.name(plane))
        door.control.control_planes.delete(plane.organization_id, "us", ACTOR, plane.id)
        assert await node.ended(20)
        assert await is_refused(door, leaf, door.name(plane))


async def test_a_telemetry_link_ends_with_its_certificate(tmp_path: Path) -> None:
    async with open_door(tmp_path) as door:
        leaf = Leaf.self_signed("node")
        pinned = door.pin(door.plane, leaf.certificate)
        headers = {"Twinplane-Link": "1"}
        node = await door.connect(leaf, door.name(kind="tp0"), path="/v1/analytics/batches", headers=headers)
        door.control.certificates.delete(door.plane.scope, ACTOR, pinned.id)
        assert await node.ended(20)
