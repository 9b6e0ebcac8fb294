"""The configuration of a node without control plane: a declarative file, or what was posted to its Admin API.

What is posted is kept in the prefix and served again after a restart, unless the settings name a configuration.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from twinplane.control.errors import DeclarativeViolation, LimitExceeded
from twinplane.hybrid.hashing import EMPTY_HASH, config_hash
from twinplane.node.cache import Stored
from twinplane.node.errors import NodeStartError
from twinplane.node.seal import SealKey
from twinplane.node.sparse import faults_of

if TYPE_CHECKING:
    from twinplane.control.declarative.entities import DeclaredEntities
    from twinplane.node.keeping import Cache
    from twinplane.registry import RouterFlavor

POSTED_NAME = "declared.json.gz"
DECLARED_REFUSED: Final = "declarative_config_refused"
_NOTHING = Stored(EMPTY_HASH, b'{"_format_version":"3.0","_transform":false}')


class DeclaredConfig:
    """Stands where a node with a control plane has its cache: what is served, in memory."""

    def __init__(self, stored: Stored, entities: DeclaredEntities | None = None) -> None:
        """`entities` are what `stored` was made of, for a node that shows them."""
        self._stored = self._before = stored
        self.entities = entities
        self.posted: Cache | None = None
        """Where what is posted is kept; None where a restart reads the settings again."""
        self.damages: tuple[str, ...] = ()
        self.unsealed: tuple[str, ...] = ()
        self._older: Iterator[DeclaredConfig] = iter(())

    @property
    def stored(self) -> Stored:
        """The one configuration that there is."""
        return self._stored

    def load(self) -> list[Stored]:
        """The one configuration that there is; an empty one is none."""
        return [] if self._stored.config_hash == EMPTY_HASH else [self._stored]

    def keep(self, stored: Stored) -> None:
        """Hold it in memory."""
        self._before, self._stored = self._stored, stored

    def confirm(self) -> None:
        """The one that is held is being served."""
        self._before = self._stored

    def withdraw(self) -> None:
        """Hold the one before."""
        self._stored = self._before

    def step_back(self) -> bool:
        """Hold what was posted before this one, in the end nothing at all. False where there is no step left."""
        older = next(self._older, None)
        if older is None:
            return False
        self._stored = self._before = older.stored
        self.entities = older.entities
        return True

    def settle(self) -> None:
        """What is held is served: free what else was posted from memory."""
        self._older = iter(())

    def rekey(self, key: SealKey) -> None:
        """Seal what is posted with another key."""
        if self.posted is not None:
            self.posted.rekey(key)


def read_declared(
    path: Path | None, text: str | None, flavor: RouterFlavor = "traditional_compatible", *, is_shown: bool = False
) -> DeclaredConfig:
    """The configuration in a file, else in a text. Raises NodeStartError with everything that is wrong.

    With `is_shown` its entities are held as well.
    """
    place = str(path) if path is not None else "declarative_config_string"
    try:
        data = path.read_bytes() if path is not None else (text or "").encode()
    except OSError as error:
        raise NodeStartError(f"{place}: cannot be read: {error.strerror}") from error
    return _read(data, place, flavor, is_shown=is_shown)


def read_posted(
    cache: Cache, flavor: RouterFlavor = "traditional_compatible", *, is_shown: bool = False
) -> DeclaredConfig:
    """What was posted last and can still be read, else nothing; what was posted before it is a step back.

    What is posted from now on is kept in `cache`.
    """
    found = DeclaredConfig(_NOTHING)
    generations = cache.load()
    found.posted, found.damages, found.unsealed = cache, cache.damages, cache.unsealed
    found._older = _readable(generations, found, flavor, is_shown=is_shown)
    found.step_back()
    return found


def _readable(
    generations: list[Stored], told: DeclaredConfig, flavor: RouterFlavor, *, is_shown: bool
) -> Iterator[DeclaredConfig]:
    """Each generation that can be read, read when it is asked for; then nothing. What cannot be read is told."""
    for generation in generations:
        try:
            yield _read(generation.table, POSTED_NAME, flavor, is_shown=is_shown)
        except NodeStartError as error:
            told.damages += error.problems
    yield DeclaredConfig(_NOTHING, _no_entities(flavor) if is_shown else None)


def _read(data: bytes, place: str, flavor: RouterFlavor, *, is_shown: bool) -> DeclaredConfig:
    # Loaded where it is needed, as in `sparse`.
    from twinplane.control import declarative  # noqa: PLC0415
    from twinplane.control.declarative.entities import DeclaredEntities  # noqa: PLC0415

    try:
        declared = declarative.read(data, now=time.time(), flavor=flavor)
    except DeclarativeViolation as violation:
        raise NodeStartError(*(f"{place}: {worded_fault(fault)}" for fault in faults_of(violation))) from violation
    except LimitExceeded as error:
        raise NodeStartError(f"{place}: {error}") from error
    table = declared.json()
    entities = DeclaredEntities(declared.rows, flavor) if is_shown else None
    return DeclaredConfig(Stored(config_hash(orjson.loads(table)), table), entities)


def _no_entities(flavor: RouterFlavor) -> DeclaredEntities:
    from twinplane.control.declarative.entities import DeclaredEntities  # noqa: PLC0415 - as in `_read`

    return DeclaredEntities({}, flavor)


def worded_fault(fault: Mapping[str, object]) -> str:
    """A fault of a configuration, with what it is about."""
    where = " ".join(str(fault[part]) for part in ("entity", "id", "field") if fault.get(part))
    return f"{where}: {fault['message']}" if where else str(fault["message"])
