"""Enables the plugins in Python that a process is set to know. Says everything that is wrong with them at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinplane.cli.errors import StartError

if TYPE_CHECKING:
    from twinplane.pdk import Plugin
    from twinplane.settings import NodeSettings


def plugins_of(settings: NodeSettings) -> tuple[Sequence[str], Path | None, bool]:
    """What a node is set to know, as `enabled_plugins` takes it."""
    return settings["plugins"] or (), settings["python_plugin_directory"], settings["python_plugin_lua_style"]


def enabled_plugins(
    names: Iterable[str], directory: Path | None = None, lua_style: bool = True
) -> list[type[Plugin[Any]]]:
    """The classes called so, known to this process from now on. Raises StartError. As `find_plugins`."""
    wanted = [name for name in names if name not in {"bundled", "off"}]
    if not wanted:
        return []
    # Loaded where it is needed: most nodes have no plugin in Python, and spare the declarations.
    from twinplane.registry import PluginsUnusable, enable_plugins, find_plugins  # noqa: PLC0415

    try:
        found = find_plugins(wanted, directory, lua_style=lua_style)
        enable_plugins(found)
    except PluginsUnusable as error:
        raise StartError(*error.problems) from error
    return found
