"""What many nodes wait for is made once, and goes to those who still want it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from twinplane.control import Export, ExportRow
from twinplane.hybrid.making import Workshop
from twinplane.hybrid.publication import Publication


def publication() -> Publication:
    rows = {"services": [ExportRow("1", 1, b'{"id":"1"}')]}
    return Publication.of(Export("plane", 1, "e", rows), now=1.0)


async def test_what_many_wait_for_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    go_on = threading.Event()
    make = Publication._make

    def slow(self: Publication, version: Any) -> Any:
        made.append(version)
        go_on.wait(30)
        return make(self, version)

    monkeypatch.setattr(Publication, "_make", slow)
    with ThreadPoolExecutor(2) as threads:
        workshop, wanted = Workshop(threads), publication()
        waiting = [asyncio.create_task(workshop.shipment(wanted, None)) for _ in range(20)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        go_on.set()
        first, *others = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(first, asyncio.CancelledError)
        assert all(other is others[0] for other in others)
        assert await workshop.shipment(wanted, None) is others[0]
        assert made == [None]


async def test_what_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(2) as threads:
        workshop, wanted = Workshop(threads), publication()

        def broken(*_arguments: Any) -> Any:
            raise OSError("no memory")

        with pytest.raises(OSError, match="no memory"):
            await workshop.delta(wanted, 0, broken)
        assert await workshop.delta(wanted, 0, lambda *_arguments: None) is None
