"""Core entities of a control plane as Konnect serves them: the paths of `api/core` under a control plane's own.

Errors here are Kong's, 401 too. Credentials answer to both of their names (`key-auths` in lists, `key-auth` in writes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from twinplane.api.core.dispatch import Dispatcher, Handler
from twinplane.api.core.entity import Rules
from twinplane.api.core.message import Answer, Call, json_answer, message
from twinplane.api.core.paths import Plan, add_entity_paths
from twinplane.api.core.schema_endpoints import SchemaEndpoints
from twinplane.api.core.schemas import json_schema
from twinplane.api.konnect.consumer_groups import ConsumerGroups
from twinplane.control import DEFAULT_WORKSPACE, Control
from twinplane.registry import entity_types

_BASE: Final = re.compile(
    r"(?P<base>/(?:v2/(?:control-planes|runtime-groups)|konnect-api/api/runtime_groups)/(?P<id>[^/]+)/core-entities)"
    rf"(?P<workspace>/{DEFAULT_WORKSPACE})?(?P<path>/.*|\Z)",
    re.DOTALL,
)
_INTERNAL: Final = frozenset({"workspaces", "parameters", "tags", "clustering_data_planes", "consumer_group_consumers"})
_DEFAULT_WORKSPACE_ID: Final = "0dc6f45b-8f8d-40d2-a504-473544ee190b"
_UNAUTHORIZED: Final = json_answer(401, {"message": "Unauthorized", "status": 401})


def split_path(path: str) -> tuple[str, str, str] | None:
    """(base, control plane id, path behind it) of a raw path below core entities; None for any other."""
    found = _BASE.match(path)
    if found is None:
        return None
    return found["base"] + (found["workspace"] or ""), found["id"], found["path"] or "/"


def unauthorized() -> Answer:
    """What a wrong or missing token is told here."""
    return _UNAUTHORIZED


def core_entity_paths(control: Control) -> Dispatcher:
    """Every path below `core-entities`."""
    dispatcher = Dispatcher()
    add_core_entities(dispatcher, control)
    return dispatcher


def add_core_entities(dispatcher: Dispatcher, control: Control) -> None:
    """Serve what lies below `core-entities`; ingress controllers are served the same elsewhere."""
    rules = Rules(accepts_empty_offset=True, put_creates_targets=True, shows_beyond=True)
    checks = SchemaEndpoints(control, rules=rules, validated_status=201)
    for path, handlers in checks.paths().items():
        dispatcher.add(path, handlers)
    dispatcher.add("/v1/schemas/json/{entity}", {"GET": _json_schema})
    for path, handlers in _workspaces().items():
        dispatcher.add(path, handlers)
    known = entity_types()
    groups = ConsumerGroups(control)
    if "consumer_groups" in known:
        for path, handlers in groups.paths().items():
            dispatcher.add(path, handlers)
    plan = Plan(
        types={name: kind for name, kind in known.items() if name not in _INTERNAL},
        rules=rules,
        plural_when_nested=True,
        getters={"consumer_groups": groups.group},
    )
    add_entity_paths(dispatcher, control, plan)


def _json_schema(_call: Call, keys: tuple[str, ...]) -> Answer:
    schema = json_schema(keys[0])
    return message(404, f"No entity named '{keys[0]}'") if schema is None else json_answer(200, schema)


def _workspaces() -> Mapping[str, Mapping[str, Handler]]:
    default: dict[str, Any] = {"id": _DEFAULT_WORKSPACE_ID, "name": DEFAULT_WORKSPACE, "comment": None, "meta": {}}

    def one(_call: Call, keys: tuple[str, ...]) -> Answer:
        known = keys[0] in {DEFAULT_WORKSPACE, _DEFAULT_WORKSPACE_ID}
        return json_answer(200, default) if known else message(404, "Not found")

    def page(_call: Call, _keys: tuple[str, ...]) -> Answer:
        return json_answer(200, {"data": [default], "next": None})

    def refuse(_call: Call, _keys: tuple[str, ...]) -> Answer:
        return message(400, f"A control plane has the one workspace '{DEFAULT_WORKSPACE}'")

    return {"/workspaces": {"GET": page, "POST": refuse}, "/workspaces/{workspaces}": {"GET": one}}
