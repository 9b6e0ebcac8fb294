"""A control plane whose configuration an ingress controller owns: what differs, and what is left out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.unit.web.console.conftest import Browser, Rig

from twinplane.control import Actor

CONTROLLER = Actor("ingress-controller", "c", "controller")


@pytest.fixture
def kic(rig: Rig) -> Any:
    fields = {"name": "kic", "cluster_type": "CLUSTER_TYPE_K8S_INGRESS_CONTROLLER"}
    organization = rig.control.organizations.first().id
    return rig.control.control_planes.create(organization, "us", Actor("user", "u", "u"), fields)


async def test_it_is_connected_by_helm_values(rig: Rig, signed_in: Browser, kic: Any) -> None:
    base = f"/us/control-planes/{kic.id}"
    overview = (await signed_in.get(base)).text
    assert "Control Plane Actions" in overview
    assert overview.count("View Connection Instructions") == 2
    assert "New data plane node" not in overview
    path = f"{base}/connection-instructions"
    assert (await signed_in.get(f"{base}/nodes/new")).headers["location"] == path
    page = (await signed_in.fill(path, path, {})).text
    assert f"controlPlaneID: {kic.id}" in page
    assert "apiHostname: us.kic.api.example.test" in page
    assert "konnect-client-tls" in page
    assert "twinplane join" not in page
    assert len(rig.control.certificates.list(kic.scope)) == 1
    assert "View Connection Instructions" in (await signed_in.get(f"{base}/nodes")).text


async def test_others_have_nodes_and_no_such_instructions(rig: Rig, signed_in: Browser) -> None:
    answer = await signed_in.get(f"{rig.plane_path}/connection-instructions")
    assert answer.headers["location"] == f"{rig.plane_path}/nodes/new"
    overview = (await signed_in.get(rig.plane_path)).text
    assert "Control Plane Actions" in overview
    assert "View Connection Instructions" not in overview


async def test_what_the_controller_brought_is_only_read(rig: Rig, signed_in: Browser, kic: Any) -> None:
    row = rig.control.changes.create(kic.scope, CONTROLLER, "services", {"name": "s", "host": "h"})
    services = f"/us/control-planes/{kic.id}/entities/services"
    one = f"{services}/{row['id']}"
    for path in (services, one):
        page = (await signed_in.get(path)).text
        assert not re.search(r">(Edit|Delete|Delete ticked|Add|New service)<", page), path
    assert "An ingress controller owns this configuration" in (await signed_in.get(services)).text
    for path in (f"{services}/new", f"{one}/edit", f"{one}/delete"):
        refused = await signed_in.get(path)
        assert refused.status_code == 409
        assert "change it in Kubernetes" in refused.text
    for path in (services, f"{one}/edit", f"{one}/delete", f"{services}/delete"):
        fields = {"v.name": "x", "v.host": "h", "id": row["id"], "confirmed": "yes"}
        assert (await signed_in.fill(services, path, fields)).status_code == 409
    assert rig.control.changes.count(kic.scope, "services") == 1
