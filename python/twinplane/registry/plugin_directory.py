"""Plugins in Python that lie in a directory, each a file or a folder: `my-plugin.py`, `my_plugin.py`, `my-plugin/`."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from twinplane.pdk import Plugin
from twinplane.pdk.kong import adapted, is_kong_plugin, lend_modules

_MODULES = "twinplane_plugins_"
"""What the names of their modules begin with, so that no other module is hidden by one."""


def found_in(directory: Path, name: str) -> Path | None:
    """The file of the plugin called so."""
    for word in (name, name.replace("-", "_")):
        for path in (directory / f"{word}.py", directory / word / "__init__.py"):
            if path.is_file():
                return path
    return None


def load_from(path: Path, name: str, *, lua_style: bool) -> type[Plugin[Any]]:
    """The plugin of a file. Raises what its code does when it is imported, and TypeError where it has no plugin."""
    lend_modules()
    return plugin_in(_imported(path, name), name, lua_style=lua_style)


def plugin_in(module: ModuleType, name: str, *, lua_style: bool) -> type[Plugin[Any]]:
    """The plugin of a module: its one class derived from Plugin of that name, or one written for Kong."""
    own = [each for each in _classes(module) if issubclass(each, Plugin) and getattr(each, "name", None) == name]
    if own:
        return own[0]
    written = getattr(module, "Plugin", None)
    if written is None or not is_kong_plugin(written):
        raise TypeError(
            f"{module.__file__} has neither a class derived from twinplane.pdk.Plugin and called {name!r}, "
            "nor a class Plugin as Kong's Python PDK has it"
        )
    return adapted(name, module, written, lua_style=lua_style)


def _classes(module: ModuleType) -> Iterator[type[Any]]:
    for _, found in inspect.getmembers(module, inspect.isclass):
        if found.__module__ == module.__name__:
            yield found


def _imported(path: Path, name: str) -> ModuleType:
    module_name = f"{_MODULES}{name.replace('-', '_')}"
    places = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(module_name, path, submodule_search_locations=places)
    if spec is None or spec.loader is None:
        raise TypeError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module
