"""Who is let in, over real TLS through the real front door: pinned, by an authority, by a shared pair."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.certificates import Authority, Leaf
from tests.integration.link_peer import Refused, eventually
from tests.integration.real_door import Door, open_door

from twinplane.control import ControlSettings
from twinplane.hybrid.chain import DEPTH_MAX
from twinplane.hybrid.identity import AdmissionRules, SharedMode, fingerprint

SHARED_NAME = "kong_clustering"


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(tmp_path) as made:
        yield made


async def refused(door: Door, leaf: Leaf | None, name: str, **options: object) -> Refused:
    with pytest.raises(Refused) as error:
        await door.connect(leaf, name, **options)  # type: ignore[arg-type]
    return error.value


# --- pinned ---


async def test_a_pinned_certificate_opens_its_control_plane_and_no_other(door: Door) -> None:
    other = door.add_plane("other")
    ours, theirs = Leaf.self_signed("ours"), Leaf.self_signed("theirs")
    door.pin(door.plane, ours.certificate)
    door.pin(other, theirs.certificate)
    await door.joined(ours, door.name())
    await door.joined(theirs, door.name(other))
    for leaf, name in [(ours, door.name(other)), (theirs, door.name()), (None, door.name())]:
        assert (await refused(door, leaf, name)).status == 401
    assert (await refused(door, ours, SHARED_NAME, trusted=door.authority.certificate)).status == 401


# --- pki ---


def pki(door: Door, name: str, *authorities: Authority) -> str:
    plane = door.add_plane(name, auth_type="pki_client_certs")
    for authority in authorities:
        door.pin(plane, authority.certificate)
    return door.name(plane)


async def test_chains_lead_to_an_authority_within_the_depth(door: Door) -> None:
    chain = [Authority("root")]
    while len(chain) < DEPTH_MAX + 2:
        chain.append(chain[-1].intermediate(f"level {len(chain)}"))
    name = pki(door, "deep", chain[0])
    for depth in (0, 1, DEPTH_MAX):
        between = [authority.certificate for authority in chain[depth:0:-1]]
        await door.joined(chain[depth].leaf("node"), name, chain=between)
    too_deep = [authority.certificate for authority in chain[:0:-1]]
    assert (await refused(door, chain[-1].leaf("node"), name, chain=too_deep)).status == 401
    # An intermediate that is trusted itself is the end of the chain.
    name = pki(door, "intermediate", chain[2])
    await door.joined(chain[2].leaf("node"), name)
    assert (await refused(door, chain[1].leaf("node"), name)).status == 401


async def test_a_chain_of_large_keys_gets_through(door: Door) -> None:
    root = Authority("root", rsa_bits=4096)
    levels = [root]
    for number in range(3):
        levels.append(levels[-1].intermediate("the department of very long names of departments " + str(number)))
    between = [authority.certificate for authority in levels[:0:-1]]
    assert sum(map(len, between)) > 5_000
    await door.joined(levels[-1].leaf("node"), pki(door, "large", root), chain=[*between, root.certificate])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl not present")
async def test_an_authority_made_with_simple_tools_is_one(door: Door, tmp_path: Path) -> None:
    """It names no key usage, and its nodes no purpose."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=tmp_path)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=company", "-days", "2")
    openssl("req", *new_key, "-keyout", "node.key", "-out", "node.csr", "-subj", "/CN=node")
    (tmp_path / "node.ext").write_text("basicConstraints=CA:FALSE")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-extfile", "node.ext")
    openssl("x509", "-req", "-in", "node.csr", *signed, "-out", "node.pem")
    plane = door.add_plane("company", auth_type="pki_client_certs")
    door.pin(plane, (tmp_path / "ca.pem").read_text())
    leaf = Leaf((tmp_path / "node.pem").read_text(), (tmp_path / "node.key").read_text())
    await door.joined(leaf, door.name(plane))


async def test_a_node_cannot_vouch_for_another(door: Door) -> None:
    root = Authority("root")
    name = pki(door, "strict", root)
    node = root.leaf("node")
    forger = Authority("forger")
    forger.name, forger.key = "node", _key_of(node)
    assert (await refused(door, forger.leaf("victim"), name, chain=[node.certificate])).status == 401
    narrow = Authority("narrow", root, path_length=0)
    below = narrow.intermediate("below")
    await door.joined(narrow.leaf("node"), name, chain=[narrow.certificate])
    chain = [below.certificate, narrow.certificate]
    assert (await refused(door, below.leaf("node"), name, chain=chain)).status == 401
    assert (await refused(door, root.leaf("web", is_client=False), name)).status == 401


def _key_of(leaf: Leaf) -> object:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(leaf.key.encode(), None)


async def test_common_names_are_checked_where_that_is_asked(door: Door) -> None:
    root = Authority("root")
    name = pki(door, "named", root)
    door.server.gatekeeper.rules = AdmissionRules(door.domain, common_names=("Node-1", "*.nodes.example"))
    for common_name in ("node-1", "NODE-1", "a.nodes.example"):
        await door.joined(root.leaf(common_name), name)
    for common_name in ("node-2", "nodes.example", "a.b.nodes.example", "example"):
        assert (await refused(door, root.leaf(common_name), name)).status == 401
    # What is pinned is known by itself.
    pinned = Leaf.self_signed("node-2")
    door.pin(door.plane, pinned.certificate)
    await door.joined(pinned, door.name())


# --- shared ---


@pytest.fixture(params=["version 3", "version 1"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Leaf:
    return Leaf.self_signed(SHARED_NAME) if request.param == "version 3" else Leaf.version_1(SHARED_NAME, tmp_path)


def sharing(door: Door, pair: Leaf, control_plane: str = "default") -> AdmissionRules:
    return AdmissionRules(door.domain, shared=SharedMode(fingerprint(pair.certificate), control_plane))


async def test_a_shared_pair_lets_into_one_control_plane(tmp_path: Path, pair: Leaf) -> None:
    async with open_door(tmp_path, shared=pair) as door:
        other = door.add_plane("other")
        pinned = Leaf.self_signed("pinned")
        door.pin(other, pinned.certificate)
        door.server.gatekeeper.rules = sharing(door, pair)
        # The door presents the pair under that name: a node trusts nothing else.
        trusted = {"trusted": pair.certificate}
        await door.joined(pair, SHARED_NAME, **trusted)
        (row,) = await eventually(lambda: door.control.nodes.list(door.plane.scope))
        assert row.certificate_id is None
        for stranger in (Leaf.self_signed(SHARED_NAME), pinned, None):
            assert (await refused(door, stranger, SHARED_NAME, **trusted)).status == 401
        # Under its own name the control plane knows the pair as well, another one does not.
        await door.joined(pair, door.name())
        assert (await refused(door, pair, door.name(other))).status == 401
        await door.joined(pinned, door.name(other))
        door.server.gatekeeper.rules = sharing(door, pair, other.id)
        await door.joined(pair, SHARED_NAME, **trusted)
        await eventually(lambda: len(door.control.nodes.list(other.scope)) == 2)
        door.server.gatekeeper.rules = sharing(door, pair, "nowhere")
        assert (await refused(door, pair, SHARED_NAME, **trusted)).status == 401


async def test_a_name_that_two_control_planes_have_shares_with_none(tmp_path: Path) -> None:
    pair = Leaf.self_signed(SHARED_NAME)
    settings = ControlSettings(regions=("eu", "us"))
    async with open_door(tmp_path, shared=pair, settings=settings) as door:
        door.server.gatekeeper.rules = sharing(door, pair)
        assert (await refused(door, pair, SHARED_NAME, trusted=pair.certificate)).status == 401
        door.server.gatekeeper.rules = sharing(door, pair, door.plane.id)
        await door.joined(pair, SHARED_NAME, trusted=pair.certificate)


async def test_an_expired_shared_pair_lets_nobody_in(tmp_path: Path) -> None:
    pair = Leaf.self_signed(SHARED_NAME, days=-1)
    async with open_door(tmp_path, shared=pair) as door:
        door.server.gatekeeper.rules = sharing(door, pair)
        assert (await refused(door, pair, door.name())).status == 401
