"""Certificates that let nodes in: which, until when, who uses them; adding, and taking away."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from twinplane.control import Node, NodeCertificate
from twinplane.control.errors import ControlError, InvalidParameters, NameTaken
from twinplane.web.console.control_planes.condition import EXPIRES_SOON_S, expiry_of
from twinplane.web.console.visit import Visit


@dataclass(frozen=True, slots=True)
class Shown:
    """One certificate as a line tells it."""

    certificate: NodeCertificate
    ends: float | None
    users: Sequence[Node]

    def succeeds(self, other: Shown) -> bool:
        """Whether it is good for longer than another one."""
        return (self.ends or 0) > (other.ends or 0)

    @property
    def state(self) -> tuple[str, str]:
        """How long it is good for: words, and their colour."""
        left = (self.ends or 0) - time.time()
        if left <= 0:
            return "Expired", "bad"
        return ("Ends soon", "warn") if left < EXPIRES_SOON_S else ("Valid", "good")


async def show_list(visit: Visit) -> Response:
    """All certificates of a control plane."""
    await visit.enter()
    return await _list(visit, {}, {})


async def add(visit: Visit) -> Response:
    """Pin a certificate, or trust an authority, as the control plane's way is."""
    plane = await visit.enter()
    typed = {"cert": visit.form.get("cert").strip(), "title": visit.form.get("title").strip()}
    if visit.is_reopened:
        return await _list(visit, typed, {})
    try:
        await visit.run(
            visit.control.certificates.create,
            plane.scope,
            visit.actor,
            f"{typed['cert']}\n" if typed["cert"] else "",
            title=typed["title"],
        )
    except InvalidParameters as error:
        return await _list(visit, typed, {one.field: one.reason for one in error.parameters}, status=400)
    except NameTaken:
        return await _list(visit, typed, {"cert": "is there already, here or for another control plane"}, status=400)
    except ControlError as error:
        return await _list(visit, typed, {"cert": str(error)}, status=400)
    return visit.go(f"{visit.base}/node-certificates", said="created")


async def revoke(visit: Visit) -> Response:
    """Take a certificate away; nodes that use it lose their link at once."""
    plane = await visit.enter()
    wanted = str(visit.request.path_params["certificate"])
    is_gone = await visit.run(visit.control.certificates.delete, plane.scope, visit.actor, wanted)
    return visit.go(f"{visit.base}/node-certificates", said="deleted" if is_gone else "unchanged")


async def _list(visit: Visit, typed: Mapping[str, str], problems: Mapping[str, str], *, status: int = 200) -> Response:
    plane = visit.control_plane
    assert plane is not None
    certificates = await visit.run(visit.control.certificates.list, plane.scope)
    nodes = await visit.run(visit.control.nodes.list, plane.scope)
    shown = [
        Shown(one, expiry_of(one), [node for node in nodes if node.certificate_id == one.id]) for one in certificates
    ]
    wanted = visit.request.query_params.get("renew", "")
    renewed = next((one for one in shown if one.certificate.id == wanted), None)
    successors = [] if renewed is None else [one for one in shown if one.succeeds(renewed)]
    is_pki = plane.auth_type == "pki_client_certs"
    visit.section = "/node-certificates"
    visit.at("Node certificates")
    return visit.page(
        "node_certificates/list.html",
        status=status,
        shown=sorted(shown, key=lambda one: one.ends or 0),
        renewed=renewed,
        successors=successors,
        # Which nodes an authority vouches for is not kept: nothing here may say that none is left.
        is_switched=bool(renewed and successors and not renewed.users and not is_pki),
        typed=typed,
        problems=problems,
        is_pki=is_pki,
    )


_BASE = "/{region}/control-planes/{control_plane}/node-certificates"

ROUTES = (
    Route(_BASE, show_list, methods=["GET"]),
    Route(_BASE, add, methods=["POST"]),
    Route(_BASE + "/{certificate}/revoke", revoke, methods=["POST"]),
)
