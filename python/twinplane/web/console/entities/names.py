"""What entities and nodes are called, by id, for a page that names many of them: one look-up, not one for each."""

from __future__ import annotations

from collections.abc import Iterable

from twinplane.web.console.entities.kinds import name_of
from twinplane.web.console.visit import Visit

NODES = "nodes"


async def names_by_id(visit: Visit, wanted: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Names of (collection, id), nodes among them; what is gone is left out."""
    plane = visit.control_plane
    assert plane is not None
    ids: dict[str, set[str]] = {}
    for collection, one in wanted:
        if one:
            ids.setdefault(collection, set()).add(one)
    names: dict[str, str] = {}
    nodes = ids.pop(NODES, None)
    if nodes:
        names |= {
            node.id: node.hostname for node in await visit.run(visit.control.nodes.several, plane.scope, [*nodes])
        }
    if ids:
        rows = await visit.run(visit.control.changes.several, plane.scope, ids)
        names |= {one: name_of(row) for (_, one), row in rows.items()}
    return names
