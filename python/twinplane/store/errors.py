"""Why a store cannot be opened, read or written. Typed, without wording for any client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class StoreError(Exception):
    """Base of every failure of keeping."""


@dataclass
class StoreTooNew(StoreError):
    """The data directory was written by a newer version."""

    path: Path
    found: int
    known: int

    def __str__(self) -> str:
        return (
            f"{self.path}: the data directory was written by a newer version "
            f"(its format is {self.found}, this version knows {self.known}): start that version, or restore a backup"
        )


@dataclass
class StoreOfOtherRegion(StoreError):
    """The data directory holds data of a region that does not belong there."""

    path: Path
    region: str

    def __str__(self) -> str:
        return (
            f"{self.path}: the store holds control planes of region {self.region}, which is not to lie here: "
            f"name it as the store of that region (region-data {self.region}={self.path}), or take another directory"
        )


@dataclass
class StoreUnreadable(StoreError):
    """The data directory or the database in it cannot be read."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: the store cannot be read: {self.reason}"


@dataclass
class StoreUnwritable(StoreError):
    """A write was not accepted by the disk or the database; nothing of it is kept."""

    reason: str

    def __str__(self) -> str:
        return f"the store cannot be written: {self.reason}"


@dataclass
class StoreBusy(StoreError):
    """Another writer held the store for longer than the limit; nothing of this write is kept."""

    waited_ms: int

    def __str__(self) -> str:
        return f"the store was busy for {self.waited_ms} ms"


@dataclass
class StoreConflict(StoreError):
    """A constraint of the database refused the write: another writer was faster. Nothing of it is kept."""

    reason: str

    def __str__(self) -> str:
        return f"the database refused a row: {self.reason}"
