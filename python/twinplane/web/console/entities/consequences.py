"""What the deletion of an entity brings with it: what goes too, what stands in the way, what loses its reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from twinplane.control import Control, Parent, Scope
from twinplane.control.errors import ControlError
from twinplane.registry import entity_type
from twinplane.web.console.entities.kinds import KINDS, children_of, name_of

_COUNTED_MAX = 1000
_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Consequence:
    """What happens to the rows of one collection."""

    effect: Literal["cascade", "restrict", "null"]
    collection: str
    plural: str
    number: str
    names: Sequence[str]


def consequences(control: Control, scope: Scope, collection: str, entity_id: str) -> list[Consequence]:
    """Blocks; worst first. One level: what goes with what goes is not followed."""
    found: dict[str, Consequence] = {}
    for child, field in children_of(collection):
        try:
            page = control.changes.page(scope, child, size=_COUNTED_MAX, parent=Parent(collection, entity_id))
        except ControlError:
            continue
        rows = [row for row in page.rows if (row.get(field) or {}).get("id") == entity_id]
        if rows:
            effect = entity_type(child).foreign[field].on_delete
            number = f"{len(rows)}+" if page.offset else str(len(rows))
            names = [name_of(row) for row in rows[:_NAMED_MAX]]
            found[f"{child}.{field}"] = Consequence(effect, child, KINDS[child].plural, number, names)
    order = {"restrict": 0, "cascade": 1, "null": 2}
    return sorted(found.values(), key=lambda one: order[one.effect])
