"""The nodes of one control plane and what they are to run: changes are gathered, and only the newest is sent.

A configuration that was overtaken before it could be made ready is never made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from twinplane.control.epoch import is_outdated
from twinplane.hybrid.publication import Publication

_RETRY_S = 1.0
_log = logging.getLogger(__name__)


class Member(Protocol):
    """A connected node, whichever version of the link it speaks."""

    def offer(self, publication: Publication) -> None:
        """There is a newer configuration."""


Publish = Callable[[str, Publication | None], Awaitable[Publication]]
"""Makes the newest configuration ready, from the one before where there is one."""


class Channel:
    """The nodes of one control plane, and what they are to run."""

    def __init__(self, control_plane_id: str, publish: Publish, delay_s: float) -> None:
        self.control_plane_id = control_plane_id
        self._publish = publish
        self._delay_s = delay_s
        # In the order in which they came: a run with the same input takes the same course.
        self._sessions: dict[Member, None] = {}
        self._newest: Publication | None = None
        self._changed = asyncio.Event()
        self._changed.set()
        self.task = asyncio.create_task(self._run())

    def join(self, session: Member) -> None:
        """A node wants the newest configuration from now on."""
        self._sessions[session] = None
        if self._newest is not None:
            session.offer(self._newest)

    @property
    def position(self) -> tuple[str, int] | None:
        """Epoch and revision of what was published last."""
        return None if self._newest is None else self._newest.key

    def leave(self, session: Member) -> bool:
        """A node is gone. True where it was the last."""
        self._sessions.pop(session, None)
        return not self._sessions

    def wake(self) -> None:
        """There is a newer revision."""
        self._changed.set()

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            if self._newest is not None:
                # Changes come in groups: those that come within this moment are sent as one.
                await asyncio.sleep(self._delay_s)
            self._changed.clear()
            try:
                newest = await self._publish(self.control_plane_id, self._newest)
            except Exception:
                _log.exception("publish_failed control_plane=%s", self.control_plane_id)
                await asyncio.sleep(_RETRY_S)
                self._changed.set()
                continue
            if self._newest is not None and not _is_newer(newest, self._newest):
                continue
            self._newest = newest
            for session in self._sessions:
                session.offer(newest)


def _is_newer(publication: Publication, than: Publication) -> bool:
    """A store that was read late must not take nodes back."""
    return publication.key != than.key and not is_outdated(*publication.key, *than.key)
