"""Where the demo's shop listens: several ports on loopback, one of which is closed for a part of every few minutes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Mapping

from twinplane.cli.asgi import serving
from twinplane.cli.demo.shop import Shop

STEADY = ("SHOP_1", "SHOP_2", "ORDERS", "PAYMENTS")
UNSTEADY = "SHOP_3"
UP_SECONDS, DOWN_SECONDS = 200.0, 40.0
_GRACE_S = 3


@contextlib.asynccontextmanager
async def listening(wanted: Mapping[str, str], chance: random.Random) -> AsyncIterator[Mapping[str, str]]:
    """Serve the shop for as long as the block runs. Yields the port of each part: the wanted one where it is free."""
    shop = Shop(chance)
    async with contextlib.AsyncExitStack() as stack:
        held = {
            name: stack.enter_context(contextlib.closing(_listen(int(wanted.get(name, 0)))))
            for name in (*STEADY, UNSTEADY)
        }
        ports = {name: listener.getsockname()[1] for name, listener in held.items()}
        await stack.enter_async_context(serving(shop, [held[name] for name in STEADY], grace_s=_GRACE_S))
        unsteady = asyncio.create_task(_come_and_go(shop, held[UNSTEADY], ports[UNSTEADY]))
        stack.push_async_callback(_ended, unsteady)
        yield {name: str(port) for name, port in ports.items()}


async def _come_and_go(shop: Shop, listener: socket.socket | None, port: int) -> None:
    while True:
        if listener is not None:
            async with serving(shop, [listener], grace_s=_GRACE_S):
                await asyncio.sleep(UP_SECONDS)
        await asyncio.sleep(DOWN_SECONDS)
        # Somebody else may have taken the port meanwhile: then it stays down, and is asked for again.
        with contextlib.suppress(OSError):
            listener = socket.create_server(("127.0.0.1", port))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _listen(wanted: int) -> socket.socket:
    with contextlib.suppress(OSError):
        return socket.create_server(("127.0.0.1", wanted))
    return socket.create_server(("127.0.0.1", 0))
