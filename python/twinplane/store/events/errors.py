"""What can go wrong in the event store."""

from __future__ import annotations

from dataclasses import dataclass

from twinplane.store.errors import StoreError


class EventStoreUnusable(Exception):
    """The file cannot be opened: damaged, of a newer format, or held by another process."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass
class EventStoreFailed(StoreError):
    """The event store cannot be read or written now; what is asked for, or delivered, may be tried again."""

    reason: str

    def __str__(self) -> str:
        return f"the event store cannot be used: {self.reason}"


class QueryTooLong(Exception):
    """A query took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the query took longer than {seconds:g} seconds")
        self.seconds = seconds
