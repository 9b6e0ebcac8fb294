"""Rows as clients see them: deprecated names are shown beside the fields that took their place."""

from collections.abc import Mapping
from typing import Any

from twinplane.schema.checks import value_at
from twinplane.schema.shape import Shape


def with_aliases(shape: Shape, row: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the row in which every deprecated name that was replaced by one field holds that field's value."""
    shown = dict(row)
    for name, field in shape.fields.items():
        if field.record is not None and isinstance(shown.get(name), Mapping):
            shown[name] = with_aliases(field.record, shown[name])
    for name, (shorthand, _) in shape.shorthands.items():
        if shorthand.deprecated is not None and shorthand.deprecated.replaced_with:
            shown[name] = value_at(row, ".".join(shorthand.deprecated.replaced_with), None)
    return shown
