"""What nodes report is written down: one that cannot be keeps no other out, and a store that is away loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.control_room import Platform, open_platform

from twinplane.control import NodeHello, NodePing
from twinplane.control.errors import StoreUnwritable
from twinplane.hybrid import node_book
from twinplane.hybrid.node_book import NodeBook


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    with open_platform(tmp_path) as made:
        yield made


@contextlib.asynccontextmanager
async def writing(book: NodeBook) -> AsyncIterator[None]:
    task = asyncio.create_task(book.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 - the store announces nothing
            await asyncio.sleep(0.02)


def hello(name: str) -> NodeHello:
    return NodeHello(
        id=name,
        hostname=name,
        ip="10.0.0.1",
        version="3.9.3",
        labels={},
        certificate_id=None,
        certificate_expires_at=None,
    )


async def test_a_report_that_cannot_be_written_keeps_no_other_out(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    control, scope = platform.control, platform.default.scope
    with ThreadPoolExecutor(1) as threads:
        book = NodeBook(control, threads)
        for name in ("a", "bad", "z"):
            book.hello(scope, hello(name))
            book.ping(scope, name, NodePing("f" * 32, 2**63 if name == "bad" else 7))
        async with writing(book):
            await until(lambda: {node.id for node in control.nodes.list(scope)} == {"a", "z"})
        assert {node.revision for node in control.nodes.list(scope)} == {7}
    (line,) = [each.getMessage() for each in caplog.records if "node_not_recorded" in each.getMessage()]
    assert "node=bad" in line


async def test_reports_wait_for_a_store_that_is_away(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    control, scope = platform.control, platform.default.scope
    monkeypatch.setattr(node_book, "AWAY_S", 0.05)
    record = control.nodes.record_reports
    refused: list[int] = []

    def full(reports: Any) -> Any:
        refused.append(len(reports))
        raise StoreUnwritable("disk full")

    with ThreadPoolExecutor(1) as threads:
        book = NodeBook(control, threads)
        async with writing(book):
            monkeypatch.setattr(control.nodes, "record_reports", full)
            book.hello(scope, hello("a"))
            await until(lambda: bool(refused))
            # What comes meanwhile counts.
            book.ping(scope, "a", NodePing("f" * 32, 7))
            await until(lambda: len(refused) >= 3)
            monkeypatch.setattr(control.nodes, "record_reports", record)
            await until(lambda: [node.revision for node in control.nodes.list(scope)] == [7])


async def test_what_waits_for_the_store_is_bounded(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    control, scope = platform.control, platform.default.scope
    monkeypatch.setattr(node_book, "AWAY_S", 0.05)
    monkeypatch.setattr(node_book, "REPORTS_KEPT_MAX", 10)

    def full(_reports: Any) -> Any:
        raise StoreUnwritable("disk full")

    record = control.nodes.record_reports
    monkeypatch.setattr(control.nodes, "record_reports", full)
    with ThreadPoolExecutor(1) as threads:
        book = NodeBook(control, threads)
        for number in range(25):
            book.hello(scope, hello(f"{number:02d}"))
        async with writing(book):
            await until(lambda: "node_reports_dropped count=15" in caplog.text)
            monkeypatch.setattr(control.nodes, "record_reports", record)
            await until(lambda: len(control.nodes.list(scope)) == 10)
        assert {node.id for node in control.nodes.list(scope)} == {str(number) for number in range(15, 25)}
