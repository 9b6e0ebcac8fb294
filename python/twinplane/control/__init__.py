"""Use cases: every write of the platform is a call into this room.

What stands here is light: the store loads only when `Control` itself is asked for, so that a node can read a
declarative document (`control.declarative`) without loading SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twinplane.control.records import (
    Change,
    ControlPlane,
    ExpectedHash,
    Export,
    ExportRow,
    Node,
    NodeAtEndOfLife,
    NodeCertificate,
    NodeHello,
    NodeIssue,
    NumberedPage,
    Organization,
    Principal,
    Token,
    User,
)
from twinplane.control.scope import DEFAULT_WORKSPACE, Actor, Page, Parent, Row, Scope
from twinplane.control.versions import Versions

if TYPE_CHECKING:
    from twinplane.control.control import Control, ControlSettings, Operation

__all__ = [
    "DEFAULT_WORKSPACE",
    "Actor",
    "Change",
    "Control",
    "ControlPlane",
    "ControlSettings",
    "ExpectedHash",
    "Export",
    "ExportRow",
    "Node",
    "NodeAtEndOfLife",
    "NodeCertificate",
    "NodeHello",
    "NodeIssue",
    "NumberedPage",
    "Operation",
    "Organization",
    "Page",
    "Parent",
    "Principal",
    "Row",
    "Scope",
    "Token",
    "User",
    "Versions",
]

_FROM_THE_STORE = frozenset({"Control", "ControlSettings", "Operation"})


def __getattr__(name: str) -> Any:
    """Load what needs the store only when it is asked for."""
    if name in _FROM_THE_STORE:
        from twinplane.control import control  # noqa: PLC0415

        return getattr(control, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
