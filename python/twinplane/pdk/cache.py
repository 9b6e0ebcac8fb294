"""A map with a time to live, shared by all requests of one plugin on one node. Bounded: the oldest entry makes room."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

T = TypeVar("T")

ENTRIES_MAX = 10_000


class Cache:
    """Values by key. Any thread may use it; it lives as long as the node and forgets nothing at a reload."""

    def __init__(self, entries_max: int = ENTRIES_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries_max = entries_max
        self._clock = clock
        self._entries: OrderedDict[Hashable, tuple[float, object]] = OrderedDict()
        self._guard = threading.Lock()
        self.evicted_total = 0
        """Entries that made room before their time was over."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable, default: object = None) -> object:
        """The value, or `default` where there is none or its time is over."""
        with self._guard:
            found = self._entries.get(key)
            if found is None:
                return default
            if found[0] <= self._clock():
                del self._entries[key]
                return default
            return found[1]

    def set(self, key: Hashable, value: object, ttl_s: float) -> None:
        """Keep a value for `ttl_s` seconds."""
        with self._guard:
            self._put(key, value, ttl_s)

    def add(self, key: Hashable, value: object, ttl_s: float) -> bool:
        """Keep a value unless one is there. Says whether it was kept: of two threads one wins."""
        with self._guard:
            found = self._entries.get(key)
            if found is not None and found[0] > self._clock():
                return False
            self._put(key, value, ttl_s)
            return True

    def delete(self, key: Hashable) -> None:
        """Forget a value."""
        with self._guard:
            self._entries.pop(key, None)

    def get_or_make(self, key: Hashable, ttl_s: float, make: Callable[[], T]) -> T:
        """The value, made where there is none. `make` runs without a lock: two threads may both make it."""
        missing = object()
        found = self.get(key, missing)
        if found is not missing:
            return found  # type: ignore[return-value]
        made = make()
        self.set(key, made, ttl_s)
        return made

    def _put(self, key: Hashable, value: object, ttl_s: float) -> None:
        self._entries.pop(key, None)
        while len(self._entries) >= self._entries_max:
            self._entries.popitem(last=False)
            self.evicted_total += 1
        self._entries[key] = (self._clock() + ttl_s, value)
