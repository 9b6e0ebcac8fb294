"""Which paths the entity types of the registry make, in the shape Kong gives them.

Per type a collection and its items; per reference the same under the parent, and a link from the child to it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from twinplane.api.core.dispatch import Dispatcher, Handler
from twinplane.api.core.entity import Entities, Link, Rules
from twinplane.api.core.source import Source
from twinplane.registry import EntityType


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
    listers: Mapping[tuple[str, str], Handler] = field(default_factory=dict)
    getters: Mapping[str, Handler] = field(default_factory=dict)


def add_entity_paths(dispatcher: Dispatcher, control: Source, plan: Plan) -> None:
    """Serve every type of a plan."""
    for name, kind in plan.types.items():
        if name not in plan.nested_only:
            entities = Entities(control, name, rules=plan.rules)
            item = {**entities.item(), "GET": plan.getters.get(name, entities.get)}
            _add(dispatcher, f"/{kind.admin_path}", name, entities.collection(), item)
        for reference, foreign in kind.foreign.items():
            parent = plan.types.get(foreign.target)
            if parent is None:
                continue
            nested = Entities(control, name, rules=plan.rules, parent=foreign.target)
            collection = dict(nested.collection())
            collection["GET"] = plan.listers.get((name, foreign.target), nested.list)
            for below in _nested_names(plan, kind):
                path = f"/{parent.admin_path}/{{{foreign.target}}}/{below}"
                _add(dispatcher, path, name, collection, nested.item())
            if name not in plan.nested_only and (name, reference) not in plan.unlinked:
                link = Link(control, name, reference, foreign.target, rules=plan.rules)
                dispatcher.add(f"/{kind.admin_path}/{{{name}}}/{reference}", link.handlers())


def _add(
    dispatcher: Dispatcher, path: str, name: str, collection: Mapping[str, Handler], item: Mapping[str, Handler]
) -> None:
    dispatcher.add(path, collection)
    dispatcher.add(f"{path}/{{{name}}}", item)


def _nested_names(plan: Plan, kind: EntityType) -> list[str]:
    if plan.plural_when_nested and kind.nested_path != kind.admin_path:
        return [kind.nested_path, kind.admin_path]
    return [kind.nested_path]
