"""Writes the page that says how far each plugin goes: from the declarations and from `## Parity` of each plugin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.generate.plugin_configs import PLUGINS, REFUSED, has_behaviour

from twinplane.registry import PluginType, plugin_types
from twinplane.schema import Shape

PAGE = "docs/reference/parity.md"
_ROOT = Path(__file__).resolve().parents[2]
_ROW = re.compile(r"^\| *(done|different|todo|exempt) *\|(.*)\|$", re.MULTILINE)
_HEAD = """<!-- Generated from python/twinplane/plugins/*/README.md and schema.py by `make generate`; do not edit. -->
# Plugins: what runs, field by field

Every bundled plugin, how many fields its configuration has, which of them a node of this version does not heed, and
where it behaves otherwise than a real one. The fields themselves are in `plugins/`, the reasons on each page.

| plugin | on a node | fields heeded | not heeded |
|---|---|---|---|
"""
_DETAILS = """
## Different, and yet to do

| plugin | | |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    plugins = [plugin_types()[name] for name in sorted(plugin_types())]
    rows = [_row(plugin) for plugin in plugins]
    details = [line for plugin in plugins for line in _details(plugin)]
    return _HEAD + "\n".join(rows) + "\n" + _DETAILS + "\n".join(details) + "\n"


def _row(plugin: PluginType) -> str:
    fields = list(_fields(plugin.config, ""))
    if not has_behaviour(plugin):
        how = "refused: it is Lua" if plugin.name in REFUSED else "checked and stored"
        return f"| [{plugin.name}](plugins/{plugin.name}.md) | {how} | 0 of {len(fields)} | all |"
    said = _parity(plugin)
    named = {
        name for kind in ("todo", "exempt") for text in said.get(kind, ()) for name in re.findall(r"`(.+?)`", text)
    }
    missing = [path for path in fields if any(_is_within(path, name) for name in named)]
    shown = ", ".join(f"`{path}`" for path in missing)
    heeded = f"{len(fields) - len(missing)} of {len(fields)}"
    return f"| [{plugin.name}](plugins/{plugin.name}.md) | runs | {heeded} | {shown} |"


def _is_within(path: str, name: str) -> bool:
    return path == name or path.startswith((f"{name}.", f"{name}_"))


def _details(plugin: PluginType) -> Iterator[str]:
    for kind, texts in _parity(plugin).items() if has_behaviour(plugin) else ():
        for text in texts:
            if kind != "done" and text != "nothing":
                yield f"| {plugin.name} | {kind} | {text} |"


def _parity(plugin: PluginType) -> Mapping[str, list[str]]:
    said: dict[str, list[str]] = {}
    _, _, text = _page_of(plugin).partition("## Parity")
    for kind, told in _ROW.findall(text):
        said.setdefault(kind, []).append(told.strip())
    return said


def _page_of(plugin: PluginType) -> str:
    path = _ROOT / PLUGINS / plugin.folder / "README.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _fields(shape: Shape, prefix: str) -> Iterator[str]:
    """Every field that holds a value of its own."""
    for name, known in shape.fields.items():
        if known.record is not None and not known.abstract:
            yield from _fields(known.record, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
