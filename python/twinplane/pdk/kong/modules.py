"""Modules that plugins written for Kong import, where the package that has them is not installed."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import NoReturn

from twinplane.pdk.kong.calls import Space

_PACKAGE = "kong_pdk"


def lend_modules() -> None:
    """Let `import kong_pdk.pdk.kong` work: plugins name it in annotations."""
    if _PACKAGE in sys.modules or importlib.util.find_spec(_PACKAGE) is not None:
        return
    package, pdk, kong, cli = (
        _module(name) for name in (_PACKAGE, f"{_PACKAGE}.pdk", f"{_PACKAGE}.pdk.kong", f"{_PACKAGE}.cli")
    )
    package.pdk, package.cli, pdk.kong = pdk, cli, kong  # type: ignore[attr-defined]
    kong.kong = Space  # type: ignore[attr-defined]
    cli.start_dedicated_server = _no_server  # type: ignore[attr-defined]


def _no_server(*_words: object, **_named: object) -> NoReturn:
    raise RuntimeError("this gateway runs plugins in its own process: enable them by the settings plugins")


def _module(name: str) -> ModuleType:
    module = sys.modules[name] = ModuleType(name, "Stands for a module of Kong's Python PDK.")
    module.__path__ = []
    return module
