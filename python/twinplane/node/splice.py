"""What a delta makes of the configuration that a node serves: another whole one, or a reason to want it whole. Pure."""

from __future__ import annotations

import logging

from twinplane.hybrid.delta import BASE_UNKNOWN, DELTA_INVALID, DIGEST_MISMATCH, Resync, decode_delta
from twinplane.hybrid.errors import FrameInvalid
from twinplane.hybrid.table import ConfigTable, split_rows
from twinplane.node.cache import Stored

_log = logging.getLogger(__name__)


def splice(frame: bytes, text: bytes, served: Stored | None, rows: ConfigTable | None) -> Stored | Resync:
    """The configuration that a delta leads to, with its rows; `text` is what the frame inflates to.

    One that leads back, or nowhere, has the very revision that it says; it is for the caller to pass it over.
    """
    try:
        delta = decode_delta(text)
    except FrameInvalid as error:
        return Resync(DELTA_INVALID, str(error))
    head = delta.head
    if served is not None and served.is_at_least(head.epoch, head.revision):
        return Stored(head.config_hash, b"", head.revision, head.epoch)
    if served is None or rows is None or (head.epoch, head.base) != (served.epoch, served.revision):
        return Resync(BASE_UNKNOWN, f"revision {head.base} of epoch {head.epoch} is not served here")
    made = rows.spliced(delta.operations, head.collections)
    if made.digest != head.digest:
        return Resync(DIGEST_MISMATCH, f"revision {head.revision} has digest {head.digest[:16]}")
    # Where nothing changes, nobody asks for the text.
    table = b"" if head.config_hash == served.config_hash else made.text()
    return Stored(head.config_hash, table, head.revision, head.epoch, frame, head.base, made)


def rows_of(stored: Stored) -> ConfigTable | None:
    """The rows of a configuration, as far as its text is written row by row."""
    if stored.rows is not None:
        return stored.rows
    try:
        return split_rows(stored.table)
    except FrameInvalid as error:
        _log.warning("config_without_rows detail=%s", error)
        return None
