"""`twinplane control-plane`: opens the store, serves the APIs and the links, puts the front door before them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
import uvloop

from twinplane.api import admin, kic, konnect
from twinplane.audit.desk import AuditDesk
from twinplane.cli.audit import keeping_records, make_receiver
from twinplane.cli.errors import StartError
from twinplane.cli.front_door import FrontDoor, ocsp_settings
from twinplane.cli.process import lock_directory, log_to_stderr, make_directory
from twinplane.cli.signals import stop_on_signals
from twinplane.control import Control, ControlSettings
from twinplane.control.analytics import Analytics, Retention
from twinplane.hybrid.hashing import config_hash
from twinplane.hybrid.server import LinkServer, LinkServerSettings
from twinplane.node.authority import write_private
from twinplane.settings import ProcessSettings
from twinplane.settings.control_plane import REGIONS
from twinplane.store.errors import StoreError
from twinplane.store.events import EventStore, EventStoreSettings, EventStoreUnusable
from twinplane.telemetry.ingest import Ingest

log = logging.getLogger("control_plane")

GRACE_MS = 10_000
TIDY_SECONDS = 60.0
_BACKLOG = 2048


def run(settings: ProcessSettings) -> int:
    """Serve until stopped. Returns the exit status."""
    log_to_stderr(settings["log-level"])
    directory = settings["data"].absolute()
    make_directory(directory)
    with lock_directory(directory, "control-plane.lock"):
        return uvloop.run(_serve(settings, directory))


async def _serve(settings: ProcessSettings, directory: Path) -> int:
    # Its settings stand on the command line: there is nothing to read again but certificates, and they are watched.
    stop = stop_on_signals(settings["parent-fd"], reload=lambda: log.info("signal_without_effect name=SIGHUP"))
    async with contextlib.AsyncExitStack() as stack:
        # A path of a Unix socket has room for 107 bytes: the data directory's may be longer, a temporary one is not.
        sockets = Path(tempfile.mkdtemp(prefix="twinplane-"))
        stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        control = stack.enter_context(contextlib.closing(_open_control(settings, directory)))
        analytics = stack.enter_context(contextlib.closing(_open_analytics(settings, directory)))
        _ensure_admin_token(control, directory / "admin.token")
        desk = AuditDesk(control.audit.append, notes_max=settings["audit-queue"])
        receiver = make_receiver(control, desk, settings, lambda presented: link.gatekeeper.decide(presented, "cp0"))
        link = LinkServer(
            control,
            Ingest(analytics),
            LinkServerSettings(
                sockets / "link.sock",
                payload_bytes_max=settings["max-payload"],
                frames_per_second=settings["link-frame-rate"],
                rpc=settings["cluster-rpc"] or settings["cluster-rpc-sync"],
                rpc_sync=settings["cluster-rpc-sync"],
                ocsp=ocsp_settings(settings),
            ),
            key_office=receiver,
        )
        await stack.enter_async_context(keeping_records(control, desk, receiver, settings))
        await link.start()
        stack.push_async_callback(link.stop)
        application = konnect.create_app(
            control, analytics=analytics, threads=settings["api-threads"], body_bytes_max=settings["body-limit"]
        )
        stack.callback(application.close)
        front = kic.create_app(
            control, application, threads=settings["api-threads"], body_bytes_max=settings["body-limit"]
        )
        stack.callback(front.close)
        await stack.enter_async_context(_uvicorn(front, _unix_socket(sockets / "api.sock")))
        if settings["admin-port"] is not None:
            face = _admin_app(control, settings)
            stack.callback(face.close)
            await stack.enter_async_context(_uvicorn(face, _admin_socket(settings)))
        door = FrontDoor(settings, directory, sockets, link, receiver)
        edge = door.open()
        stack.push_async_callback(asyncio.to_thread, edge.stop, GRACE_MS)
        renewing = asyncio.create_task(door.keep_renewed())
        stack.callback(renewing.cancel)
        tidying = asyncio.create_task(_tidy_up(control, analytics))
        stack.callback(tidying.cancel)
        log.info("control_plane_started port=%d data=%s pid=%d", edge.port, directory, os.getpid())
        await stop.wait()
        log.info("control_plane_stopping")
    return 0


def _open_control(settings: ProcessSettings, directory: Path) -> Control:
    advertised = settings["advertised-port"] or settings["port"]
    control_settings = ControlSettings(
        domain=settings["domain"],
        other_domains=tuple(settings["other-domains"] or ()),
        bare_hosts=tuple(settings["bare-hosts"] or ()),
        advertised_port=advertised,
        regions=REGIONS,
    )
    try:
        return Control.open(directory, settings=control_settings, config_hash=config_hash)
    except StoreError as error:
        raise StartError(str(error)) from error


def _open_analytics(settings: ProcessSettings, directory: Path) -> Analytics:
    retention = Retention(settings["retention-days"], settings["usage-retention-days"])
    try:
        return Analytics(EventStore(directory / "events.duckdb", EventStoreSettings()), retention)
    except EventStoreUnusable as error:
        raise StartError(str(error)) from error


def _ensure_admin_token(control: Control, path: Path) -> None:
    """Make the first token where there is none: written once to a file, kept in the store as a hash only."""
    # Written before it counts: a token that nobody was told is made anew at the next start.
    if control.tokens.ensure_first(lambda secret: write_private(path, secret.encode() + b"\n")) is not None:
        log.info("admin_token_made path=%s", path)


def _admin_app(control: Control, settings: ProcessSettings) -> admin.App:
    organization = control.organizations.first()
    default = control.control_planes.default(organization.id, REGIONS[0])
    return admin.create_app(control, default.scope, allowed_origins=tuple(settings["admin-origins"] or ()))


async def _tidy_up(control: Control, analytics: Analytics) -> None:
    """Forget what has expired, once a minute and once an hour."""
    minutes = 0
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        minutes += 1
        try:
            await asyncio.to_thread(control.tidy_up)
            if minutes % 60 == 0:
                forgotten = await asyncio.to_thread(analytics.forget_old)
                log.info("records_forgotten count=%d", forgotten)
        except Exception:
            log.exception("tidying_failed")


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


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@contextlib.asynccontextmanager
async def _uvicorn(application: object, listener: socket.socket) -> AsyncIterator[None]:
    """An ASGI application on a listening socket, for as long as the block runs."""
    config = uvicorn.Config(
        application,  # type: ignore[arg-type]
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=GRACE_MS // 1000,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
        listener.close()
