"""What the deletion of entities brings with it: what goes too, what stands in the way, what loses its reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from twinplane.control import Control, Parent, Scope
from twinplane.control.errors import ControlError
from twinplane.registry import entity_type
from twinplane.web.console.entities.kinds import KINDS, name_of

_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Consequence:
    """What happens to the rows of one collection. Some of them are named where one entity goes."""

    effect: Literal["cascade", "restrict", "null"]
    collection: str
    singular: str
    plural: str
    number: int
    names: Sequence[str]

    @property
    def counted(self) -> str:
        """How many, in words."""
        return f"{self.number:,} {(self.singular if self.number == 1 else self.plural).lower()}"


def consequences(control: Control, scope: Scope, collection: str, ids: Sequence[str]) -> list[Consequence]:
    """Blocks; worst first. One level: what goes with what goes is not followed."""
    found = []
    for (child, field), number in control.changes.dependents(scope, collection, ids).items():
        kind = KINDS.get(child)
        if kind is None:
            continue
        effect = entity_type(child).foreign[field].on_delete
        names = _names(control, scope, child, Parent(collection, ids[0])) if len(ids) == 1 else []
        found.append(Consequence(effect, child, kind.singular, kind.plural, number, names))
    order = {"restrict": 0, "cascade": 1, "null": 2}
    return sorted(found, key=lambda one: (order[one.effect], -one.number))


def _names(control: Control, scope: Scope, collection: str, parent: Parent) -> list[str]:
    try:
        rows = control.changes.page(scope, collection, size=_NAMED_MAX, parent=parent).rows
    except ControlError:
        return []
    return [name_of(row) for row in rows]
