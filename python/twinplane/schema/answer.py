"""Rows as clients see them: deprecated names are shown beside the fields that took their place."""

from collections.abc import Mapping
from typing import Any

from twinplane.schema.checks import value_at
from twinplane.schema.kong_form import is_served
from twinplane.schema.shape import Shape


def answer(shape: Shape, row: Mapping[str, Any], *, beyond: bool) -> dict[str, Any]:
    """A copy of the row with each deprecated name that one field replaced, perhaps without what Kong 3.9 lacks."""
    shown = dict(row)
    for name, field in shape.fields.items():
        if not beyond and not is_served(field):
            shown.pop(name, None)
        elif field.record is not None and isinstance(shown.get(name), Mapping):
            shown[name] = answer(field.record, shown[name], beyond=beyond)
    for name, (shorthand, _) in shape.shorthands.items():
        if shorthand.deprecated is not None and shorthand.deprecated.replaced_with:
            shown[name] = value_at(row, ".".join(shorthand.deprecated.replaced_with), None)
    return shown
