"""One revision of a control plane's configuration, ready to be sent: hashed and compressed once for all its nodes.

What a node's version needs differently is made once per version. Blocks; called in worker threads.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from twinplane.control import Export, NodeIssue
from twinplane.hybrid.compat import lower_table
from twinplane.hybrid.frames import server_frame
from twinplane.hybrid.hashing import Hashes, hash_table
from twinplane.hybrid.wire import NodeVersion, encode_reconfigure
from twinplane.hybrid.withhold import uses_of


@dataclass(frozen=True, slots=True)
class Shipment:
    """What one kind of node is sent: a whole frame, and what was left out of it."""

    frame: bytes
    payload_bytes: int
    issues: Sequence[NodeIssue]


class Publication:
    """A configuration at one revision. Safe for several threads."""

    def __init__(self, export: Export, *, now: float) -> None:
        self.control_plane_id = export.control_plane_id
        self.revision = export.revision
        self.epoch = export.epoch
        self._table = export.json()
        table: dict[str, Any] = orjson.loads(self._table)
        self.hashes: Hashes = hash_table(table)
        self.uses = uses_of(table)
        self._now = now
        self._shipments: dict[NodeVersion | None, Shipment] = {}
        self._making = threading.Lock()

    @property
    def config_hash(self) -> str:
        """What a node reports that runs this."""
        return self.hashes.config

    def shipment(self, version: NodeVersion | None) -> Shipment:
        """What a node of that version is sent; None is a twinplane node, which knows everything."""
        with self._making:
            found = self._shipments.get(version)
            if found is None:
                found = self._shipments[version] = self._make(version)
            return found

    def made(self, version: NodeVersion | None) -> Shipment | None:
        """The same, where it has been made already."""
        return self._shipments.get(version)

    def _make(self, version: NodeVersion | None) -> Shipment:
        if version is None:
            payload = encode_reconfigure(
                self._table, self.hashes, timestamp=self._now, revision=self.revision, epoch=self.epoch
            )
            return Shipment(server_frame(payload), len(payload), ())
        table = orjson.loads(self._table)
        issues = lower_table(table, version)
        # A lowered payload keeps the hashes of the whole one: that is how a control plane knows its nodes are in sync.
        payload = encode_reconfigure(orjson.dumps(table), self.hashes, timestamp=self._now)
        return Shipment(server_frame(payload), len(payload), issues)
