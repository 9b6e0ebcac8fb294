"""Promises of the certificates that let nodes in."""

from __future__ import annotations

from itertools import count

import pytest
from tests.unit.control.pem import make_pair

from twinplane.control import Actor, Control, ControlPlane, Scope
from twinplane.control.certificates import fingerprint_of
from twinplane.control.errors import InvalidParameters, NameTaken, NotFound

_numbers = count(1)


def certificate() -> str:
    """A fresh self-signed certificate, as a user makes it for a node."""
    return make_pair(next(_numbers))[0]


@pytest.fixture
def other(control: Control, actor: Actor) -> ControlPlane:
    return control.control_planes.create(control.organizations.first().id, "us", actor, {"name": "other"})


def test_a_pinned_certificate_leads_to_its_control_plane(control: Control, scope: Scope, actor: Actor) -> None:
    pem = certificate()
    pinned = control.certificates.create(scope, actor, pem, title="laptop")
    found = control.certificates.find_by_fingerprint(fingerprint_of(pem).upper())
    assert found is not None
    assert found[0].id == scope.control_plane_id
    assert found[1] == pinned == control.certificates.get(scope, pinned.id)
    assert control.certificates.find_by_fingerprint("00" * 32) is None


def test_a_certificate_belongs_to_one_control_plane(
    control: Control, scope: Scope, other: ControlPlane, actor: Actor
) -> None:
    pem = certificate()
    pinned = control.certificates.create(scope, actor, pem)
    with pytest.raises(NameTaken):
        control.certificates.create(other.scope, actor, pem)
    with pytest.raises(NotFound):
        control.certificates.get(other.scope, pinned.id)
    assert control.certificates.list(other.scope) == []
    assert not control.certificates.delete(other.scope, actor, pinned.id)


def test_unpinning_is_told(control: Control, scope: Scope, actor: Actor) -> None:
    pem, newer = certificate(), certificate()
    pinned = control.certificates.create(scope, actor, pem)
    told: list[tuple[str, str]] = []
    control.certificates.on_removed(lambda plane_id, fingerprint: told.append((plane_id, fingerprint)))
    control.certificates.replace(scope, actor, pinned.id, newer, title="renewed")
    assert control.certificates.find_by_fingerprint(fingerprint_of(pem)) is None
    assert control.certificates.delete(scope, actor, pinned.id)
    assert not control.certificates.delete(scope, actor, pinned.id)
    plane_id = scope.control_plane_id
    assert told == [(plane_id, fingerprint_of(pem)), (plane_id, fingerprint_of(newer))]


def test_replacing_makes_what_is_not_there(control: Control, scope: Scope, actor: Actor) -> None:
    certificate_id = "8c1b5b40-8f7e-4a1b-9c57-1f2c7b1c0a10"
    made = control.certificates.replace(scope, actor, certificate_id, certificate())
    assert made.id == certificate_id
    assert [one.id for one in control.certificates.list(scope)] == [certificate_id]


def test_authorities_count_only_where_the_control_plane_says_so(
    control: Control, scope: Scope, plane: ControlPlane, actor: Actor
) -> None:
    pem = certificate()
    authority = control.certificates.create(scope, actor, pem)
    assert control.certificates.authorities(plane.id) == []
    control.control_planes.update(plane.organization_id, "us", actor, plane.id, {"auth_type": "pki_client_certs"})
    assert list(control.certificates.authorities(plane.id)) == [authority]
    assert control.certificates.find_by_fingerprint(fingerprint_of(pem)) is None


@pytest.mark.parametrize("cert", ["", "nonsense", certificate() + certificate()])
def test_what_is_not_one_certificate_is_refused(control: Control, scope: Scope, actor: Actor, cert: str) -> None:
    with pytest.raises(InvalidParameters):
        control.certificates.create(scope, actor, cert)
