"""`twinplane config parse`: whether a node would take a declarative file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from twinplane.cli.enabling import enabled_plugins, plugins_of
from twinplane.cli.errors import StartError
from twinplane.cli.explain import declared_table
from twinplane.settings import load_node_settings

WITHOUT_PLANE = {"KONG_ROLE": "traditional", "KONG_DECLARATIVE_CONFIG_STRING": "{}"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `twinplane config parse`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a declarative file")
    parser.add_argument("-c", "--conf", type=Path, metavar="FILE", help="kong.conf of the nodes")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 where a node would take it. Raises StartError with everything that is wrong, and SettingsError."""
    from twinplane.node.rehearsal import table_problems  # noqa: PLC0415

    settings = load_node_settings(options.conf, {**environ, **WITHOUT_PLANE})
    plugins = enabled_plugins(*plugins_of(settings))
    problems = table_problems(settings, declared_table(options.file, settings), environ, plugins)
    if problems:
        raise StartError(*(f"{options.file}: {problem}" for problem in problems))
    print("parse successful")
    return 0
