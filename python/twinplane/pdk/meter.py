"""Counters and histograms of a plugin, on `/metrics` of the node. The number of series is bounded."""

from __future__ import annotations

import re
import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

SERIES_MAX = 1000
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds that fit seconds."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Histogram:
    bounds: tuple[float, ...]
    counts: list[int]
    total: float = 0.0


class Meter:
    """What one plugin measures. Any thread may use it.

    The name of a series is `twinplane_plugin_<plugin>_<name>`, of a counter with `_total` behind it.
    """

    def __init__(self, plugin: str, series_max: int = SERIES_MAX) -> None:
        self._prefix = f"twinplane_plugin_{plugin.replace('-', '_')}_"
        self._series_max = series_max
        self._guard = threading.Lock()
        self._counters: dict[tuple[str, Labels], float] = {}
        self._histograms: dict[tuple[str, Labels], _Histogram] = {}
        self.lost_total = 0
        """Values that would have begun a series too many."""

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter. Raises ValueError where `by` is negative or a name is none."""
        if by < 0:
            raise ValueError("a counter does not go back")
        key = _key(name, labels)
        with self._guard:
            if key not in self._counters and not self._has_room():
                return
            self._counters[key] = self._counters.get(key, 0) + by

    def observe(self, name: str, value: float, *, buckets: Sequence[float] = BUCKETS, **labels: str) -> None:
        """Add an observation to a histogram; its first one says which buckets it has. Raises ValueError as `count`."""
        key = _key(name, labels)
        with self._guard:
            found = self._histograms.get(key)
            if found is None:
                if not self._has_room():
                    return
                bounds = tuple(sorted(buckets))
                found = self._histograms[key] = _Histogram(bounds, [0] * (len(bounds) + 1))
            found.counts[bisect_left(found.bounds, value)] += 1
            found.total += value

    def series(self) -> Iterator[dict[str, Any]]:
        """All series, in the form that the core tells its own in."""
        with self._guard:
            counters = dict(self._counters)
            histograms = {key: (each.bounds, list(each.counts), each.total) for key, each in self._histograms.items()}
        for (name, labels), value in counters.items():
            told = f"{self._prefix}{name.removesuffix('_total')}_total"
            yield {"name": told, "labels": dict(labels), "value": value}
        for (name, labels), (bounds, counts, total) in histograms.items():
            below, buckets = 0, []
            for bound, count in zip(bounds, counts, strict=False):
                below += count
                buckets.append([bound, below])
            count = sum(counts)
            told = f"{self._prefix}{name}"
            yield {"name": told, "labels": dict(labels), "buckets": buckets, "count": count, "sum": total}

    def _has_room(self) -> bool:
        if len(self._counters) + len(self._histograms) < self._series_max:
            return True
        self.lost_total += 1
        return False


def _key(name: str, labels: dict[str, str]) -> tuple[str, Labels]:
    for each in (name, *labels):
        if not _NAME.fullmatch(each):
            raise ValueError(f"'{each}' is no name: lower-case letters, digits and underscores")
    return name, tuple(sorted((label, str(value)) for label, value in labels.items()))
