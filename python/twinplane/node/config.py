"""What a node serves, and how a new configuration gets there: read, kept on disk, applied, reported.

It comes whole, or as a change that is first made a whole one with what is served. Whatever fails, the configuration
that is being served goes on and the reason is told.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import orjson

from twinplane.control.epoch import is_outdated
from twinplane.hybrid.client import Outcome
from twinplane.hybrid.delta import Resync, is_delta
from twinplane.hybrid.errors import FrameInvalid, PayloadTooLarge
from twinplane.hybrid.hashing import EMPTY_HASH, config_hash
from twinplane.hybrid.table import ConfigTable
from twinplane.hybrid.wire import FAULT_PARSE, Applied, Fault, Issue, inflate, read_reconfigure
from twinplane.node.cache import Stored
from twinplane.node.conditions import Conditions
from twinplane.node.errors import PayloadRefused
from twinplane.node.keeping import Cache, Keeping
from twinplane.node.seal import SealKey
from twinplane.node.splice import rows_of, splice

_log = logging.getLogger(__name__)
_CoreT = TypeVar("_CoreT")
_FAULTS_MAX = 100
RETRY_FIRST_S, RETRY_MAX_S = 1.0, 60.0
FALLBACK_SERVED: Final = "fallback_served"

Apply = Callable[[bytes], Sequence[Issue]]
"""Has the core serve a table; the answer is what of it cannot be served as asked. Raises PayloadRefused."""

Complete = Callable[[bytes], bytes]
"""Fills in what a sparse table leaves out. Raises PayloadRefused for what the schema does not know."""


class ConfigKeeper:
    """The one place in a node that changes what is served. `receive` must not run twice at a time."""

    def __init__(
        self,
        apply: Apply,
        cache: Cache,
        *,
        complete: Complete,
        bytes_max: int,
        on_served: Callable[[bytes], None],
        conditions: Conditions | None = None,
        takes_deltas: bool = True,
        on_published: Callable[[Stored], None] = lambda _: None,
        on_outcome: Callable[[str, int | None, str | None], None] | None = None,
    ) -> None:
        """`on_served` gets each table that is served, for what else in the node is configured by it.

        `on_outcome` is told hash and revision of what came, and the reason where it was refused.

        With `takes_deltas` the rows of what is served are kept in memory, so that a change is put among them.
        `on_published` gets each configuration of the control plane that is served.
        """
        self._on_published = on_published
        self.conditions = conditions or Conditions()
        self._apply = apply
        self._keeping = Keeping(cache, self.conditions)
        self._complete = complete
        self._bytes_max = bytes_max
        self._on_served = on_served
        self._on_outcome = on_outcome or (lambda _hash, _revision, _reason: None)
        self._served: Stored | None = None
        self._takes_deltas = takes_deltas
        self._rows: ConfigTable | None = None
        self._issues: tuple[Issue, ...] = ()
        # One configuration at a time comes from the link, and one may wait for the disk.
        self._turn = threading.Lock()
        self.applied_total = 0
        self.deltas_total = 0
        self.resyncs_total = 0
        self.refused_total = 0
        self.last_fault: Fault | None = None

    @property
    def config_hash(self) -> str:
        """Hash of what is served; the zero hash where nothing is."""
        return self._served.config_hash if self._served else EMPTY_HASH

    @property
    def is_empty(self) -> bool:
        """Whether nothing is being served."""
        return self._served is None

    def counts(self) -> Mapping[str, int]:
        """What became of configurations since the start."""
        return {
            "applied": self.applied_total,
            "refused": self.refused_total,
            "deltas": self.deltas_total,
            "resyncs": self.resyncs_total,
        }

    def applied(self) -> Applied:
        """What is served, and what of it cannot be served as asked."""
        issues = (*self._issues, *self.conditions.issues())
        served = self._served
        return Applied(
            self.config_hash,
            served.revision if served else None,
            served.epoch if served else None,
            issues,
            digest=self._rows.digest if self._rows else None,
        )

    def start(
        self,
        start_core: Callable[[bytes | None], _CoreT],
        refusals: tuple[type[Exception], ...],
        *,
        issues: Callable[[_CoreT], Sequence[Issue]],
        otherwise: Callable[[], Stored | None] = lambda: None,
    ) -> _CoreT:
        """Start the core from the newest cached configuration that it takes, from `otherwise`, or with none.

        `refusals` are what `start_core` raises for a configuration; what it raises for no configuration is raised on.
        `issues` asks the started core what of its configuration cannot be served as asked.
        """
        for stored in self._keeping.load():
            try:
                core = start_core(stored.table)
            except refusals as error:
                _log.error("cached_config_refused hash=%s detail=%s", stored.config_hash, error)
                continue
            self._note_served(stored, issues(core), self._split(stored))
            _log.info("config_restored hash=%s revision=%s", stored.config_hash, stored.revision)
            return core
        declared = otherwise()
        core = start_core(None if declared is None else declared.table)
        if declared is not None:
            self._note_served(declared, issues(core), self._split(declared))
            _log.info("config_declared hash=%s", declared.config_hash)
        return core

    async def adopt(self, stored: Stored) -> bool:
        """Serve a fallback unless something is being served. False where it is refused."""
        return await asyncio.to_thread(self._adopt, stored)

    async def receive(self, frame: bytes, *, is_twin: bool) -> Outcome | None:
        """Take a frame of the link. See `hybrid.client.ConfigSink`."""
        return await asyncio.to_thread(self._receive, frame, is_twin)

    def declare(self, stored: Stored) -> Outcome:
        """Serve a declared configuration in place of the one before, which goes on where it is refused. Blocks."""
        with self._turn:
            if self._served is not None and stored.config_hash == self._served.config_hash:
                return Outcome(self.config_hash)
            return self._serve(stored, is_twin=True, rows=None)

    def replace(self, stored: Stored) -> tuple[Outcome, Sequence[Issue]]:
        """Serve a declared configuration, the same one as before too, and say what of it is not as asked. Blocks."""
        with self._turn:
            outcome = self._serve(stored, is_twin=True, rows=None)
            return outcome, self._issues

    async def receive_table(self, table: bytes) -> Outcome:
        """Serve a table that was put together of rows: sparse, or with what is switched off still in it."""
        return await asyncio.to_thread(self._receive_table, table)

    async def serve_again(self) -> bool:
        """Apply what is being served once more. False where it is not to be had any more, or refused."""
        return await asyncio.to_thread(self._serve_again)

    async def retry_keeping(self) -> None:
        """Until cancelled: write what the disk did not take again and again, less and less often."""
        delay_s = RETRY_FIRST_S
        while True:
            await asyncio.sleep(delay_s)
            if not self._keeping.is_behind or await asyncio.to_thread(self._keep_again):
                delay_s = RETRY_FIRST_S
            else:
                delay_s = min(delay_s * 2, RETRY_MAX_S)

    def rekey(self, key: SealKey) -> None:
        """The node has a new certificate key, which its cache is sealed with from now on. Blocks."""
        with self._turn:
            self._keeping.rekey(key)

    def _serve_again(self) -> bool:
        with self._turn:
            table = self._rows.text() if self._rows is not None else self._keeping.table_of(self.config_hash)
            if table is None:
                return False
            try:
                self._issues = tuple(self._apply(table))
            except PayloadRefused as refused:
                _log.error("config_refused_again hash=%s detail=%s", self.config_hash, refused)
                return False
            return True

    def _receive_table(self, table: bytes) -> Outcome:
        with self._turn:
            try:
                whole = self._complete(table)
            except PayloadRefused as refused:
                return self._refuse(Stored(EMPTY_HASH, table), refused)
            stored = Stored(config_hash(orjson.loads(whole)), whole)
            if self._served is not None and stored.config_hash == self._served.config_hash:
                return Outcome(self.config_hash)
            outcome = self._publish(stored, is_twin=True, rows=None)
            if outcome.fault is None:
                self.conditions.clear(FALLBACK_SERVED)
            return outcome

    def _adopt(self, stored: Stored) -> bool:
        with self._turn:
            if self._served is not None:
                return True
            if self._serve(stored, is_twin=False, rows=None).fault is not None:
                return False
            text = f"the fallback configuration {stored.config_hash} is served: the control plane has not answered yet"
            self.conditions.note(FALLBACK_SERVED, text)
            return True

    def _receive(self, frame: bytes, is_twin: bool) -> Outcome | None:
        with self._turn:
            try:
                text = inflate(frame, bytes_max=self._bytes_max)
                if is_twin and is_delta(text):
                    outcome: Outcome | None = self._take_delta(frame, text)
                else:
                    outcome = self._take_whole(text, is_twin)
            except (FrameInvalid, PayloadTooLarge):
                # Should it have been a change, the next one is not to be built on.
                self._rows = None
                raise
            if outcome is not None and outcome.fault is None and outcome.resync is None:
                self.conditions.clear(FALLBACK_SERVED)
            return outcome

    def _take_delta(self, frame: bytes, text: bytes) -> Outcome:
        served = self._served
        found = splice(frame, text, served, self._rows)
        if isinstance(found, Resync):
            return self._want_whole(found)
        if found.rows is None:
            _log.info("config_passed_over revision=%s epoch=%s", found.revision, found.epoch)
            return Outcome(self.config_hash)
        if served is not None and found.config_hash == served.config_hash:
            self._served, self._rows = _without_table(found), found.rows
            return Outcome(self.config_hash)
        outcome = self._publish(found, True, found.rows)
        self.deltas_total += outcome.fault is None
        return outcome

    def _want_whole(self, resync: Resync) -> Outcome:
        """Nothing changes but for this: until the whole configuration has come, no change is taken."""
        self._rows = None
        self.resyncs_total += 1
        _log.warning("config_resync reason=%s detail=%s", resync.reason, resync.detail)
        return Outcome(self.config_hash, resync=resync)

    def _take_whole(self, text: bytes, is_twin: bool) -> Outcome | None:
        message = read_reconfigure(text, is_twin=is_twin)
        if message is None:
            return None
        stored = Stored(
            message.config_hash or config_hash(orjson.loads(message.table)),
            message.table,
            message.revision,
            message.epoch,
        )
        if self._is_outdated(message.epoch, message.revision):
            return Outcome(self.config_hash)
        rows = self._split(stored) if is_twin else None
        if self._served is not None and stored.config_hash == self._served.config_hash:
            self._served, self._rows = _without_table(stored), rows
            self._on_published(stored)
            return Outcome(self.config_hash)
        return self._publish(stored, is_twin, rows)

    def _publish(self, stored: Stored, is_twin: bool, rows: ConfigTable | None) -> Outcome:
        outcome = self._serve(stored, is_twin, rows)
        if outcome.fault is None:
            self._on_published(stored)
        return outcome

    def _split(self, stored: Stored) -> ConfigTable | None:
        return rows_of(stored) if self._takes_deltas else None

    def _is_outdated(self, epoch: str | None, revision: int | None) -> bool:
        served = self._served
        if served is None or not is_outdated(epoch, revision, served.epoch, served.revision):
            return False
        _log.warning("config_outdated revision=%s epoch=%s", revision, epoch)
        return True

    def _serve(self, stored: Stored, is_twin: bool, rows: ConfigTable | None) -> Outcome:
        began = time.monotonic()
        try:
            try:
                issues = self._keep_and_apply(stored)
            except PayloadRefused as refused:
                if is_twin:
                    raise
                # Control planes of other makers leave out what is unset, or what their version does not know.
                table = self._complete(stored.table)
                if table == stored.table:
                    raise
                _log.debug("config_completed reason=%s", refused)
                stored = Stored(stored.config_hash, table, stored.revision, stored.epoch)
                issues = self._keep_and_apply(stored)
        except PayloadRefused as refused:
            return self._refuse(stored, refused)
        self._note_served(stored, issues, rows)
        self.applied_total += 1
        _log.info(
            "config_applied hash=%s revision=%s by=%s issues=%d took_ms=%d",
            stored.config_hash,
            stored.revision,
            "delta" if stored.change else "whole",
            len(issues),
            (time.monotonic() - began) * 1000,
        )
        self._on_outcome(stored.config_hash, stored.revision, None)
        return Outcome(self.config_hash)

    def _keep_and_apply(self, stored: Stored) -> Sequence[Issue]:
        is_kept = self._keeping.keep(stored)
        try:
            issues = self._apply(stored.table)
        except PayloadRefused:
            self._keeping.withdraw()
            raise
        self._keeping.settle(stored, is_kept=is_kept)
        return issues

    def _keep_again(self) -> bool:
        with self._turn:
            return self._keeping.keep_again()

    def _refuse(self, stored: Stored, refused: PayloadRefused) -> Outcome:
        self.refused_total += 1
        self.last_fault = Fault(
            name=FAULT_PARSE,
            source="twinplane.node.config",
            config_hash=stored.config_hash,
            message=f"declarative config is invalid: {refused}",
            flattened_errors=[_flattened(fault) for fault in refused.faults[:_FAULTS_MAX]],
        )
        _log.error("config_refused hash=%s revision=%s detail=%s", stored.config_hash, stored.revision, refused)
        self._on_outcome(stored.config_hash, stored.revision, str(refused))
        return Outcome(self.config_hash, self.last_fault)

    def _note_served(self, stored: Stored, issues: Sequence[Issue], rows: ConfigTable | None) -> None:
        self._served = _without_table(stored)
        self._rows = rows
        self._issues = tuple(issues)
        self.last_fault = None
        try:
            self._on_served(stored.table)
        except (FrameInvalid, ValueError) as error:
            _log.error("config_listener_failed detail=%s", error)


def _without_table(stored: Stored) -> Stored:
    # The core holds its own form of the table: the text would only fill the memory.
    return Stored(stored.config_hash, b"", stored.revision, stored.epoch)


def _flattened(fault: Mapping[str, Any]) -> dict[str, Any]:
    """A fault of the core in the form that peers of Konnect know. The entity itself is never sent."""
    entity = str(fault.get("entity") or fault.get("entity_type") or "")
    flat: dict[str, Any] = {"entity_type": entity.removesuffix("s")}
    if fault.get("id"):
        flat["entity_id"] = fault["id"]
    kind = "field" if fault.get("field") else "entity"
    error = {"type": kind, "message": str(fault.get("message", ""))}
    if fault.get("field"):
        error["field"] = str(fault["field"])
    return {**flat, "errors": [error]}
