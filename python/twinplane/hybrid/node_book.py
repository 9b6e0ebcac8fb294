"""Writes down what nodes report of themselves: gathered for a moment, then written in one go by a thread.

A ping changes a row and nothing else; when a thousand nodes ping at once, each row is written once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor

from twinplane.control import Control, NodeHello, NodeIssue, NodePing, NodeReport, Scope

GATHER_S = 0.05
REPORTS_AT_ONCE = 200
_log = logging.getLogger(__name__)


class NodeBook:
    """The rows of all nodes. Calls return at once; `run` writes."""

    def __init__(self, control: Control, executor: Executor) -> None:
        self._control = control
        self._executor = executor
        self._reports: dict[tuple[Scope, str], NodeReport] = {}
        self._noted = asyncio.Event()

    def hello(self, scope: Scope, hello: NodeHello) -> None:
        """A node connected."""
        self._note(NodeReport(scope, hello.id, hello=hello))

    def ping(self, scope: Scope, node_id: str, ping: NodePing) -> None:
        """A node lives, and runs this."""
        self._note(NodeReport(scope, node_id, ping=ping))

    def sync_status(self, scope: Scope, node_id: str, sync_status: str) -> None:
        """What became of the last push."""
        self._note(NodeReport(scope, node_id, sync_status=sync_status))

    def issues(self, scope: Scope, node_id: str, issues: Sequence[NodeIssue]) -> None:
        """What a node cannot do as configured."""
        self._note(NodeReport(scope, node_id, issues=issues))

    async def run(self) -> None:
        """Write until cancelled, then write what is left."""
        try:
            while True:
                await self._noted.wait()
                await asyncio.sleep(GATHER_S)
                await self._write()
        finally:
            await self._write()

    def _note(self, report: NodeReport) -> None:
        key = report.scope, report.node_id
        before = self._reports.get(key)
        self._reports[key] = report if before is None else _newer(before, report)
        self._noted.set()

    async def _write(self) -> None:
        self._noted.clear()
        reports, self._reports = list(self._reports.values()), {}
        loop = asyncio.get_running_loop()
        for start in range(0, len(reports), REPORTS_AT_ONCE):
            await loop.run_in_executor(self._executor, self._write_some, reports[start : start + REPORTS_AT_ONCE])

    def _write_some(self, reports: Sequence[NodeReport]) -> None:
        try:
            unknown = self._control.nodes.record_reports(reports)
        except Exception:
            # The store cannot be written now. Links go on; the next ping of each node is written again.
            _log.exception("nodes_not_recorded count=%d", len(reports))
            return
        for report in unknown:
            _log.warning("node_unknown control_plane=%s node=%s", report.scope.control_plane_id, report.node_id)


def _newer(before: NodeReport, report: NodeReport) -> NodeReport:
    """Both reports about one node as one; what the later one says counts."""
    return NodeReport(
        report.scope,
        report.node_id,
        hello=report.hello or before.hello,
        ping=report.ping or before.ping,
        sync_status=report.sync_status if report.sync_status is not None else before.sync_status,
        issues=report.issues if report.issues is not None else before.issues,
    )
