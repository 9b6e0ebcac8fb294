"""What analytics needs to know of the asker: the control planes in sight, and names for ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import Request

from twinplane.api.konnect.analytics import Asker, Name, Names
from twinplane.api.konnect.context import Services, read_context
from twinplane.control import Control
from twinplane.control.errors import ControlError


def asker_of(services: Services) -> Asker:
    """The control planes that a request may see: all of the organization, in the region asked for."""

    def all_of(organization_id: str, region: str) -> list[str]:
        ids: list[str] = []
        number = 1
        while True:
            page = services.control.control_planes.list(organization_id, region, number=number, size=1000)
            ids.extend(plane.id for plane in page.rows)
            if len(ids) >= page.total or not page.rows:
                return ids
            number += 1

    async def asker(request: Request) -> Sequence[str]:
        context = await read_context(request)
        return await context.run(all_of, context.organization_id, context.region)

    return asker


def names_of(control: Control) -> Names:
    """Names for ids, read from the store; what is gone is named as history last knew it."""

    def names(kind: str, control_plane_id: str, ids: Sequence[str]) -> Mapping[str, Name]:
        plane = control.control_planes.find(control_plane_id)
        if plane is None:
            return {}
        if kind == "control_planes":
            return {plane.id: Name(plane.name)}
        if kind == "nodes":
            known = {node.id: Name(node.hostname) for node in control.nodes.list(plane.scope)}
            return {node_id: known[node_id] for node_id in ids if node_id in known}
        return {entity_id: _entity_name(control, kind, plane.id, entity_id) for entity_id in ids}

    return names


def _entity_name(control: Control, kind: str, control_plane_id: str, entity_id: str) -> Name:
    plane = control.control_planes.find(control_plane_id)
    if plane is None:
        return Name(entity_id, is_deleted=True)
    try:
        row: Mapping[str, object] = control.changes.get(plane.scope, kind, entity_id)
        return Name(_shown(row, entity_id))
    except ControlError:
        changes = control.history.list(plane.scope, size=1, entity_id=entity_id)
        before = changes[0].before if changes else None
        return Name(_shown(before or {}, entity_id), is_deleted=True)


def _shown(row: Mapping[str, object], entity_id: str) -> str:
    for field in ("name", "username", "custom_id"):
        value = row.get(field)
        if isinstance(value, str) and value:
            return value
    return entity_id
