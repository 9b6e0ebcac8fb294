"""Plugins in Python that do not come with twinplane: found by entry point, enabled by name."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType, new_class
from typing import Annotated, Any

from twinplane import plugins as plugins_room
from twinplane import schema
from twinplane.pdk import Plugin
from twinplane.pdk.config import ConfigUnreadable, record_of
from twinplane.pdk.kong import adapted, is_kong_plugin, lend_modules
from twinplane.registry.plugin_directory import found_in, load_from, plugin_in
from twinplane.schema.read import shape_of
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


def find_plugins(
    names: Iterable[str], directory: Path | None = None, *, lua_style: bool = True
) -> list[type[Plugin[Any]]]:
    """The classes of the plugins called so; names of bundled ones give nothing. Raises PluginsUnusable.

    They are looked for in the directory and then by entry point. `lua_style` is for those that are written for Kong.
    """
    known = {found.name: found for found in entry_points(group=GROUP)}
    bundled = bundled_names()
    classes: list[type[Plugin[Any]]] = []
    problems: list[str] = []
    for name in dict.fromkeys(names):
        if name in {BUNDLED, "off"} or name in bundled:
            continue
        path = found_in(directory, name) if directory is not None else None
        if path is None and name not in known:
            where = "" if directory is None else f", and there is none in {directory}"
            problems.append(
                f"plugin '{name}' is enabled but not installed: no entry point of the group {GROUP} names it{where}"
            )
            continue
        try:
            if path is not None:
                classes.append(load_from(path, name, lua_style=lua_style))
            else:
                classes.append(_load(known[name], lua_style=lua_style))
        except (Exception, SystemExit) as error:
            problems.append(f"plugin '{name}' cannot be loaded: {told(error)}")
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
    try:
        shape_of(record_of(plugin.config_class))
    except (ConfigUnreadable, KeyError, TypeError, ValueError) as error:
        problems.append(
            f"plugin '{name}': {error}" if isinstance(error, ConfigUnreadable) else _undeclarable(name, error)
        )
    return problems


def _undeclarable(name: str, error: Exception) -> str:
    return f"plugin '{name}': config_class declares a field of a type that there is not: {error}"


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
    annotations |= {
        "protocols": HttpProtocols,
        "config": Annotated[record_of(plugin.config_class), "Settings of the plugin."],
    }
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


def told(error: BaseException) -> str:
    """What went wrong while code was loaded, with the place of what cannot even be read."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    if isinstance(error, SystemExit):
        return f"SystemExit: it ended with {error.code!r} while it was imported"
    return f"{type(error).__name__}: {error}"


def _load(entry: EntryPoint, *, lua_style: bool) -> type[Plugin[Any]]:
    lend_modules()
    return class_of(entry.load(), entry.name, entry.value, lua_style=lua_style)


def class_of(found: Any, name: str, reference: str, *, lua_style: bool = True) -> type[Plugin[Any]]:
    """The plugin that an entry point leads to: a class of ours or of Kong, or a module with one. Raises TypeError."""
    if isinstance(found, ModuleType):
        return plugin_in(found, name, lua_style=lua_style)
    if is_kong_plugin(found):
        return adapted(name, sys.modules[found.__module__], found, lua_style=lua_style)
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        raise TypeError(f"{reference} is no class derived from twinplane.pdk.Plugin")
    if getattr(found, "name", None) != name:
        raise TypeError(f"{reference} calls itself {getattr(found, 'name', None)!r}")
    return found
