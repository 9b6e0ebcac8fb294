"""Writes down what nodes report of themselves: gathered for a moment, then written in one go by a thread.

A ping changes a row and nothing else; when a thousand nodes ping at once, each row is written once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor

from twinplane.control import Control, NodeHello, NodeIssue, NodePing, NodeReport, Scope
from twinplane.control.errors import StoreBusy, StoreUnreadable, StoreUnwritable

GATHER_S = 0.05
REPORTS_AT_ONCE = 200
REPORTS_KEPT_MAX = 10_000
"""Reports that wait for a store that is away; of more nodes than that, the newest are kept."""
AWAY_S = 1.0
# What the store says that cannot be written now, whatever is to be written.
_AWAY = (StoreBusy, StoreUnreadable, StoreUnwritable)
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
                if not await self._write():
                    await asyncio.sleep(AWAY_S)
                    self._noted.set()
        finally:
            await self._write()

    def _note(self, report: NodeReport) -> None:
        key = report.scope, report.node_id
        before = self._reports.get(key)
        self._reports[key] = report if before is None else _newer(before, report)
        self._noted.set()

    async def _write(self) -> bool:
        """Write what was gathered; False where the store is away, and what it did not take is kept."""
        self._noted.clear()
        reports, self._reports = list(self._reports.values()), {}
        loop = asyncio.get_running_loop()
        for start in range(0, len(reports), REPORTS_AT_ONCE):
            some = reports[start : start + REPORTS_AT_ONCE]
            left = await loop.run_in_executor(self._executor, self._write_some, some)
            if left:
                self._keep([*left, *reports[start + len(some) :]])
                return False
        return True

    def _keep(self, reports: Sequence[NodeReport]) -> None:
        """Put reports back, behind what came meanwhile."""
        kept = {(report.scope, report.node_id): report for report in reports}
        for key, report in self._reports.items():
            before = kept.pop(key, None)
            kept[key] = report if before is None else _newer(before, report)
        dropped = max(0, len(kept) - REPORTS_KEPT_MAX)
        for key in list(kept)[:dropped]:
            del kept[key]
        if dropped:
            _log.error("node_reports_dropped count=%d", dropped)
        self._reports = kept

    def _write_some(self, reports: Sequence[NodeReport]) -> Sequence[NodeReport]:
        """Write reports down; the answer is those that a store that is away did not take."""
        try:
            self._record(reports)
        except _AWAY as error:
            _log.warning("nodes_not_recorded count=%d detail=%s", len(reports), error)
            return reports
        except Exception as error:
            # One of them cannot be written: the others do not go with it.
            _log.warning("nodes_recorded_singly count=%d detail=%s", len(reports), error)
            return self._write_singly(reports)
        return ()

    def _write_singly(self, reports: Sequence[NodeReport]) -> Sequence[NodeReport]:
        for position, report in enumerate(reports):
            try:
                self._record([report])
            except _AWAY as error:
                _log.warning("nodes_not_recorded count=%d detail=%s", len(reports) - position, error)
                return reports[position:]
            except Exception:
                control_plane_id = report.scope.control_plane_id
                _log.exception("node_not_recorded control_plane=%s node=%s", control_plane_id, report.node_id)
        return ()

    def _record(self, reports: Sequence[NodeReport]) -> None:
        for report in self._control.nodes.record_reports(reports):
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
