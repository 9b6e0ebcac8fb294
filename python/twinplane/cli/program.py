"""The `twinplane` program: finds the role that is asked for and reports what keeps it from starting.

Roles are imported only when they run, so that a node never loads what only a control plane needs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from twinplane import __version__
from twinplane.cli.errors import StartError
from twinplane.settings import CONTROL_PLANE, UP, Setting, SettingsError, load_node_settings, load_process_settings

EXIT_FAILED = 1
EXIT_SETTINGS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status: 0 stopped as asked, 1 could not run, 2 wrong settings."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except SettingsError as error:
        for mistake in error.mistakes:
            print(f"twinplane: {mistake}", file=sys.stderr)
        return EXIT_SETTINGS
    except StartError as error:
        for problem in error.problems:
            print(f"twinplane: {problem}", file=sys.stderr)
        return EXIT_FAILED


def _run(options: argparse.Namespace) -> int:
    given = {name.replace("_", "-"): value for name, value in vars(options).items()}
    if options.role == "data-plane":
        node_settings = load_node_settings(options.conf, os.environ)
        if options.check:
            return 0
        from twinplane.cli.data_plane import run as run_data_plane  # noqa: PLC0415

        return run_data_plane(node_settings, parent_fd=options.parent_fd)
    if options.role == "control-plane":
        settings = load_process_settings(CONTROL_PLANE, given, os.environ)
        from twinplane.cli.control_plane import run as run_control_plane  # noqa: PLC0415

        return run_control_plane(settings)
    settings = load_process_settings(UP, given, os.environ)
    from twinplane.cli.up import run as run_up  # noqa: PLC0415

    return run_up(settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="twinplane", description="An open, self-hosted API platform of two planes.")
    parser.add_argument("--version", action="version", version=f"twinplane {__version__}")
    roles = parser.add_subparsers(dest="role", required=True, metavar="ROLE")
    up = roles.add_parser("up", help="a control plane and one data plane node on this machine")
    _add_options(up, UP)
    control_plane = roles.add_parser("control-plane", help="a control plane")
    _add_options(control_plane, CONTROL_PLANE)
    data_plane = roles.add_parser("data-plane", help="a data plane node, configured by kong.conf and KONG_*")
    data_plane.add_argument("-c", "--conf", type=Path, metavar="FILE", help="kong.conf to read")
    data_plane.add_argument("--check", action="store_true", help="check the settings and stop")
    data_plane.add_argument("--parent-fd", type=int, default=-1, help=argparse.SUPPRESS)
    return parser


def _add_options(parser: argparse.ArgumentParser, table: Sequence[Setting]) -> None:
    for setting in table:
        if setting.name == "parent-fd":
            parser.add_argument("--parent-fd", help=argparse.SUPPRESS)
            continue
        shown = f" (default: {setting.default})" if setting.default else ""
        parser.add_argument(
            f"--{setting.name}", metavar=setting.kind.name, help=(setting.doc + shown).replace("%", "%%")
        )
