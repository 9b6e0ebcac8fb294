"""`twinplane reload`: have the node on this machine read its settings again. What is wrong with them is told here."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from twinplane.cli.data_plane import prefix_of
from twinplane.cli.errors import StartError
from twinplane.settings import load_node_settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `twinplane reload`."""
    parser.add_argument("-c", "--conf", type=Path, metavar="FILE", help="kong.conf of the node (default: usual places)")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """0 once the node was told. Raises SettingsError where it would refuse them, StartError where it cannot be told."""
    settings = load_node_settings(options.conf, environ)
    prefix = prefix_of(settings)
    pid = _pid(prefix / "node.lock")
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise StartError(f"{prefix}: the node there, process {pid}, cannot be told: {error.strerror}") from error
    print("the node reads its settings again; its log says what came of it")
    return 0


def _pid(path: Path) -> int:
    """The process that holds the lock of a prefix."""
    try:
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read(20).strip())
    except (OSError, ValueError) as error:
        raise StartError(f"{path.parent}: no node works there: {error}") from error
    raise StartError(f"{path.parent}: no node works there")
