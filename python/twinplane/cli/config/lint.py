"""`twinplane config lint`: what of a declarative file is taken, and yet surely not meant."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import orjson

from twinplane.cli.config.parse import WITHOUT_PLANE
from twinplane.cli.enabling import enabled_plugins, plugins_of
from twinplane.cli.explain import declared_table
from twinplane.settings import load_node_settings

EXIT_FINDINGS = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `twinplane config lint`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a declarative file")
    parser.add_argument("-c", "--conf", type=Path, metavar="FILE", help="kong.conf of the nodes")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 where nothing is found, 3 where something is. Raises StartError and SettingsError."""
    from twinplane.control import declarative  # noqa: PLC0415
    from twinplane.node.lint import lint  # noqa: PLC0415

    settings = load_node_settings(options.conf, {**environ, **WITHOUT_PLANE})
    plugins = enabled_plugins(*plugins_of(settings))
    table = declared_table(options.file, settings)
    # What is switched off is no part of what a node runs.
    rows = declarative.read(options.file.read_bytes(), now=time.time(), flavor=settings["router_flavor"]).rows
    found = lint(rows, table, settings, plugins)
    if options.json:
        print(orjson.dumps([finding.json() for finding in found], option=orjson.OPT_INDENT_2).decode())
    else:
        for finding in found:
            print(f"{finding.code}  {finding.entity} {finding.name}: {finding.detail}")
        print("nothing found" if not found else f"{len(found)} found")
    return EXIT_FINDINGS if found else 0
