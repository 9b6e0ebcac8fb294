"""Where a call works, who makes it, and how lists come back. Plain values; no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
"""One entity as clients see it: every field present, references as `{"id": …}`."""

DEFAULT_WORKSPACE = "default"


@dataclass(frozen=True, slots=True)
class Scope:
    """One workspace of one control plane of one organization: what every entity call is bound to."""

    organization_id: str
    control_plane_id: str
    workspace: str = DEFAULT_WORKSPACE


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, as the history tells it. `kind` is user, system-account, admin-api, node or system.

    From where and by which request is for the audit records alone.
    """

    kind: str
    id: str
    name: str
    client_ip: str = field(default="", compare=False)
    request_id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Parent:
    """The entity that a nested call stands under: `Parent("consumers", "alice")` for `/consumers/alice/key-auth`."""

    type_name: str
    key: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `offset` leads to the next page; None on the last one."""

    rows: list[Row]
    offset: str | None
