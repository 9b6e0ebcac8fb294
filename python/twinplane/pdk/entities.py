"""Entities of the configuration as plugins see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Route:
    """The matched route."""

    id: str
    name: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """The service of the matched route."""

    id: str
    name: str | None
    protocol: str
    host: str
    port: int
    path: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who asks, as an auth plugin found."""

    id: str
    username: str | None
    custom_id: str | None
    groups: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Credential:
    """What showed who asks."""

    id: str
    """As the log tells it."""
    identifier: str | None = None
    """As the upstream is told it in `X-Credential-Identifier`; None: the id."""


def consumer_of(found: Mapping[str, Any] | None) -> Consumer | None:
    """A consumer as the core tells of it."""
    return None if found is None else Consumer(**with_tuples(found))


def with_tuples(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the core tells, with tuples for its lists."""

    def frozen(value: Any) -> Any:
        return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value

    return {name: frozen(value) for name, value in found.items()}
