"""Which paths the entity types of the registry make, in the shape Kong gives them.

Per type a collection and its items; per reference the same under the parent, and a link from the child to it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from twinplane.api.core.dispatch import Dispatcher, Handler
from twinplane.api.core.entity import Entities, Link, Rules
from twinplane.control import Control
from twinplane.registry import EntityType

NESTED_NAMES: Final[Mapping[str, str]] = {
    "keyauth_credentials": "key-auth",
    "basicauth_credentials": "basic-auth",
    "hmacauth_credentials": "hmac-auth",
    "jwt_secrets": "jwt",
    "mtls_auth_credentials": "mtls-auth",
}
"""What a collection is called under its parent, where that differs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one face serves.

    `nested_only` types have no paths of their own, `unlinked` references are not followed, `listers` replace the list
    of (type, parent type) and `getters` the item of a type, `plural_when_nested` serves credentials under both names.
    """

    types: Mapping[str, EntityType]
    rules: Rules = field(default_factory=Rules)
    nested_only: Collection[str] = ()
    unlinked: Collection[tuple[str, str]] = ()
    plural_when_nested: bool = False
    flat_names: Mapping[str, str] = field(default_factory=dict)
    listers: Mapping[tuple[str, str], Handler] = field(default_factory=dict)
    getters: Mapping[str, Handler] = field(default_factory=dict)


def add_entity_paths(dispatcher: Dispatcher, control: Control, plan: Plan) -> None:
    """Serve every type of a plan."""
    for name, kind in plan.types.items():
        if name not in plan.nested_only:
            entities = Entities(control, name, rules=plan.rules)
            item = {**entities.item(), "GET": plan.getters.get(name, entities.get)}
            _add(dispatcher, f"/{_path(plan, kind)}", name, entities.collection(), item)
        for reference, foreign in kind.foreign.items():
            parent = plan.types.get(foreign.target)
            if parent is None:
                continue
            nested = Entities(control, name, rules=plan.rules, parent=foreign.target)
            collection = dict(nested.collection())
            collection["GET"] = plan.listers.get((name, foreign.target), nested.list)
            for below in _nested_names(plan, kind):
                path = f"/{_path(plan, parent)}/{{{foreign.target}}}/{below}"
                _add(dispatcher, path, name, collection, nested.item())
            if name not in plan.nested_only and (name, reference) not in plan.unlinked:
                link = Link(control, name, reference, foreign.target)
                dispatcher.add(f"/{_path(plan, kind)}/{{{name}}}/{reference}", link.handlers())


def _add(
    dispatcher: Dispatcher, path: str, name: str, collection: Mapping[str, Handler], item: Mapping[str, Handler]
) -> None:
    dispatcher.add(path, collection)
    dispatcher.add(f"{path}/{{{name}}}", item)


def _path(plan: Plan, kind: EntityType) -> str:
    return plan.flat_names.get(kind.name, kind.admin_path)


def _nested_names(plan: Plan, kind: EntityType) -> list[str]:
    flat = _path(plan, kind)
    names = [NESTED_NAMES.get(kind.name, flat)]
    if plan.plural_when_nested and flat not in names:
        names.append(flat)
    return names
