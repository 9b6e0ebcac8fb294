"""Data plane nodes: who is there, what each runs, what it cannot do; one node; and the way to a new one."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from twinplane.control import ControlPlane, ExpectedHash, Node
from twinplane.control.errors import ControlError, NotFound
from twinplane.node.authority import Identity, self_signed, vouched_for
from twinplane.web.console.control_planes.condition import is_connected, is_in_sync
from twinplane.web.console.errors import PageError
from twinplane.web.console.forms import read_index
from twinplane.web.console.nodes.advice import Advice, advice
from twinplane.web.console.nodes.instructions import Instructions, instructions
from twinplane.web.console.nodes.telemetry import LATE_S, NOTHING, Telemetry, telemetry_of
from twinplane.web.console.visit import Visit

CERTIFICATE_DAYS = 3650
NODE_NAME = "twinplane-node"
PAGE_SIZE = 50
PING_STEP_S = 30.0
"""How far the last ping on a live page may be behind the one that came."""
_SINCE = "since-"
INSTRUCTIONS = "/connection-instructions"
"""Where an ingress controller is told how to connect, below the control plane."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One node as a line tells it."""

    node: Node
    is_connected: bool
    is_in_sync: bool
    telemetry: Telemetry

    @property
    def advice(self) -> Sequence[Advice]:
        """What is wrong with it, and what to do."""
        return advice(
            self.node,
            is_connected=self.is_connected,
            is_in_sync=self.is_in_sync,
            is_late=(self.telemetry.lag_s or 0) >= LATE_S,
            was_lost=self.telemetry.was_lost_recently(time.time()),
        )

    @property
    def link(self) -> tuple[str, str]:
        """Whether it is there: words, and their colour."""
        return ("Connected", "good") if self.is_connected else ("Away", "bad")

    @property
    def sync(self) -> tuple[str, str]:
        """Whether it runs what it should: words, and their colour."""
        if self.node.sync_status not in ("unknown", "normal"):
            return "Incompatible", "bad"
        if self.is_in_sync:
            return "In sync", "good"
        return ("Out of sync", "warn" if self.is_connected else "")

    @property
    def digest(self) -> tuple[object, ...]:
        """What a live page shows of it, coarse where it never rests: no ping and no record alone is worth a page."""
        node, lag = self.node, self.telemetry.lag
        return (
            (node.id, node.hostname, node.ip, node.version, node.labels, node.certificate_expires_at),
            (self.link, self.sync, node.config_hash, node.revision, node.issues),
            int(node.last_ping // PING_STEP_S),
            (lag if lag[1] else "", self.telemetry.lost_records, self.telemetry.lost_at),
        )


async def show_list(visit: Visit) -> Response:
    """The nodes of a control plane, a page of them."""
    plane = await visit.enter()
    nodes, expected = await _nodes(visit)
    visit.section = "/nodes"
    visit.at("Data plane nodes")
    return visit.page("nodes/list.html", cut=_cut(visit, nodes), expected=expected, revision=plane.revision)


async def watch_list(visit: Visit) -> Response:
    """Tell a page of the list when it is worth fetching again."""
    await visit.enter()

    async def look() -> bytes:
        nodes, expected = await _nodes(visit)
        cut = _cut(visit, nodes)
        return repr(([one.digest for one in cut.shown], cut.total, expected.hash)).encode()

    return visit.console.live.stream(look)


@dataclass(frozen=True, slots=True)
class Cut:
    """One page of the nodes."""

    shown: Sequence[Shown]
    number: int
    last: int
    total: int


def _cut(visit: Visit, nodes: Sequence[Shown]) -> Cut:
    """The page that the address asks for; the last one where there are not so many."""
    last = max(1, -(-len(nodes) // PAGE_SIZE))
    number = min(read_index(visit.request.query_params.get("page", "")) or 1, last)
    return Cut(nodes[(number - 1) * PAGE_SIZE : number * PAGE_SIZE], number, last, len(nodes))


async def show(visit: Visit) -> Response:
    """One node."""
    plane = await visit.enter()
    wanted = str(visit.request.path_params["node"])
    shown, expected = await _nodes(visit)
    found = next((one for one in shown if one.node.id == wanted), None)
    visit.section = "/nodes"
    visit.at("Data plane nodes", f"{visit.base}/nodes")
    if found is None:
        text = "It was deleted, or has been silent for too long."
        raise PageError(404, "No such node", text, (f"{visit.base}/nodes", "Data plane nodes"))
    visit.at(found.node.hostname)
    return visit.page("nodes/detail.html", one=found, expected=expected, revision=plane.revision)


async def watch(visit: Visit) -> Response:
    """Tell the page of one node when it is worth fetching again; also when the node is forgotten."""
    await visit.enter()
    wanted = str(visit.request.path_params["node"])

    async def look() -> bytes:
        shown, expected = await _nodes(visit)
        return repr(([one.digest for one in shown if one.node.id == wanted], expected.hash)).encode()

    return visit.console.live.stream(look)


async def delete(visit: Visit) -> Response:
    """Forget a node; one that is alive comes back with its next sign of life."""
    plane = await visit.enter()
    await visit.run(visit.control.nodes.delete, plane.scope, str(visit.request.path_params["node"]))
    return visit.go(f"{visit.base}/nodes", said="deleted")


async def show_new(visit: Visit) -> Response:
    """The first step to a new node: its certificate. An ingress controller has nodes of its own making."""
    await visit.enter()
    if visit.is_kic:
        return visit.go(f"{visit.base}{INSTRUCTIONS}")
    return _new(visit)


async def show_instructions(visit: Visit) -> Response:
    """How an ingress controller connects; other control planes have nodes instead."""
    await visit.enter()
    return _new(visit) if visit.is_kic else visit.go(f"{visit.base}/nodes/new")


async def make(visit: Visit) -> Response:
    """Make and pin a certificate, and show the key this once with everything that a node is told."""
    plane = await visit.enter()
    once, sending = visit.console.once, (visit.person.form_token, visit.form.get("nonce"))
    if not once.take(*sending):
        return _new(visit, is_repeated=True, status=409)
    try:
        return await _made(visit, plane)
    except ControlError as error:
        once.give_back(*sending)
        return _new(visit, problem=str(error), status=400)
    except BaseException:
        once.give_back(*sending)
        raise


async def _made(visit: Visit, plane: ControlPlane) -> Response:
    is_pki = plane.auth_type == "pki_client_certs"
    added, identity = await visit.run(_vouched_for if is_pki else _pinned)
    title = visit.form.get("title").strip() or "made in the console"
    pinned = await visit.run(visit.control.certificates.create, plane.scope, visit.actor, added, title=title)
    told: Sequence[Instructions] = instructions(
        plane, identity, domain=visit.control.settings.domain, authority=visit.console.authority()
    )
    return _new(visit, made=told, certificate_id=f"{_SINCE}{int(time.time())}" if is_pki else pinned.id)


def _pinned() -> tuple[str, Identity]:
    identity = self_signed(NODE_NAME, days=CERTIFICATE_DAYS, client=True)
    return identity.certificate, identity


def _vouched_for() -> tuple[str, Identity]:
    return vouched_for(NODE_NAME, days=CERTIFICATE_DAYS)


def _new(
    visit: Visit,
    *,
    made: Sequence[Instructions] | None = None,
    certificate_id: str = "",
    problem: str = "",
    is_repeated: bool = False,
    status: int = 200,
) -> Response:
    visit.section = "/nodes"
    visit.at("Data plane nodes", f"{visit.base}/nodes")
    visit.at("Connection Instructions" if visit.is_kic else "New data plane node")
    return visit.page(
        "nodes/new.html",
        status=status,
        made=made,
        target=f"{visit.base}{INSTRUCTIONS if visit.is_kic else '/nodes/new'}",
        certificate_id=certificate_id,
        problem=problem,
        is_repeated=is_repeated,
        nonce=uuid.uuid4().hex,
    )


async def show_waiting(visit: Visit) -> Response:
    """Whether the node with that certificate has come."""
    await visit.enter()
    certificate_id = str(visit.request.path_params["certificate"])
    shown, _ = await _nodes(visit)
    found = [one for one in shown if _is_awaited(one.node, certificate_id)]
    return visit.page("nodes/waiting.html", found=found, certificate_id=certificate_id)


async def watch_waiting(visit: Visit) -> Response:
    """Tell the page when it has."""
    await visit.enter()
    certificate_id = str(visit.request.path_params["certificate"])

    async def look() -> bytes:
        shown, _ = await _nodes(visit)
        states = [(one.node.id, one.link, one.sync) for one in shown if _is_awaited(one.node, certificate_id)]
        return repr(states).encode()

    return visit.console.live.stream(look)


def _is_awaited(node: Node, certificate_id: str) -> bool:
    """Where authorities vouch for nodes no certificate is known by its id: then it is any node that is new since."""
    since = read_index(certificate_id.removeprefix(_SINCE)) if certificate_id.startswith(_SINCE) else None
    if since is not None:
        return node.certificate_id is None and node.created_at >= since
    return node.certificate_id == certificate_id


async def _nodes(visit: Visit) -> tuple[list[Shown], ExpectedHash]:
    plane = visit.control_plane
    assert plane is not None
    nodes: Sequence[Node] = await visit.run(visit.control.nodes.list, plane.scope)
    try:
        expected = await visit.run(visit.control.nodes.expected_hash, plane.scope)
    except NotFound:
        expected = ExpectedHash("", 0, 0)
    telemetry = await telemetry_of(visit, plane.id)
    now = time.time()
    shown = [
        Shown(node, is_connected(node, now), is_in_sync(node, expected), telemetry.get(node.id, NOTHING))
        for node in nodes
    ]
    return sorted(shown, key=lambda one: (one.is_connected, one.is_in_sync, one.node.hostname, one.node.id)), expected


_PLANE = "/{region}/control-planes/{control_plane}"
_BASE = f"{_PLANE}/nodes"

ROUTES = (
    Route(_BASE, show_list, methods=["GET"]),
    Route(f"{_BASE}/events", watch_list, methods=["GET"]),
    Route(f"{_BASE}/new", show_new, methods=["GET"]),
    Route(f"{_BASE}/new", make, methods=["POST"]),
    Route(f"{_PLANE}{INSTRUCTIONS}", show_instructions, methods=["GET"]),
    Route(f"{_PLANE}{INSTRUCTIONS}", make, methods=["POST"]),
    Route(_BASE + "/new/{certificate}/waiting", show_waiting, methods=["GET"]),
    Route(_BASE + "/new/{certificate}/events", watch_waiting, methods=["GET"]),
    Route(_BASE + "/{node}", show, methods=["GET"]),
    Route(_BASE + "/{node}/events", watch, methods=["GET"]),
    Route(_BASE + "/{node}/delete", delete, methods=["POST"]),
)
