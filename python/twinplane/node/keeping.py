"""What a node keeps on disk of what it serves, and what it says where the disk does not take it."""

from __future__ import annotations

import logging
import zlib
from typing import Final, Protocol

from twinplane.node.cache import Stored
from twinplane.node.conditions import Conditions
from twinplane.node.errors import CacheUnwritable
from twinplane.node.seal import SealKey

_log = logging.getLogger("twinplane.node.config")
CACHE_UNWRITABLE: Final = "cache_unwritable"
CACHE_DAMAGED: Final = "cache_damaged"


class Cache(Protocol):
    """Where configurations are kept between starts."""

    @property
    def damages(self) -> tuple[str, ...]:
        """What the last `load` could not use, for people."""

    @property
    def unsealed(self) -> tuple[str, ...]:
        """What the last `load` could use, but not seal as it should be, for people."""

    def load(self) -> list[Stored]:
        """What can be served from, newest first."""

    def keep(self, stored: Stored) -> None:
        """Keep a configuration that is about to be applied. Raises CacheUnwritable."""

    def confirm(self) -> None:
        """It was applied."""

    def withdraw(self) -> None:
        """It was not."""

    def rekey(self, key: SealKey) -> None:
        """The node has a new certificate key: what is sealed is sealed with it."""


class Keeping:
    """A cache, and what has yet to be written to it. Whoever serves takes turns: it is not safe for several threads."""

    def __init__(self, cache: Cache, conditions: Conditions) -> None:
        self._cache = cache
        self._conditions = conditions
        self._unkept: Stored | None = None

    @property
    def is_behind(self) -> bool:
        """Whether what is served has yet to be written."""
        return self._unkept is not None

    def load(self) -> list[Stored]:
        """What can be served from, newest first."""
        generations = self._cache.load()
        if self._cache.damages:
            follows = "an older configuration is served" if generations else "the node starts without a configuration"
            self._conditions.note(CACHE_DAMAGED, f"{'; '.join(self._cache.damages)}: {follows}")
        self._note_unsealed()
        return generations

    def table_of(self, config_hash: str) -> bytes | None:
        """The table of a configuration, where it is kept."""
        found = (stored.table for stored in self._cache.load() if stored.config_hash == config_hash)
        return next(found, None)

    def keep(self, stored: Stored) -> bool:
        """Keep a configuration that is about to be applied. False where the disk does not take it."""
        try:
            self._cache.keep(stored)
        except CacheUnwritable as error:
            if not self._conditions.has(CACHE_UNWRITABLE):
                _log.warning("cache_unwritable detail=%s", error)
            self._conditions.note(CACHE_UNWRITABLE, str(error))
            return False
        if self._conditions.has(CACHE_UNWRITABLE):
            _log.info("cache_writable_again hash=%s", stored.config_hash)
        self._conditions.clear(CACHE_UNWRITABLE)
        self._conditions.clear(CACHE_DAMAGED)
        return True

    def withdraw(self) -> None:
        """It was refused."""
        self._cache.withdraw()

    def settle(self, stored: Stored, *, is_kept: bool) -> None:
        """It was applied."""
        if is_kept:
            self._cache.confirm()
        # Packed: the disk may be away for long.
        self._unkept = None if is_kept else _packed(stored)

    def keep_again(self) -> bool:
        """Write what the disk did not take. False where it still does not."""
        if self._unkept is None:
            return True
        stored = self._unkept
        whole = Stored(stored.config_hash, zlib.decompress(stored.table), stored.revision, stored.epoch)
        if not self.keep(whole):
            return False
        self._cache.confirm()
        self._unkept = None
        return True

    def rekey(self, key: SealKey) -> None:
        """The node has a new certificate key, which the cache is sealed with from now on."""
        self._cache.rekey(key)
        self._note_unsealed()

    def _note_unsealed(self) -> None:
        if self._cache.unsealed:
            self._conditions.note(CACHE_UNWRITABLE, "; ".join(self._cache.unsealed))


def _packed(stored: Stored) -> Stored:
    return Stored(stored.config_hash, zlib.compress(stored.table, 1), stored.revision, stored.epoch)
