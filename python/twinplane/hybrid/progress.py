"""How far a twinplane node is, and what it should be sent next: nothing, what changed, or the whole. Pure.

One frame is on its way at a time; what happens meanwhile is sent as one change from what the node then reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twinplane.control.epoch import is_outdated
from twinplane.hybrid.wire import Applied, Fault


class Published(Protocol):
    """What is to be known of a publication."""

    @property
    def key(self) -> tuple[str, int]:
        """Epoch and revision."""

    @property
    def config_hash(self) -> str:
        """The protocol's hash."""

    @property
    def digest(self) -> str:
        """The digest of the rows."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent last."""

    key: tuple[str, int]
    config_hash: str


@dataclass(frozen=True, slots=True)
class Wait:
    """A frame is on its way."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """The node has it."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """The node has what was published after this: it is not to be sent what is older."""

    epoch: str
    revision: int


@dataclass(frozen=True, slots=True)
class Change:
    """What changed since a revision that the node has."""

    base: int


@dataclass(frozen=True, slots=True)
class Whole:
    """All of it."""


Next = Wait | Nothing | Ahead | Change | Whole


class TwinProgress:
    """One node, over one connection."""

    def __init__(self) -> None:
        self.applied: Applied | None = None
        self._under_way: Sent | None = None
        self._wants_whole = False

    def note_sent(self, publication: Published) -> None:
        """A frame is on its way."""
        self._under_way = Sent(publication.key, publication.config_hash)

    def note_applied(self, applied: Applied) -> None:
        """What the node says it serves."""
        self.applied = applied
        if applied.digest is not None:
            self._wants_whole = False
        under_way = self._under_way
        if under_way is None or applied.epoch is None or applied.revision is None:
            return
        if not is_outdated(applied.epoch, applied.revision, *under_way.key):
            # It serves that, or something newer.
            self._under_way = None

    def note_refused(self, fault: Fault) -> None:
        """The node keeps what it had."""
        if self._under_way is not None and fault.config_hash == self._under_way.config_hash:
            self._under_way = None

    def note_resync(self) -> None:
        """The node could not use a change."""
        self._under_way = None
        self._wants_whole = True

    def give_up(self) -> None:
        """What is under way did not arrive, or its answer did not: next comes the whole."""
        self.note_resync()

    def next(self, publication: Published) -> Next:
        """What to do about a publication."""
        applied = self.applied
        if self._under_way is not None:
            return Wait()
        if applied is None or applied.epoch is None or applied.revision is None:
            return Whole()
        epoch, revision = publication.key
        if is_outdated(epoch, revision, applied.epoch, applied.revision):
            return Ahead(applied.epoch, applied.revision)
        if self._wants_whole or applied.epoch != epoch:
            return Whole()
        if applied.revision == revision and applied.config_hash == publication.config_hash:
            # Without rows it cannot tell their digest.
            return Nothing() if applied.digest in (None, publication.digest) else Whole()
        return Whole() if applied.digest is None or applied.revision == revision else Change(applied.revision)
