"""Use cases: every write of the platform is a call into this room.

What stands here is light: the store loads only when `Control` itself is asked for, so that a node can read a
declarative document (`control.declarative`) without loading SQL.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from twinplane.control.operation import Operation
from twinplane.control.records import (
    Change,
    ControlPlane,
    ExpectedHash,
    Export,
    ExportDelta,
    ExportRow,
    Node,
    NodeAtEndOfLife,
    NodeCertificate,
    NodeHello,
    NodeIssue,
    NodePing,
    NodeReport,
    NodeTally,
    NumberedPage,
    Organization,
    Principal,
    RowChange,
    Token,
    User,
)
from twinplane.control.scope import DEFAULT_WORKSPACE, Actor, Page, Parent, Row, Scope
from twinplane.control.settings import ControlSettings
from twinplane.control.versions import Versions

if TYPE_CHECKING:
    from twinplane.control.control import Control

__all__ = [
    "DEFAULT_WORKSPACE",
    "Actor",
    "Change",
    "Control",
    "ControlPlane",
    "ControlSettings",
    "ExpectedHash",
    "Export",
    "ExportDelta",
    "ExportRow",
    "Node",
    "NodeAtEndOfLife",
    "NodeCertificate",
    "NodeHello",
    "NodeIssue",
    "NodePing",
    "NodeReport",
    "NodeTally",
    "NumberedPage",
    "Operation",
    "Organization",
    "Page",
    "Parent",
    "Principal",
    "Row",
    "RowChange",
    "Scope",
    "Token",
    "User",
    "Versions",
]

_NEEDS_THE_STORE = {"Control": "twinplane.control.control"}


def __getattr__(name: str) -> Any:
    """Load what needs the store only when it is asked for."""
    module = _NEEDS_THE_STORE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
