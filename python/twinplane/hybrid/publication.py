"""One revision of a control plane's configuration, ready to be sent: hashed once, and made once for each kind of node.

A twinplane node that has an earlier revision gets what changed since, made once for each such revision; any other gets
the whole, lowered for its version. Blocks; called in worker threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import orjson

from twinplane.control import Export, ExportDelta, NodeIssue
from twinplane.hybrid.compat import lower_table
from twinplane.hybrid.delta import OPERATIONS_MAX, Delta, DeltaHead, encode_delta
from twinplane.hybrid.frames import server_frame
from twinplane.hybrid.hashing import Hashes
from twinplane.hybrid.standing import Standing
from twinplane.hybrid.wire import NodeVersion, encode_reconfigure
from twinplane.hybrid.withhold import Uses, uses_of

BASES_MAX = 64
"""Revisions of which deltas are kept ready; nodes of further ones have theirs made again."""

FindDelta = Callable[[str, int, int], ExportDelta | None]
"""What leads from one revision of an epoch to another; None where only the whole will do."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """What one kind of node is sent: a whole frame, and what was left out of it."""

    frame: bytes
    payload_bytes: int
    issues: Sequence[NodeIssue]
    base: int | None = None
    """The revision that it leads on from, None for the whole."""


class Publication:
    """A configuration at one revision. Safe for several threads: none waits for what another makes."""

    def __init__(
        self,
        source: Export | ExportDelta,
        standing: Standing,
        *,
        now: float,
    ) -> None:
        self.control_plane_id = source.control_plane_id
        self.revision = source.revision
        self.epoch = source.epoch
        self._standing = standing
        self._arrived_by = source if isinstance(source, ExportDelta) else None
        self._now = now
        self._shipments: dict[NodeVersion | None, Shipment] = {}
        self._deltas: dict[int, Shipment | None] = {}
        self._keeping = threading.Lock()

    @classmethod
    def of(cls, export: Export, *, now: float) -> Publication:
        """From all rows."""
        return cls(export, Standing.of(export), now=now)

    def after(self, delta: ExportDelta, *, now: float) -> Publication:
        """The publication that a delta leads to from this one."""
        return Publication(delta, self._standing.after(delta), now=now)

    @property
    def key(self) -> tuple[str, int]:
        """Epoch and revision."""
        return self.epoch, self.revision

    @property
    def hashes(self) -> Hashes:
        """The protocol's hashes of the table."""
        return self._standing.hashes

    @property
    def config_hash(self) -> str:
        """What a node reports that runs this."""
        return self._standing.hashes.config

    @property
    def digest(self) -> str:
        """What a twinplane node reports of its rows that runs this."""
        return self._standing.table.digest

    @cached_property
    def table_bytes(self) -> int:
        """The bytes of all rows."""
        return self._standing.table_bytes

    @cached_property
    def uses(self) -> Uses:
        """What of a node it needs, as far as nodes of other makers are asked for it."""
        named = ("plugins", "filter_chains", "routes")
        return uses_of({name: [orjson.loads(row) for row in self._rows(name)] for name in named})

    def shipment(self, version: NodeVersion | None) -> Shipment:
        """What a node of that version is sent; None is a twinplane node, which knows everything."""
        found = self._shipments.get(version)
        return self._shipments.setdefault(version, self._make(version)) if found is None else found

    def made(self, version: NodeVersion | None) -> Shipment | None:
        """The same, where it has been made already."""
        return self._shipments.get(version)

    def delta(self, base: int, find: FindDelta) -> Shipment | None:
        """What a twinplane node is sent that has an earlier revision; None where it needs the whole."""
        with self._keeping:
            if base in self._deltas:
                return self._deltas[base]
        made = self._make_delta(base, find)
        with self._keeping:
            while len(self._deltas) >= BASES_MAX:
                del self._deltas[next(iter(self._deltas))]
            return self._deltas.setdefault(base, made)

    def _make_delta(self, base: int, find: FindDelta) -> Shipment | None:
        known = self._arrived_by
        found = known if known is not None and known.base == base else find(self.epoch, base, self.revision)
        if found is None or len(found.changes) > OPERATIONS_MAX:
            return None
        if sum(len(change.row or change.id) for change in found.changes) > self.table_bytes:
            return None
        table = self._standing.table
        head = DeltaHead(self.epoch, base, self.revision, self.config_hash, table.digest, tuple(table.collections))
        payload = encode_delta(Delta(head, found.changes), timestamp=self._now)
        return Shipment(server_frame(payload), len(payload), (), base)

    def _make(self, version: NodeVersion | None) -> Shipment:
        text = self._standing.table.text()
        if version is None:
            payload = encode_reconfigure(
                text, self.hashes, timestamp=self._now, revision=self.revision, epoch=self.epoch
            )
            return Shipment(server_frame(payload), len(payload), ())
        table = orjson.loads(text)
        issues = lower_table(table, version)
        # A lowered payload keeps the hashes of the whole one: that is how a control plane knows its nodes are in sync.
        payload = encode_reconfigure(orjson.dumps(table), self.hashes, timestamp=self._now)
        return Shipment(server_frame(payload), len(payload), issues)

    def _rows(self, collection: str) -> Sequence[bytes]:
        found = self._standing.table.collections.get(collection)
        return () if found is None else found.values
