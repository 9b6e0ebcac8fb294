"""The `twinplane` program: finds the command that is asked for and reports what keeps it from running.

A command is a module with `configure(parser)` and `run(options, environ)`. It is imported only when it is asked for, so
that a node never loads what only a control plane needs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from twinplane import __version__
from twinplane.cli.errors import StartError
from twinplane.cli.options import add_options, given_options
from twinplane.cli.signals import EXIT_SIGNALLED
from twinplane.settings import CONTROL_PLANE, UP, NodeSettings, SettingsError, load_node_settings, load_process_settings

Run = Callable[[argparse.Namespace, Mapping[str, str]], int]

EXIT_SETTINGS = 2
EXIT_INTERRUPTED = EXIT_SIGNALLED + signal.SIGINT


class Command(Protocol):
    """What the module of a command has."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""

    def run(self, options: argparse.Namespace, environ: Mapping[str, str]) -> int:
        """Do it. Returns the exit status; raises StartError or SettingsError."""


COMMANDS: Mapping[str, tuple[str, str]] = {
    "join": ("twinplane.cli.join", "make a node of a control plane: certificate, pin, kong.conf"),
    "network": ("twinplane.cli.network", "what a network must let through, and what is wrong on the way of a node"),
    "health": ("twinplane.cli.health", "whether the control plane or the node on this machine is well"),
    "explain": ("twinplane.cli.explain", "what would become of a request, and why"),
    "config": ("twinplane.cli.config", "check a kong.conf; check, begin and lint a declarative file"),
    "reload": ("twinplane.cli.reload", "have the node on this machine read its settings again"),
    "audit": ("twinplane.cli.audit", "whether the audit records of a data directory are complete and unchanged"),
    "hybrid": ("twinplane.cli.hybrid", "make the certificate that nodes and a control plane share"),
    "plugin": ("twinplane.cli.plugin", "begin, test and serve a plugin in Python"),
    "drain": ("twinplane.cli.drain", "take the node on this machine out of service before it is stopped"),
}
"""Commands beside the three roles: the module of each, and what it does in a few words."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status; `docs/reference/exit-codes.md` lists them."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    run, options = _parse(words)
    try:
        return run(options, os.environ)
    except SettingsError as error:
        for mistake in error.mistakes:
            print(f"twinplane: {mistake}", file=sys.stderr)
        return EXIT_SETTINGS
    except StartError as error:
        for problem in error.problems:
            print(f"twinplane: {problem}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        # Before the role took signals over, or while it went down.
        return EXIT_INTERRUPTED


def _parse(words: Sequence[str]) -> tuple[Run, argparse.Namespace]:
    asked = next((word for word in words if not word.startswith("-")), "")
    parser = argparse.ArgumentParser(prog="twinplane", description="An open, self-hosted API platform of two planes.")
    parser.add_argument("--version", action="version", version=f"twinplane {__version__}")
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_roles(parsers)
    run: Run = _run_role
    for name, (module, purpose) in COMMANDS.items():
        added = parsers.add_parser(name, help=purpose, description=f"{purpose[:1].upper()}{purpose[1:]}.")
        if name == asked:
            command = cast("Command", importlib.import_module(module))
            command.configure(added)
            run = command.run
    return run, parser.parse_args(words)


def _run_role(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    given = given_options(options)
    if options.command == "data-plane":

        def load() -> NodeSettings:
            return load_node_settings(options.conf, environ)

        node_settings = load()
        if options.check:
            return 0
        from twinplane.cli.data_plane import run as run_data_plane  # noqa: PLC0415

        return run_data_plane(node_settings, parent_fd=options.parent_fd, load=load, environ=environ)
    if options.command == "control-plane":
        settings = load_process_settings(CONTROL_PLANE, given, environ)
        from twinplane.cli.control_plane import run as run_control_plane  # noqa: PLC0415

        return run_control_plane(settings)
    settings = load_process_settings(UP, given, environ)
    from twinplane.cli.up import run as run_up  # noqa: PLC0415

    return run_up(settings)


def _add_roles(parsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    up = parsers.add_parser("up", help="a control plane and one data plane node on this machine")
    add_options(up, UP)
    control_plane = parsers.add_parser("control-plane", help="a control plane")
    add_options(control_plane, CONTROL_PLANE)
    data_plane = parsers.add_parser("data-plane", help="a data plane node, configured by kong.conf and KONG_*")
    data_plane.add_argument("-c", "--conf", type=Path, metavar="FILE", help="kong.conf to read")
    data_plane.add_argument("--check", action="store_true", help="check the settings and stop")
    data_plane.add_argument("--parent-fd", type=int, default=-1, help=argparse.SUPPRESS)
