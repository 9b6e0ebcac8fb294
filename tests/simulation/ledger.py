"""What was published, in order, and whether what nodes do agrees with it.

A place is the number of a publication: each write is one, and so is the restore of a backup, which may give revisions
their numbers a second time. What a node serves is found again by its content.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.stores import Body, Content, Op, content_of_bodies

Place = int
Claim = tuple[str | None, int | None, str]
"""Epoch, revision and hash, as a node says them."""


class Violation(Exception):
    """A promise was broken."""


@dataclass(frozen=True)
class Published:
    """One publication."""

    epoch: str
    revision: int
    content: Content
    config_hash: str


class Ledger:
    """The history of publications."""

    def __init__(self) -> None:
        self.entities: dict[tuple[str, str], Body] = {}
        self.published: list[Published] = []
        self.is_restored = False
        """Whether the store was put back since it was last looked at."""
        self._places: dict[Claim, list[Place]] = {}
        self._content_of_hash: dict[str, Content] = {}

    def wrote(self, ops: list[Op], epoch: str, revision: int, config_hash: str) -> None:
        """A write was acknowledged."""
        for op in ops:
            if op.body is None:
                del self.entities[op.type_name, op.id]
            else:
                self.entities[op.type_name, op.id] = op.body
        newest = self.published[-1]
        if epoch == newest.epoch and revision <= newest.revision:
            raise Violation(f"C2: a write got revision {revision} after {newest.revision}")
        self._publish(epoch, revision, config_hash)

    def found(self, epoch: str, revision: int, config_hash: Callable[[], str]) -> None:
        """The store is at this: news where it was restored, or began a new epoch."""
        newest = self.published[-1] if self.published else None
        if self.is_restored or newest is None or (epoch, revision) != (newest.epoch, newest.revision):
            self.is_restored = False
            self._publish(epoch, revision, config_hash())

    def knows(self, claim: Claim) -> bool:
        """Whether this was published, as far as is known."""
        return claim in self._places

    def place(self, claim: Claim, since: Place | None) -> Place:
        """Where a node is that says this: at the first such place from `since` on, else at the last one before."""
        places = self._places.get(claim)
        if not places:
            raise Violation(f"C1: {claim} was never published")
        return next((place for place in places if since is None or place >= since), places[-1])

    def place_of(self, content: Content, since: Place | None) -> Place | None:
        """The first place from `since` on that holds this; None where there is none."""
        start = since or 0
        return next((place for place in range(start, len(self.published)) if self.content(place) == content), None)

    def content(self, place: Place) -> Content:
        """What was published there."""
        return self.published[place].content

    @property
    def newest(self) -> Place:
        """The last place."""
        return len(self.published) - 1

    def _publish(self, epoch: str, revision: int, config_hash: str) -> None:
        content = content_of_bodies(self.entities)
        if self._content_of_hash.setdefault(config_hash, content) != content:
            raise Violation(f"C5: two configurations have the hash {config_hash}")
        self._places.setdefault((epoch, revision, config_hash), []).append(len(self.published))
        self.published.append(Published(epoch, revision, content, config_hash))
