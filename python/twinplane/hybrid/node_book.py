"""Writes down what nodes report of themselves: gathered for a moment, then written in one go by a thread.

A ping changes a row and nothing else; when a thousand nodes ping at once, each row is written once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from twinplane.control import Control, NodeHello, NodeIssue, Scope

GATHER_S = 0.05
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Note:
    """What is to be written about one node; None where nothing new is known."""

    hello: NodeHello | None = None
    ping: tuple[str, int | None, str | None] | None = None
    sync_status: str | None = None
    issues: Sequence[NodeIssue] | None = None


@dataclass(slots=True)
class _Page:
    notes: dict[tuple[Scope, str], _Note] = field(default_factory=dict)


class NodeBook:
    """The rows of all nodes. Calls return at once; `run` writes."""

    def __init__(self, control: Control, executor: Executor) -> None:
        self._control = control
        self._executor = executor
        self._page = _Page()
        self._noted = asyncio.Event()

    def hello(self, scope: Scope, hello: NodeHello) -> None:
        """A node connected."""
        self._note(scope, hello.id).hello = hello

    def ping(self, scope: Scope, node_id: str, config_hash: str, revision: int | None, epoch: str | None) -> None:
        """A node lives, and runs this."""
        self._note(scope, node_id).ping = config_hash, revision, epoch

    def sync_status(self, scope: Scope, node_id: str, sync_status: str) -> None:
        """What became of the last push."""
        self._note(scope, node_id).sync_status = sync_status

    def issues(self, scope: Scope, node_id: str, issues: Sequence[NodeIssue]) -> None:
        """What a node cannot do as configured."""
        self._note(scope, node_id).issues = issues

    async def run(self) -> None:
        """Write until cancelled, then write what is left."""
        try:
            while True:
                await self._noted.wait()
                await asyncio.sleep(GATHER_S)
                await self._write()
        finally:
            await self._write()

    def _note(self, scope: Scope, node_id: str) -> _Note:
        self._noted.set()
        return self._page.notes.setdefault((scope, node_id), _Note())

    async def _write(self) -> None:
        self._noted.clear()
        page, self._page = self._page, _Page()
        if page.notes:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._write_page, page)

    def _write_page(self, page: _Page) -> None:
        for (scope, node_id), note in page.notes.items():
            try:
                self._write_note(scope, node_id, note)
            except Exception:
                # One row that cannot be written must not keep the others from being so; the link itself goes on.
                _log.exception("node_not_recorded control_plane=%s node=%s", scope.control_plane_id, node_id)

    def _write_note(self, scope: Scope, node_id: str, note: _Note) -> None:
        nodes = self._control.nodes
        calls: list[Callable[[], object]] = []
        if (hello := note.hello) is not None:
            calls.append(lambda: nodes.record_hello(scope, hello))
        if note.ping is not None:
            config_hash, revision, epoch = note.ping
            calls.append(
                lambda: nodes.record_ping(scope, node_id, config_hash=config_hash, revision=revision, epoch=epoch)
            )
        if (sync_status := note.sync_status) is not None:
            calls.append(lambda: nodes.record_sync_status(scope, node_id, sync_status))
        if (issues := note.issues) is not None:
            calls.append(lambda: nodes.record_issues(scope, node_id, issues))
        for call in calls:
            call()
