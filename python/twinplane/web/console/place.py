"""Something one can go to: a crumb, an entry of a menu, a tab."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A name and where it leads."""

    name: str
    path: str
