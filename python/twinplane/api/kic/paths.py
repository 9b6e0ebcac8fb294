"""What lies below a control plane for its ingress controller: entities, nodes that it reports, its licence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twinplane.api.admin.information import ADMIN_VERSION
from twinplane.api.core.decode import decode
from twinplane.api.core.dispatch import Dispatcher, Handler
from twinplane.api.core.message import Answer, Call, empty, json_answer, message
from twinplane.api.konnect.core_entities import add_core_entities
from twinplane.api.konnect.errors import Problem, problem_answer, problem_for
from twinplane.api.konnect.models import Node as ShownNode
from twinplane.api.konnect.queries import cursor_page
from twinplane.control import Control, Node
from twinplane.control.ingress_nodes import STATES
from twinplane.registry import entity_types

_LICENSES: Final = "licenses"


def controller_paths(control: Control) -> Dispatcher:
    """Every path below `/kic/api/control-planes/{id}`."""
    dispatcher = Dispatcher()
    nodes = _Nodes(control)
    dispatcher.add("/v1/kic-nodes", {"GET": _told(nodes.list), "POST": _told(nodes.create)})
    one: Mapping[str, Handler] = {
        "GET": _told(nodes.get),
        "PUT": _told(nodes.update),
        "DELETE": _told(nodes.delete),
    }
    dispatcher.add("/v1/kic-nodes/{node}", one)
    dispatcher.add("/v1/licenses", {"GET": lambda call, _keys: _licenses(control, call)})
    dispatcher.add("/", {"GET": _root})
    add_core_entities(dispatcher, control)
    return dispatcher


class _Nodes:
    """Handlers of `/v1/kic-nodes`."""

    def __init__(self, control: Control) -> None:
        self._nodes = control.nodes
        self._reports = control.ingress_nodes

    def list(self, call: Call, _keys: tuple[str, ...]) -> Answer:
        """One page, by cursor."""
        nodes = sorted(self._nodes.list(call.site.scope), key=lambda node: node.id)
        path = call.site.base + call.path.rstrip("/")
        part, page = cursor_page(nodes, [node.id for node in nodes], call.request.query, path=path)
        return json_answer(200, {"items": [_shown(node) for node in part], "page": {"has_next_page": False, **page}})

    def create(self, call: Call, _keys: tuple[str, ...]) -> Answer:
        """A node that is new: 201."""
        made = self._reports.create(call.site.scope, _body(call), certificate_id=_certificate(call))
        return json_answer(201, {"item": _shown(made)})

    def get(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """One node."""
        return json_answer(200, {"item": _shown(self._nodes.get(call.site.scope, keys[0]))})

    def update(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """What is new about a node; its heartbeat."""
        node = self._reports.update(call.site.scope, keys[0], _body(call), certificate_id=_certificate(call))
        return json_answer(200, {"item": _shown(node)})

    def delete(self, call: Call, keys: tuple[str, ...]) -> Answer:
        """Forget a node: 204."""
        if not self._nodes.delete(call.site.scope, keys[0]):
            raise Problem(404, f"Node [{keys[0]}] was not found")
        return empty()


def _body(call: Call) -> Mapping[str, Any]:
    body = decode(call.request)
    if not body.typed:
        raise Problem(415, "Bodies are read as application/json only")
    return body.fields


def _certificate(call: Call) -> str | None:
    """The id of the pinned certificate that the call came with; that of a chain has none."""
    held_by = call.site.actor.id
    return held_by if "-" in held_by else None


def _shown(node: Node) -> dict[str, Any]:
    shown = ShownNode.of(node).model_dump(exclude_none=True)
    return {**shown, "status": node.sync_status} if node.sync_status in STATES else shown


def _told(handler: Handler) -> Handler:
    """A handler whose refusals are problem details; what no client caused rises on."""

    def call(call: Call, keys: tuple[str, ...]) -> Answer:
        try:
            return handler(call, keys)
        except Exception as error:
            known = problem_for(error)
            if known is None:
                raise
            return problem_answer(known)

    return call


def _licenses(control: Control, call: Call) -> Answer:
    """The licence of the control plane. Controllers take 404 for none, and an empty list for a failure."""
    rows = []
    if _LICENSES in entity_types():
        rows = control.changes.page(call.site.scope, _LICENSES, size=1).rows
    if not rows:
        return message(404, "Not found")
    items = [{name: row[name] for name in ("id", "payload", "updated_at")} for row in rows]
    return json_answer(200, {"items": items})


def _root(_call: Call, _keys: tuple[str, ...]) -> Answer:
    """What clients of the Admin API read first: which version to speak to."""
    return json_answer(200, {"version": ADMIN_VERSION})
