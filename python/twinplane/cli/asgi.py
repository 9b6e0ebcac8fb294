"""An ASGI application on a listening socket, inside a process that has signals and logging of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence

import uvicorn


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@contextlib.asynccontextmanager
async def serving(application: object, listeners: Sequence[socket.socket], *, grace_s: int) -> AsyncIterator[None]:
    """Serve on sockets for as long as the block runs; they are closed at its end."""
    config = uvicorn.Config(
        application,  # type: ignore[arg-type]
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=grace_s,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=list(listeners)))
    try:
        yield
    finally:
        server.should_exit = True
        await running
        for listener in listeners:
            listener.close()
