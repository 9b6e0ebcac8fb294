"""Control planes: the list, a new one, the overview of one with what is wrong and what to do, settings, deletion."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from twinplane.control import ControlPlane, Node, NodeTally
from twinplane.control.errors import InvalidParameters, NameTaken, Predefined
from twinplane.schema import Shape
from twinplane.web.console.control_planes.condition import SILENT_S, Finding, findings, is_connected
from twinplane.web.console.control_planes.today import Today, last_hour, requests_today
from twinplane.web.console.entities import stale
from twinplane.web.console.entities.kinds import KINDS, name_of, title_of
from twinplane.web.console.errors import PageError
from twinplane.web.console.forms import read_index
from twinplane.web.console.nodes.telemetry import telemetry_of
from twinplane.web.console.place import Place
from twinplane.web.console.visit import Visit

PAGE_SIZE = 50
LATEST_CHANGES = 6
COUNTED = ("services", "routes", "consumers", "plugins", "upstreams", "certificates")
TYPES = (
    ("CLUSTER_TYPE_CONTROL_PLANE", "Gateway: nodes take their configuration from it"),
    ("CLUSTER_TYPE_K8S_INGRESS_CONTROLLER", "Kubernetes: an ingress controller owns the configuration"),
)
AUTH_TYPES = (
    ("pinned_client_certs", "Pinned: each node certificate is added here"),
    ("pki_client_certs", "PKI: any certificate of an authority added here"),
)

_SETTINGS: Final = Shape("settings", "What can be changed of a control plane.", {})


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list."""

    plane: ControlPlane
    nodes: NodeTally
    today: Today | None

    @property
    def type_name(self) -> str:
        """The type in a word."""
        return "Kubernetes" if self.plane.cluster_type.endswith("INGRESS_CONTROLLER") else "Gateway"


async def to_first_page(visit: Visit) -> Response:
    """The first page is the list of the first region."""
    return visit.go(f"/{visit.regions[0]}/control-planes")


async def show_list(visit: Visit) -> Response:
    """All control planes of a region."""
    region = visit.region
    number = read_index(visit.request.query_params.get("page", "")) or 1
    wanted = visit.request.query_params.get("q", "").strip()[:200]
    filters = {"name": {"contains": wanted}} if wanted else {}
    organization = visit.person.principal.organization_id
    page = await visit.run(
        visit.control.control_planes.list,
        organization,
        region,
        number=number,
        size=PAGE_SIZE,
        filters=filters,
        sort="name",
    )
    if number > 1 and not page.rows:
        return visit.go(visit.query(page=None))
    ids = [plane.id for plane in page.rows]
    today = await requests_today(visit, ids)
    nodes = await visit.run(visit.control.nodes.tallies, organization, ids, silent_s=SILENT_S)
    listed = [Listed(plane, nodes.get(plane.id, NodeTally(0, 0)), today.get(plane.id)) for plane in page.rows]
    visit.section = "control-planes"
    visit.at("Control planes")
    last = max(1, -(-page.total // PAGE_SIZE))
    return visit.page(
        "control_planes/list.html", listed=listed, wanted=wanted, number=number, last=last, total=page.total
    )


async def show_new(visit: Visit) -> Response:
    """The form for a new one."""
    return _new(visit, {"cluster_type": TYPES[0][0], "auth_type": AUTH_TYPES[0][0]}, {})


async def create(visit: Visit) -> Response:
    """Make it, or show every problem beside its field."""
    region, form = visit.region, visit.form
    typed = {name: form.get(name) for name in ("name", "description", "labels", "cluster_type", "auth_type")}
    person = visit.person.principal
    if visit.is_reopened:
        return _new(visit, typed, {})
    try:
        labels = read_labels(typed["labels"])
        fields = {**typed, "labels": labels, "name": typed["name"].strip()}
        made = await visit.run(visit.control.control_planes.create, person.organization_id, region, visit.actor, fields)
    except (InvalidParameters, NameTaken, LabelsUnreadable) as error:
        return _new(visit, typed, _problems(error), status=400)
    return visit.go(f"/{region}/control-planes/{made.id}", said="created")


async def show_overview(visit: Visit) -> Response:
    """One control plane: how it is, and what to do about it."""
    plane = await visit.enter()
    visit.section = ""
    found, nodes = await _condition(visit, plane)
    today = (await requests_today(visit, [plane.id])).get(plane.id)
    counts = await visit.run(visit.control.changes.counts, plane.scope, COUNTED)
    latest = await visit.run(visit.control.history.list, plane.scope, size=LATEST_CHANGES)
    connected = sum(is_connected(node, time.time()) for node in nodes)
    return visit.page(
        "control_planes/overview.html",
        findings=found,
        nodes=nodes,
        connected=connected,
        today=today,
        counts=counts,
        chart=await last_hour(visit, plane.id),
        latest=[(change, name_of(change.after or change.before or {})) for change in latest],
        kinds=KINDS,
        title_of=title_of,
    )


async def watch_overview(visit: Visit) -> Response:
    """Tell the overview when it is worth fetching again."""
    plane = await visit.enter()

    async def look() -> bytes:
        found, nodes = await _condition(visit, plane)
        current = await visit.run(visit.control.control_planes.get, plane.organization_id, plane.region, plane.id)
        states = [(node.id, node.config_hash, is_connected(node, time.time())) for node in nodes]
        return repr((found, states, current.revision)).encode()

    return visit.console.live.stream(look)


async def show_settings(visit: Visit) -> Response:
    """Name, description, labels, how nodes prove themselves, and the end of it."""
    plane = await visit.enter()
    return _settings(visit, _as_typed(plane), {})


async def change_settings(visit: Visit) -> Response:
    """Save them, or show every problem beside its field."""
    plane = await visit.enter()
    typed = {name: visit.form.get(name) for name in ("name", "description", "labels", "auth_type")}
    person = visit.person.principal
    now, seen = _as_typed(plane), visit.form.get("seen")
    if visit.is_reopened:
        return _settings(visit, typed, {}, seen=seen)
    if seen and stale.is_stale(seen, now, _SETTINGS):
        merged, meanwhile = stale.merge(typed, now, now, seen, _SETTINGS)
        if meanwhile:
            return _settings(visit, merged, {}, status=409, meanwhile=meanwhile)
    try:
        labels = read_labels(typed["labels"])
        gone = {key: None for key in plane.labels if key not in labels}
        fields: dict[str, object] = {**typed, "labels": {**labels, **gone}}
        await visit.run(
            visit.control.control_planes.update, person.organization_id, plane.region, visit.actor, plane.id, fields
        )
    except (InvalidParameters, NameTaken, Predefined, LabelsUnreadable) as error:
        return _settings(visit, typed, _problems(error), status=400)
    return visit.go(f"{visit.base}/settings", said="saved")


async def delete(visit: Visit) -> Response:
    """Delete it with all it holds, where its name was typed."""
    plane = await visit.enter()
    person = visit.person.principal
    if visit.form.get("typed_name") != plane.name:
        problem = {"typed_name": f"Type {plane.name} to delete it."}
        return _settings(visit, _as_typed(plane), problem, status=400)
    try:
        await visit.run(
            visit.control.control_planes.delete, person.organization_id, plane.region, visit.actor, plane.id
        )
    except Predefined:
        raise PageError(
            400, "Not possible", "The predefined control plane cannot be deleted.", (visit.base, plane.name)
        ) from None
    return visit.go(f"/{plane.region}/control-planes", said="deleted")


class LabelsUnreadable(Exception):
    """A line of labels is not `key: value`."""


def read_labels(text: str) -> dict[str, str]:
    """Lines of `key: value`. Raises LabelsUnreadable naming the first line that is none."""
    labels: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, colon, value = line.partition(":")
        if not colon or not key.strip():
            raise LabelsUnreadable(f"“{line[:60]}” is not of the form key: value")
        labels[key.strip()] = value.strip()
    return labels


async def _condition(visit: Visit, plane: ControlPlane) -> tuple[list[Finding], Sequence[Node]]:
    nodes = await visit.run(visit.control.nodes.list, plane.scope)
    expected = await visit.run(visit.control.nodes.expected_hash, plane.scope)
    certificates = await visit.run(visit.control.certificates.list, plane.scope)
    telemetry = await telemetry_of(visit, plane.id)
    found = findings(plane, nodes, expected, certificates, base=visit.base, now=time.time(), telemetry=telemetry)
    return found, nodes


def _as_typed(plane: ControlPlane) -> dict[str, str]:
    labels = "\n".join(f"{key}: {value}" for key, value in plane.labels.items())
    return {"name": plane.name, "description": plane.description, "labels": labels, "auth_type": plane.auth_type}


def _new(visit: Visit, typed: Mapping[str, str], problems: Mapping[str, str], *, status: int = 200) -> Response:
    region = visit.region
    visit.section = "control-planes"
    visit.crumbs = [Place("Control planes", f"/{region}/control-planes"), Place("New control plane", "")]
    return visit.page(
        "control_planes/new.html", status=status, typed=typed, problems=problems, types=TYPES, auth_types=AUTH_TYPES
    )


def _settings(
    visit: Visit,
    typed: Mapping[str, str],
    problems: Mapping[str, str],
    *,
    status: int = 200,
    seen: str = "",
    meanwhile: Sequence[stale.Meanwhile] = (),
) -> Response:
    """The form; `seen` are the digests of what it was first made from, where that is not what is so now."""
    assert visit.control_plane is not None
    visit.section = "/settings"
    visit.at("Settings")
    return visit.page(
        "control_planes/settings.html",
        status=status,
        typed=typed,
        problems=problems,
        auth_types=AUTH_TYPES,
        seen=seen or stale.seen_of(_as_typed(visit.control_plane), _SETTINGS),
        meanwhile=meanwhile,
    )


def _problems(error: Exception) -> dict[str, str]:
    if isinstance(error, InvalidParameters):
        return {one.field.partition(".")[0]: f"{one.field} {one.reason}" for one in error.parameters}
    if isinstance(error, NameTaken):
        return {"name": "Another control plane of this region has this name."}
    if isinstance(error, Predefined):
        return {"name": "The predefined control plane keeps its name."}
    return {"labels": str(error)}


ROUTES = (
    Route("/", to_first_page, methods=["GET"]),
    Route("/{region}/control-planes", show_list, methods=["GET"]),
    Route("/{region}/control-planes", create, methods=["POST"]),
    Route("/{region}/control-planes/new", show_new, methods=["GET"]),
    Route("/{region}/control-planes/{control_plane}", show_overview, methods=["GET"]),
    Route("/{region}/control-planes/{control_plane}/events", watch_overview, methods=["GET"]),
    Route("/{region}/control-planes/{control_plane}/settings", show_settings, methods=["GET"]),
    Route("/{region}/control-planes/{control_plane}/settings", change_settings, methods=["POST"]),
    Route("/{region}/control-planes/{control_plane}/delete", delete, methods=["POST"]),
)
