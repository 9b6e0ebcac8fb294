"""`twinplane config`: what is to be said of a `kong.conf` and of a declarative file before a node runs them."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from types import ModuleType

_ACTIONS: Mapping[str, str] = {
    "check": "a kong.conf with KONG_*, and all that it names but ports: everything that is wrong, at once",
    "parse": "a declarative file: everything that is wrong with it, at once",
    "init": "begin a declarative file, with an example of each thing",
    "lint": "a declarative file: what is taken, and yet surely not meant",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the actions, each with its options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, purpose in _ACTIONS.items():
        _module(name).configure(
            actions.add_parser(name, help=purpose, description=f"{purpose[:1].upper()}{purpose[1:]}.")
        )


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Do what is asked for. Raises StartError and SettingsError."""
    status: int = _module(options.action).run(options, environ)
    return status


def _module(action: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{action}")
