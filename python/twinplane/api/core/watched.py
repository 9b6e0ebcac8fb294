"""Remembers with which status a request was answered, for whoever keeps account of it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from twinplane.api.core.face import Send


class Watched:
    """Stands before `send`."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500

    async def __call__(self, event: MutableMapping[str, Any]) -> None:
        """Hand on what is sent."""
        if event["type"] == "http.response.start":
            self.status = event["status"]
        await self._send(event)
