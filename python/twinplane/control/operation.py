"""One step of a batch of writes. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from twinplane.control.scope import Parent


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a batch. `key` is an id or endpoint key; `body` is None for a delete."""

    kind: Literal["create", "upsert", "update", "delete"]
    type_name: str
    key: str | None = None
    body: Mapping[str, Any] | None = None
    parent: Parent | None = None
