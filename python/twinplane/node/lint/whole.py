"""All that is found in a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twinplane.node.lint.expressions import lint_expressions
from twinplane.node.lint.findings import Finding
from twinplane.node.lint.plugins import lint_plugins
from twinplane.node.lint.routes import lint_routes
from twinplane.settings import NodeSettings

if TYPE_CHECKING:
    from twinplane.pdk import Plugin


def lint(
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    text: bytes,
    settings: NodeSettings,
    plugins: Sequence[type[Plugin[Any]]] = (),
) -> list[Finding]:
    """What is found in the rows of a document, of which `text` is what a node with these settings runs.

    Raises `ApplyError` where none can.
    """
    table = {name: [{field: _id(value) for field, value in row.items()} for row in rows[name]] for name in rows}
    return [*lint_routes(table, text, settings, plugins), *lint_expressions(table), *lint_plugins(table)]


def _id(value: Any) -> Any:
    """A reference as the id that it names; anything else as it is."""
    return value["id"] if isinstance(value, dict) and value.keys() == {"id"} else value
