"""`twinplane network`: what a network must let through, and what is wrong on the way of a node."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping

_COMMANDS: Mapping[str, tuple[str, str]] = {
    "allowlist": ("twinplane.cli.network.allowlist", "every host and port that a network must let through"),
    "check": ("twinplane.cli.network.check", "try everything that a node of this machine needs, and say what is wrong"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the commands below `twinplane network`."""
    parsers = parser.add_subparsers(dest="network_command", required=True, metavar="COMMAND")
    for name, (module, purpose) in _COMMANDS.items():
        description = f"{purpose[:1].upper()}{purpose[1:]}."
        importlib.import_module(module).configure(parsers.add_parser(name, help=purpose, description=description))


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the command that was asked for. Returns the exit status."""
    module = importlib.import_module(_COMMANDS[options.network_command][0])
    status: int = module.run(options, environ)
    return status
