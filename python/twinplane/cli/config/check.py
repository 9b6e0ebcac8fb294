"""`twinplane config check`: whether a node would start with these settings. Opens no port."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from twinplane.cli.enabling import enabled_plugins, plugins_of
from twinplane.cli.errors import StartError
from twinplane.settings import load_node_settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `twinplane config check`."""
    parser.add_argument("conf", nargs="?", type=Path, metavar="FILE", help="kong.conf (default: the usual places)")
    parser.add_argument("-c", "--conf", dest="named", type=Path, metavar="FILE", help="the same")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 where a node would start. Raises SettingsError and StartError with everything that is wrong."""
    # Loads the core, which most commands can do without.
    from twinplane.cli.data_plane import prefix_of  # noqa: PLC0415
    from twinplane.node.rehearsal import start_problems  # noqa: PLC0415

    settings = load_node_settings(options.conf or options.named, environ)
    for warning in settings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    plugins = enabled_plugins(*plugins_of(settings))
    problems = start_problems(settings, environ, plugins, prefix=prefix_of(settings))
    if problems:
        raise StartError(*problems)
    print(f"the settings {f'in {settings.path}' if settings.path else 'of the environment'} are valid")
    return 0
