"""How far back a store's publications reach: the epoch that its revisions belong to, and what of their log is kept.

An epoch is the store's; a control plane gets one of its own where a node shows that history was lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock

from twinplane.control.epoch import began_at_ms, is_outdated, new_epoch
from twinplane.control.settings import ControlSettings
from twinplane.store.sql import Database, Realm, Transaction

EPOCH = "epoch"
RENEWAL_INTERVAL_S = 10.0
# A node may be ahead of a store that was restored, but not by more than clocks can be wrong.
_AHEAD_MAX_MS = 366 * 24 * 3_600_000
_DAY_S = 24 * 3600
_FORGOTTEN_AT_ONCE = 20_000
_log = logging.getLogger(__name__)


def epoch_of(tx: Transaction, control_plane_id: str) -> str:
    """The epoch that a control plane's revisions belong to."""
    return tx.meta.get(f"{EPOCH}:{control_plane_id}") or tx.meta.get(EPOCH) or ""


def forgotten_until(tx: Transaction, control_plane_id: str) -> int:
    """The revision up to which the change log of a control plane is not kept any more; 0 where all of it is."""
    return int(tx.meta.get(f"forgotten:{control_plane_id}") or 0)


class Publishing:
    """Epochs and the reach of the change log, of every control plane."""

    def __init__(self, database: Database, settings: ControlSettings, clock: Callable[[], float]) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._lock = Lock()
        self._renewed_at: dict[str, float] = {}
        self.renewed_total = 0
        self.forgotten_total = 0

    def renew_epoch(self, control_plane_id: str, *, epoch: str, revision: int) -> bool:
        """Begin a new epoch where a node was served what this store does not know: it was restored, or is another.

        The store itself is asked, as a writer: a replica that merely lags is not mistaken for a loss. A node is not
        trusted with more than a new publication of its own control plane once in a while. True where one began.
        """
        with self._lock:
            now = self._clock()
            if abs(now - self._renewed_at.get(control_plane_id, float("-inf"))) < RENEWAL_INTERVAL_S:
                return False
            with self._database.writing() as tx:
                plane = tx.control_planes.by_id(control_plane_id)
                if plane is None:
                    return False
                current = epoch_of(tx, control_plane_id)
                if not is_outdated(current, plane.revision, epoch, revision):
                    return False
                if (began_at_ms(epoch) or 0) > now * 1000 + _AHEAD_MAX_MS:
                    _log.error("epoch_not_believed control_plane=%s epoch=%s", control_plane_id, epoch)
                    return False
                renewed = new_epoch(now, after=max(current, epoch))
                tx.meta.put(f"{EPOCH}:{control_plane_id}", renewed)
            self._renewed_at[control_plane_id] = now
            self.renewed_total += 1
        _log.warning(
            "epoch_renewed control_plane=%s from=%s at=%d to=%s seen=%s/%d",
            control_plane_id,
            current,
            plane.revision,
            renewed,
            epoch,
            revision,
        )
        return True

    def forget_changes(self) -> int:
        """Forget changes older than the setting allows, some at a time; how many went. Without it all are kept."""
        days = self._settings.change_retention_days
        if not days:
            return 0
        with self._database.reading() as tx:
            oldest = tx.changes.oldest(before=self._clock() - days * _DAY_S, limit=_FORGOTTEN_AT_ONCE)
        if not oldest:
            return 0
        with self._database.writing() as tx:
            count = sum(self._forget(tx, realm, revision) for realm, revision in oldest)
        self.forgotten_total += count
        return count

    def _forget(self, tx: Transaction, realm: Realm, revision: int) -> int:
        reach = max(revision, forgotten_until(tx, realm.control_plane_id))
        tx.meta.put(f"forgotten:{realm.control_plane_id}", str(reach))
        return tx.changes.forget(realm, revision)
