"""The log of revisions: who, when, by which client, what; each change as a diff that can be read."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from twinplane.control import Actor, Change
from twinplane.web.console.changes.diff import lines_of
from twinplane.web.console.entities.kinds import KINDS, name_of, title_of
from twinplane.web.console.forms import read_index
from twinplane.web.console.visit import Visit

PAGE_SIZE = 50
OPERATIONS = (("", "Any change"), ("create", "Created"), ("update", "Changed"), ("delete", "Deleted"))
_NOBODY = Actor("", "", "")


async def show(visit: Visit) -> Response:
    """One page of changes, the newest first; of one entity where it is named."""
    plane = await visit.enter()
    query = visit.request.query_params
    entity_id = query.get("entity", "")[:64]
    wanted = {name: query.get(name, "").strip()[:200] for name in ("type", "operation", "who")}
    changes = await visit.run(
        visit.control.history.list,
        plane.scope,
        size=PAGE_SIZE + 1,
        before=_place(query.get("before", ""), plane.id),
        entity_id=entity_id or None,
        type_name=wanted["type"] or None,
        operation=wanted["operation"] or None,
        actor_name=wanted["who"] or None,
    )
    shown, last = changes[:PAGE_SIZE], changes[PAGE_SIZE - 1] if len(changes) > PAGE_SIZE else None
    visit.section = "/changes"
    visit.at("Changes")
    return visit.page(
        "changes/list.html",
        shown=[
            (change, lines_of(change.before, change.after), name_of(change.after or change.before or {}))
            for change in shown
        ],
        following=f"{last.revision}.{last.position}" if last else "",
        entity_id=entity_id,
        wanted=wanted,
        types=[("", "Anything"), *((name, kind.plural) for name, kind in KINDS.items())],
        operations=OPERATIONS,
        kinds=KINDS,
        title_of=title_of,
    )


def _place(text: str, control_plane_id: str) -> Change | None:
    """The place in the log that a page begins after."""
    revision, position = map(read_index, text.partition(".")[::2])
    if revision is None or position is None:
        return None
    return Change(revision, position, 0.0, _NOBODY, "", control_plane_id, "", None, None)


ROUTES = (Route("/{region}/control-planes/{control_plane}/changes", show, methods=["GET"]),)
