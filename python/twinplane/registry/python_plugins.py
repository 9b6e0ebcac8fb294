"""Plugins in Python that do not come with twinplane: found by entry point, enabled by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import new_class
from typing import Annotated, Any

from twinplane import plugins as plugins_room
from twinplane import schema
from twinplane.pdk import Plugin
from twinplane.schema.shared import HttpProtocols, NoConsumer, NoRoute, NoService

GROUP = "twinplane.plugins"
"""Entry points of this group name a class derived from `twinplane.pdk.Plugin`."""
BUNDLED = "bundled"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NOTHING_ELSE = {"service": NoService, "route": NoRoute, "consumer": NoConsumer}


class PluginsUnusable(Exception):
    """Plugins that were asked for cannot be used. Carries every problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


def find_plugins(names: Iterable[str]) -> list[type[Plugin[Any]]]:
    """The classes of the plugins called so; names of bundled ones give nothing. Raises PluginsUnusable."""
    known = {found.name: found for found in entry_points(group=GROUP)}
    bundled = bundled_names()
    classes: list[type[Plugin[Any]]] = []
    problems: list[str] = []
    for name in dict.fromkeys(names):
        if name in {BUNDLED, "off"} or name in bundled:
            continue
        if name not in known:
            problems.append(
                f"plugin '{name}' is enabled but not installed: no entry point of the group {GROUP} names it"
            )
            continue
        try:
            classes.append(_load(known[name]))
        except Exception as error:
            problems.append(f"plugin '{name}' cannot be loaded: {type(error).__name__}: {error}")
    problems += [problem for each in classes for problem in problems_of(each)]
    if problems:
        raise PluginsUnusable(problems)
    return classes


def problems_of(plugin: type[Plugin[Any]]) -> list[str]:
    """What keeps a class from being a plugin, in sentences."""
    name = getattr(plugin, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return [f"plugin class {plugin.__qualname__}: name must be lower-case words joined by hyphens, got {name!r}"]
    problems = []
    if name in bundled_names():
        problems.append(f"plugin '{name}': the name is that of a bundled plugin")
    if not plugin.phases():
        problems.append(f"plugin '{name}': defines no phase")
    if "response" in plugin.phases() and {"header_filter", "body_filter"} & set(plugin.phases()):
        problems.append(
            f"plugin '{name}': defines response beside header_filter or body_filter, in place of which it is"
        )
    if not isinstance(plugin.config_class, type) or not issubclass(plugin.config_class, schema.Record):
        problems.append(f"plugin '{name}': config_class must derive from twinplane.pdk.Config")
    return problems


def bundled_names() -> frozenset[str]:
    """The names of all plugins that come with twinplane."""
    room = Path(plugins_room.__path__[0])
    return frozenset(path.parent.name.replace("_", "-") for path in room.glob("*/schema.py"))


def bundled_class(name: str) -> type[Plugin[Any]] | None:
    """The class of a bundled plugin that is written in Python; None for any other."""
    folder = name.replace("-", "_")
    if not (Path(plugins_room.__path__[0]) / folder / "filter.py").is_file():
        return None
    found: type[Plugin[Any]] = import_module(f"{plugins_room.__name__}.{folder}.filter").PLUGIN
    return found


def declared(plugin: type[Plugin[Any]]) -> type[schema.Plugin]:
    """A plugin class in the language of bundled declarations."""
    words = (plugin.__doc__ or f"The plugin {plugin.name}.").strip().splitlines()[0]
    annotations: dict[str, Any] = {
        scope: narrowed for scope, narrowed in _NOTHING_ELSE.items() if scope not in plugin.scopes
    }
    members: dict[str, Any] = dict.fromkeys(annotations)
    annotations |= {"protocols": HttpProtocols, "config": Annotated[plugin.config_class, "Settings of the plugin."]}
    members |= {
        "protocols": ["grpc", "grpcs", "http", "https"],
        "__annotations__": annotations,
        "__doc__": words,
        "__module__": plugin.__module__,
    }
    facts = {
        "name": plugin.name,
        "version": plugin.version,
        "priority": plugin.priority,
        "phases": plugin.phases(),
        "observes_only": plugin.observes_only,
    }
    return new_class(plugin.__name__, (schema.Plugin,), facts, lambda namespace: namespace.update(members))


def _load(entry: EntryPoint) -> type[Plugin[Any]]:
    found = entry.load()
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        raise TypeError(f"{entry.value} is no class derived from twinplane.pdk.Plugin")
    if getattr(found, "name", None) != entry.name:
        raise TypeError(f"{entry.value} calls itself {getattr(found, 'name', None)!r}")
    return found
