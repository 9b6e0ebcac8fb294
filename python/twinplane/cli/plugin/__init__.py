"""`twinplane plugin`: begin a plugin in Python, run its tests, serve it while it is being written."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from twinplane.cli.plugin import new, run_node, run_tests


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parsers = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    begin = parsers.add_parser("new", help="make a folder with a plugin, its test and its packaging")
    begin.add_argument("name", metavar="NAME", help="name of the plugin: lower-case words joined by hyphens")
    begin.add_argument("--directory", type=Path, metavar="DIR", help="where to make it (default: ./NAME)")
    test = parsers.add_parser("test", help="run the tests of a plugin's folder with pytest")
    serve = parsers.add_parser(
        "run", help="serve a plugin on loopback, before an upstream that echoes, and follow edits"
    )
    for each in (test, serve):
        each.add_argument("directory", type=Path, nargs="?", default=Path(), metavar="DIR", help="folder (default: .)")
    test.add_argument("words", nargs=argparse.REMAINDER, metavar="...", help="options of pytest")
    serve.add_argument("--port", type=int, default=8000, help="port to serve on; 0 takes a free one (default: 8000)")
    serve.add_argument("--config", default="{}", metavar="JSON", help="configuration of the plugin")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Do it. Returns the exit status; raises StartError."""
    if options.action == "new":
        return new.run(options.name, options.directory)
    if options.action == "test":
        return run_tests.run(options.directory, options.words, environ)
    return run_node.run(options.directory, options.port, options.config)
