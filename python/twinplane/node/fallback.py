"""The fallback configuration: a file, written by nodes that are connected, for new nodes that find no control plane.

A node starts from it once, and only where it has nothing else; whatever its control plane then says wins.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from twinplane import __version__
from twinplane.hybrid.wire import INFLATED_FACTOR_MAX
from twinplane.node.cache import Stored, decode_cache, encode_cache, read_header
from twinplane.node.conditions import Conditions
from twinplane.node.disk import read_whole, sync_directory, write_synced
from twinplane.node.errors import CacheDamaged, FallbackUnusable
from twinplane.node.tasks import in_thread

FILE_NAME = "config.json.gz"
ALONE_S = 5.0
"""How long a node without a configuration waits for its control plane before it looks for the fallback."""
LOOK_AGAIN_S = 30.0
END_S = 5.0
"""How long a node that stops waits for its last export: the storage may hang."""
_STEP_S = 0.25
RETRY_FIRST_S, RETRY_MAX_S = 1.0, 300.0
NOT_EXPORTED: Final = "fallback_not_exported"
NOT_IMPORTED: Final = "fallback_not_imported"
_log = logging.getLogger(__name__)


class FallbackStore:
    """The fallback file for nodes of one version in a directory that nodes share."""

    def __init__(self, directory: Path, node_version: str, *, bytes_max: int) -> None:
        """`bytes_max` bounds the file as it bounds a configuration on the link."""
        self.path = directory / node_version / FILE_NAME
        self._node_version = node_version
        self._bytes_max = bytes_max

    def read(self) -> Stored:
        """The configuration in the file. Raises FallbackUnusable."""
        try:
            if os.stat(self.path).st_size > self._bytes_max:
                raise FallbackUnusable(f"{self.path}: larger than {self._bytes_max} bytes")
            data = read_whole(self.path)
            header = read_header(data)
            if header.get("node_version") != self._node_version:
                raise FallbackUnusable(f"{self.path}: exported for version {header.get('node_version')}")
            found = decode_cache(data, table_bytes_max=self._bytes_max * INFLATED_FACTOR_MAX)
        except OSError as error:
            raise FallbackUnusable(f"{self.path}: cannot be read: {error.strerror or error}") from error
        except CacheDamaged as error:
            raise FallbackUnusable(f"{self.path}: {error}") from error
        _log.info("fallback_found file=%s hash=%s exported_at=%s", self.path, found.config_hash, header.get("at"))
        # Its revision is of no use: whatever the control plane says is newer.
        return Stored(found.config_hash, found.table)

    def write(self, stored: Stored, *, now: float, writer: str) -> bool:
        """Put a configuration in the file, whole or not at all. False where it is there already. Raises OSError."""
        if self._hash() == stored.config_hash:
            return False
        facts = {
            "version": __version__,
            "node_version": self._node_version,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
            "by": writer,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Several nodes may export: each has a file of its own until it is whole, and the last one wins.
        fresh = self.path.with_name(f"{FILE_NAME}.{writer}.new")
        write_synced(fresh, encode_cache(stored, facts=facts))
        os.replace(fresh, self.path)
        sync_directory(self.path.parent)
        return True

    def _hash(self) -> str | None:
        try:
            return decode_cache(read_whole(self.path)).config_hash
        except (OSError, CacheDamaged):
            return None


class FallbackExport:
    """Writes what is served to the fallback file, some time after it came."""

    def __init__(self, store: FallbackStore, conditions: Conditions, *, delay_s: float, writer: str) -> None:
        self._store = store
        self._conditions = conditions
        self._delay_s = delay_s
        self._writer = writer
        self._waiting: Stored | None = None
        self._turn = threading.Lock()
        self.exported_total = 0

    def note(self, stored: Stored) -> None:
        """A configuration of the control plane is being served. From any thread; only the newest is exported."""
        self._waiting = stored

    async def run(self) -> None:
        """Export until cancelled; what waits then is exported at once, if the storage answers in time."""
        retry_s = RETRY_FIRST_S
        try:
            while True:
                await asyncio.sleep(_STEP_S)
                if self._waiting is None:
                    continue
                await asyncio.sleep(self._delay_s)
                while not await in_thread("fallback", self.export):
                    await asyncio.sleep(retry_s)
                    retry_s = min(retry_s * 2, RETRY_MAX_S)
                retry_s = RETRY_FIRST_S
        finally:
            try:
                async with asyncio.timeout(END_S):
                    await in_thread("fallback", self.export)
            except TimeoutError:
                self._note_failure(f"{self._store.path}: no answer within {END_S:g} s")

    def export(self) -> bool:
        """Write what waits now, after what is being written. False where that cannot be done. Blocks."""
        with self._turn:
            return self._export()

    def _export(self) -> bool:
        stored, self._waiting = self._waiting, None
        if stored is None:
            return True
        try:
            if self._store.write(stored, now=time.time(), writer=self._writer):
                self.exported_total += 1
                _log.info("fallback_exported file=%s hash=%s", self._store.path, stored.config_hash)
        except OSError as error:
            self._note_failure(f"{self._store.path}: {error.strerror or error}")
            self._waiting = self._waiting or stored
            return False
        self._conditions.clear(NOT_EXPORTED)
        return True

    def _note_failure(self, text: str) -> None:
        if not self._conditions.has(NOT_EXPORTED):
            _log.warning("fallback_not_exported detail=%s", text)
        self._conditions.note(NOT_EXPORTED, text)


class Adopter(Protocol):
    """Who serves a fallback; see `ConfigKeeper`."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is being served."""

    async def adopt(self, stored: Stored) -> bool:
        """Serve it unless something is being served. False where it is refused."""


async def import_when_alone(
    store: FallbackStore, keeper: Adopter, conditions: Conditions, *, is_connected: Callable[[], bool]
) -> None:
    """Serve the fallback if the node has no configuration and no control plane; look again while that is so."""
    alone_s = 0.0
    while keeper.is_empty:
        await asyncio.sleep(_STEP_S)
        alone_s = 0.0 if is_connected() else alone_s + _STEP_S
        if alone_s < ALONE_S:
            continue
        try:
            stored = await in_thread("fallback", store.read)
            if await keeper.adopt(stored):
                break
            reason = f"{store.path}: refused; the log says why"
        except FallbackUnusable as error:
            reason = str(error)
        if not conditions.has(NOT_IMPORTED):
            _log.warning("fallback_not_imported detail=%s", reason)
        conditions.note(NOT_IMPORTED, reason)
        alone_s = ALONE_S - LOOK_AGAIN_S
    conditions.clear(NOT_IMPORTED)
