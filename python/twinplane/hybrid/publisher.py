"""Where publications come from: the newest configuration made ready, from the one before where that costs less.

Also where a process finds that it is behind: another one wrote, or a node knows more than the store. Blocks; called in
worker threads.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from twinplane.control import Control
from twinplane.control.epoch import is_outdated
from twinplane.control.errors import StoreError
from twinplane.hybrid.publication import Publication

# The hash of a smaller table is as soon computed as written down.
_NOTED_FROM_BYTES = 1_048_576
_log = logging.getLogger(__name__)


class Publisher:
    """Publications of every control plane of a process."""

    def __init__(self, control: Control) -> None:
        self._control = control
        # Hashes that are not written down yet, by control plane: the newest of each.
        self._owed: dict[str, tuple[int, str]] = {}

    def publish(self, control_plane_id: str, before: Publication | None) -> Publication:
        """The newest configuration. Raises NotFound for a control plane that went."""
        publication = self._made(control_plane_id, before)
        if publication is not before and publication.table_bytes >= _NOTED_FROM_BYTES:
            self._owed[control_plane_id] = publication.revision, publication.config_hash
            self._record_hashes()
        return publication

    def _record_hashes(self) -> None:
        """Write down hashes of what was published; what the store does not take now is written down later."""
        for control_plane_id, (revision, config_hash) in list(self._owed.items()):
            try:
                self._control.nodes.record_expected_hash(control_plane_id, revision, config_hash)
            except StoreError as error:
                _log.warning("hash_not_recorded control_plane=%s detail=%s", control_plane_id, error)
                return
            if self._owed.get(control_plane_id) == (revision, config_hash):
                self._owed.pop(control_plane_id, None)

    def _made(self, control_plane_id: str, before: Publication | None) -> Publication:
        export = self._control.export
        if before is not None:
            delta = export.delta(control_plane_id, before.epoch, before.revision)
            if delta is not None:
                return before if delta.revision == before.revision else before.after(delta, now=time.time())
        return Publication.of(export.payload(control_plane_id), now=time.time())

    def behind(self, positions: Mapping[str, tuple[str, int]]) -> list[str]:
        """Which control planes the store has newer publications of than these."""
        self._record_hashes()
        found = self._control.export.positions(list(positions))
        return [plane for plane, position in positions.items() if found.get(plane, position) != position]

    def settle(self, control_plane_id: str, epoch: str, revision: int) -> None:
        """A node has what was not published here. Where the store does not have it either, a new epoch begins."""
        position = self._control.export.position(control_plane_id)
        if position is not None and is_outdated(*position, epoch, revision):
            self._control.publishing.renew_epoch(control_plane_id, epoch=epoch, revision=revision)
