"""Makes what nodes are sent, in threads of its own: each thing once, however many nodes wait for it.

Who waits holds no thread. A node that goes meanwhile takes nothing from the others that wait for the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from twinplane.hybrid.publication import FindDelta, Publication, Shipment
from twinplane.hybrid.wire import NodeVersion
from twinplane.hybrid.withhold import Uses

_R = TypeVar("_R")


class Workshop:
    """All that is being made for the links of one process."""

    def __init__(self, executor: Executor) -> None:
        """`executor` should serve nothing that others wait for: what is made here takes long."""
        self._executor = executor
        self._making: dict[tuple[Publication, Hashable], asyncio.Future[Any]] = {}

    async def shipment(self, publication: Publication, version: NodeVersion | None) -> Shipment:
        """What a node of that version is sent."""
        made = publication.made(version)
        if made is not None:
            return made
        return await self._once(publication, ("whole", version), partial(publication.shipment, version))

    async def delta(self, publication: Publication, base: int, find: FindDelta) -> Shipment | None:
        """What a twinplane node is sent that has an earlier revision; None where it needs the whole."""
        return await self._once(publication, ("delta", base), partial(publication.delta, base, find))

    async def uses(self, publication: Publication) -> Uses:
        """What of a node a publication needs."""
        return await self._once(publication, "uses", partial(attrgetter("uses"), publication))

    async def _once(self, publication: Publication, what: Hashable, make: Callable[[], _R]) -> _R:
        key = publication, what
        future = self._making.get(key)
        if future is None:
            future = self._making[key] = asyncio.get_running_loop().run_in_executor(self._executor, make)
            future.add_done_callback(partial(self._done, key))
        result: _R = await asyncio.shield(future)
        return result

    def _done(self, key: tuple[Publication, Hashable], future: asyncio.Future[Any]) -> None:
        del self._making[key]
        if not future.cancelled():
            # Whoever waited may be gone: an error that nobody takes is no news.
            future.exception()
