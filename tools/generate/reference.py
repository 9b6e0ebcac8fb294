"""Writes the reference pages of entities and plugins from their declarations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tools.generate.bounds import bounds
from tools.generate.plugin_configs import PLUGINS, REFUSED, has_behaviour

from twinplane.registry import EntityType, PluginType, entity_types, plugin_types
from twinplane.schema import Field, Shape
from twinplane.schema.rules import Equals, OneOf

_ENTITIES, _PLUGINS = "docs/reference/entities", "docs/reference/plugins"
_SCOPES = ("route", "service", "consumer", "consumer_group")
_ROOT = Path(__file__).resolve().parents[2]
_HEAD = "<!-- Generated from python/twinplane/{source} by `make generate`; do not edit. -->\n"


def files() -> dict[str, str]:
    """Path to text of every page."""
    found = {f"{_ENTITIES}/{kind.name}.md": _entity(kind) for kind in entity_types().values()}
    found |= {f"{_PLUGINS}/{plugin.name}.md": _plugin(plugin) for plugin in plugin_types().values()}
    return found


def _entity(kind: EntityType) -> str:
    lines = [f"# {kind.name}", "", kind.shape.description, ""]
    if kind.endpoint_key:
        lines += [f"Addressed by `id` or `{kind.endpoint_key}`, at `/{kind.admin_path}`.", ""]
    return _HEAD.format(source="entities") + "\n".join([*lines, *_table(kind.shape)]) + "\n"


def _plugin(plugin: PluginType) -> str:
    runs = "runs" if has_behaviour(plugin) else "is checked and stored, and does not run yet"
    if plugin.name in REFUSED:
        runs = "is refused with the configuration: it is Lua. Write it as a plugin in Python (`twinplane plugin new`)"
    lines = [
        f"# {plugin.name}",
        "",
        plugin.shape.description,
        "",
        f"Priority {plugin.priority}, version {plugin.version}; on a node of this version it {runs}.",
        "",
        *_place(plugin),
        "",
    ]
    use, _, parity = _own_words(plugin).partition("## Parity")
    table = ["## Configuration", "", *_table(plugin.config)]
    end = ["", "## Parity", parity.strip("\n")] if parity else []
    source = f"plugins/{plugin.folder}/README.md and schema.py"
    return _HEAD.format(source=source) + "\n".join([*lines, use.strip("\n"), "", *table, *end]) + "\n"


def _place(plugin: PluginType) -> Iterator[str]:
    """When it acts, for whom, on what."""
    fields = plugin.shape.fields
    protocols = fields["protocols"]
    taken = next((rule.values for rule in (protocols.elements or protocols).rules if isinstance(rule, OneOf)), ())
    closed = [name for name in _SCOPES if name in fields and Equals(None) in fields[name].rules]
    shown = [name.replace("_", " ") for name in _SCOPES if name not in closed]
    # Who may not be a single consumer is none of a group of them either.
    if "consumer" in closed and "consumer group" in shown:
        shown.remove("consumer group")
    yield "| | |"
    yield "|---|---|"
    yield f"| phases | {', '.join(plugin.phases)} |"
    yield f"| scopes | {', '.join([*shown, 'global'])} |"
    yield f"| protocols | {', '.join(taken)} |"
    if not isinstance(protocols.default, list) or set(protocols.default) != set(taken):
        yield f"| by default | {', '.join(protocols.default if isinstance(protocols.default, list) else taken)} |"


def _own_words(plugin: PluginType) -> str:
    """What the plugin's folder says of it, without the title."""
    text = (_ROOT / PLUGINS / plugin.folder / "README.md").read_text(encoding="utf-8")
    return text.partition("\n")[2]


def _table(shape: Shape) -> list[str]:
    rows = ["| field | type | default | bounds | meaning |", "|---|---|---|---|---|"]
    return [*rows, *_rows(shape, "")]


def _rows(shape: Shape, prefix: str) -> Iterator[str]:
    for name, known in shape.fields.items():
        required = " (required)" if known.required and not isinstance(known.default, str | int | float | list) else ""
        meaning = known.description.replace("|", "\\|")
        if known.since:
            meaning += f" Since {known.since}."
        bound = bounds(known).replace("|", "\\|")
        yield f"| `{prefix}{name}` | {_type(known)}{required} | {_default(known)} | {bound} | {meaning} |"
        if known.record is not None and not known.abstract:
            yield from _rows(known.record, f"{prefix}{name}.")


def _type(known: Field) -> str:
    choices = [(*rule.values, *rule.enterprise) for rule in known.rules if isinstance(rule, OneOf)]
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices[0])
    if known.kind in {"array", "set"} and known.elements is not None:
        return f"{known.kind} of {_type(known.elements)}"
    if known.kind == "foreign" and known.references is not None:
        return f"reference to {known.references.collection}"
    return known.kind


def _default(known: Field) -> str:
    if isinstance(known.default, str | int | float | list) and known.default != []:
        return f"`{json.dumps(known.default, ensure_ascii=False)}`"
    return ""
