"""`twinplane control-plane`: opens the store, serves the APIs and the links, puts the front door before them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import tempfile
from pathlib import Path

import uvloop

from twinplane.api import admin
from twinplane.cli.asgi import serving
from twinplane.cli.enabling import enabled_plugins
from twinplane.cli.errors import StartError
from twinplane.cli.front_door import FrontDoor
from twinplane.cli.process import lock_directory, log_to_stderr, make_directory
from twinplane.cli.regions import Region, open_premises
from twinplane.cli.signals import stop_on_signals
from twinplane.cli.tidying import Tidying
from twinplane.control import Control
from twinplane.hybrid.figures import exposition
from twinplane.node.authority import write_private
from twinplane.settings import ProcessSettings
from twinplane.settings.network import GLOBAL
from twinplane.settings.regions import Layout, read_layout

log = logging.getLogger("control_plane")

GRACE_MS = 10_000
_GRACE_S = GRACE_MS // 1000
_BACKLOG = 2048


def run(settings: ProcessSettings) -> int:
    """Serve until stopped. Returns the exit status."""
    log_to_stderr(settings["log-level"])
    enabled_plugins(settings["plugins"] or (), settings["python-plugin-directory"])
    layout = read_layout(settings.values)
    with contextlib.ExitStack() as locks:
        make_directory(settings["data"].absolute())
        for directory in layout.directories:
            make_directory(directory)
            locks.enter_context(lock_directory(directory, "control-plane.lock"))
        return uvloop.run(_serve(settings, layout))


async def _serve(settings: ProcessSettings, layout: Layout) -> int:
    # Its settings stand on the command line: there is nothing to read again but certificates, and they are watched.
    stop = stop_on_signals(settings["parent-fd"], reload=lambda: log.info("signal_without_effect name=SIGHUP"))
    async with contextlib.AsyncExitStack() as stack:
        # A path of a Unix socket has room for 107 bytes: the data directory's may be longer, a temporary one is not.
        sockets = Path(tempfile.mkdtemp(prefix="twinplane-"))
        stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        premises = await open_premises(stack, settings, layout, sockets)
        if premises.token_keeper is not None and layout.global_store is not None:
            _ensure_admin_token(premises.token_keeper, layout.global_store / "admin.token")
        listener = _unix_socket(sockets / "api.sock")
        await stack.enter_async_context(serving(premises.application, [listener], grace_s=_GRACE_S))
        if premises.console is not None:
            # Event streams never end by themselves: the server would wait for them.
            stack.callback(premises.console.end_streams)
        if settings["admin-port"] is not None:
            face = _admin_app(premises.regions[0], settings)
            stack.callback(face.close)
            await stack.enter_async_context(serving(face, [_admin_socket(settings)], grace_s=_GRACE_S))
        door = FrontDoor(settings, layout, sockets, premises.regions)
        edge = door.open()
        premises.advertise(settings["advertised-port"] or edge.port)
        stack.push_async_callback(asyncio.to_thread, edge.stop, GRACE_MS)
        renewing = asyncio.create_task(door.keep_renewed())
        stack.callback(renewing.cancel)
        tidying = asyncio.create_task(Tidying(premises.controls, premises.aging).run())
        stack.callback(tidying.cancel)
        _announce(settings, layout, edge.port)
        await stop.wait()
        log.info("control_plane_stopping")
    return 0


def _announce(settings: ProcessSettings, layout: Layout, port: int) -> None:
    served = ",".join((*layout.served, *([GLOBAL] if layout.serves_global else [])))
    data = settings["data"].absolute()
    log.info("control_plane_started port=%d data=%s regions=%s pid=%d", port, data, served, os.getpid())


def _ensure_admin_token(control: Control, path: Path) -> None:
    """Make the first token where there is none: written once to a file, kept in the store as a hash only."""
    # Written before it counts: a token that nobody was told is made anew at the next start.
    if control.tokens.ensure_first(lambda secret: write_private(path, secret.encode() + b"\n")) is not None:
        log.info("admin_token_made path=%s", path)


def _admin_app(region: Region, settings: ProcessSettings) -> admin.App:
    organization = region.control.organizations.first()
    default = region.control.control_planes.default(organization.id, region.name)
    return admin.create_app(
        region.control,
        default.scope,
        allowed_origins=tuple(settings["admin-origins"] or ()),
        accesses=region.audit.accesses,
        measures=lambda: exposition(region.link.facts),
    )


def _unix_socket(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(_BACKLOG)
    return listener


def _admin_socket(settings: ProcessSettings) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", settings["admin-port"]))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(f"the Admin API cannot listen on port {settings['admin-port']}: {error.strerror}") from error
    return listener
