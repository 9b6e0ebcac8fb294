"""`twinplane data-plane`: a node, joined to a control plane or with a declarative file."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from twinplane.cli.errors import StartError
from twinplane.cli.process import lock_directory, log_to_stderr, make_directory, stop_on_signals
from twinplane.node.declared import DeclaredConfig, read_declared
from twinplane.node.errors import NodeStartError
from twinplane.node.runner import Node
from twinplane.settings import NodeSettings

log = logging.getLogger("data_plane")

_SYSTEM_PREFIX = Path("/usr/local/kong")


def run(settings: NodeSettings, *, parent_fd: int) -> int:
    """Serve until stopped. Returns the exit status."""
    log_to_stderr(settings["log_level"])
    for warning in settings.warnings:
        log.warning("setting_idle detail=%s", warning)
    prefix = settings["prefix"] or _default_prefix()
    make_directory(prefix)
    with lock_directory(prefix, "node.lock"):
        return asyncio.run(_serve(settings, prefix.absolute(), parent_fd))


async def _serve(settings: NodeSettings, prefix: Path, parent_fd: int) -> int:
    stop = stop_on_signals(parent_fd)
    try:
        declared = await asyncio.to_thread(_declared, settings)
        async with Node(settings, prefix, declared).running():
            await stop.wait()
    except NodeStartError as error:
        raise StartError(*error.problems) from error
    return 0


def _declared(settings: NodeSettings) -> DeclaredConfig | None:
    """The configuration of a node that has no control plane; None for one that has."""
    if settings["role"] == "data_plane":
        return None
    return read_declared(settings["declarative_config"], settings["declarative_config_string"])


def _default_prefix() -> Path:
    """The system's place for root, the user's state directory for everybody else."""
    return _SYSTEM_PREFIX if os.geteuid() == 0 else Path.home() / ".local" / "state" / "twinplane"
