"""Limits by period, for plugins that count requests."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

PERIODS = ("second", "minute", "hour", "day", "month", "year")


def falling_limit(limits: Mapping[str, Any]) -> str | None:
    """The first period that allows less than a shorter one, in the words that end Kong's complaint."""
    given = [(period, float(limits[period])) for period in PERIODS if limits.get(period) is not None]
    for (shorter, less), (longer, more) in pairwise(given):
        if more < less:
            return f"{longer}({more:.1f}) cannot be lower than the limit for {shorter}({less:.1f})"
    return None
