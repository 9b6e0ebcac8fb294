"""The folder that a plugin is written in: which plugins its `pyproject.toml` names, their code, its state."""

from __future__ import annotations

import importlib
import sys
import tomllib
from pathlib import Path
from typing import Any

from twinplane.cli.errors import StartError
from twinplane.pdk import Plugin
from twinplane.pdk.kong import lend_modules
from twinplane.registry.python_plugins import GROUP, class_of, problems_of, told

State = frozenset[tuple[str, int, int]]


class PluginFolder:
    """A folder with `pyproject.toml`; it need not be installed."""

    def __init__(self, directory: Path) -> None:
        """Raises StartError where there is no plugin."""
        self.path = directory.absolute()
        self.entries = _entries(self.path / "pyproject.toml")
        """Object reference by name of the plugin."""
        for place in (self.path, self.path / "src"):
            if str(place) not in sys.path:
                sys.path.insert(0, str(place))

    def load(self) -> list[type[Plugin[Any]]]:
        """The classes, imported anew. Raises StartError with everything that is wrong."""
        self._forget()
        lend_modules()
        importlib.invalidate_caches()
        found: list[type[Plugin[Any]]] = []
        problems: list[str] = []
        for name, reference in self.entries.items():
            module, _, attribute = reference.partition(":")
            try:
                imported = importlib.import_module(module)
                loaded = class_of(getattr(imported, attribute) if attribute else imported, name, reference)
            except (Exception, SystemExit) as error:  # whatever the code does when it is imported
                problems.append(f"plugin '{name}' cannot be loaded: {told(error)}")
                continue
            found.append(loaded)
            problems += problems_of(loaded)
        if problems:
            raise StartError(*problems)
        return found

    def state(self) -> State:
        """What changes when a file of the code does."""
        found = set()
        for path in self.path.rglob("*.py"):
            try:
                facts = path.stat()
            except OSError:
                continue
            found.add((str(path), facts.st_mtime_ns, facts.st_size))
        return frozenset(found)

    def _forget(self) -> None:
        for name, module in list(sys.modules.items()):
            place = getattr(module, "__file__", None)
            if place and Path(place).is_relative_to(self.path):
                del sys.modules[name]


def _entries(path: Path) -> dict[str, str]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StartError(f"{path}: cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise StartError(f"{path}: {error}") from error
    entries: dict[str, str] = document.get("project", {}).get("entry-points", {}).get(GROUP, {})
    if not entries:
        raise StartError(f'{path}: names no plugin in [project.entry-points."{GROUP}"]')
    return entries
