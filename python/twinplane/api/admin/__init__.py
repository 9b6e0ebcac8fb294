"""The Admin API face: what decK's gateway mode and other clients of a Kong node speak to.

Loads with what is asked for: that of a control plane needs its store, that of a node without one (`dbless`) must not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinplane.api.admin.app import ADMIN_ACTOR, App, create_app

__all__ = ["ADMIN_ACTOR", "App", "create_app"]


def __getattr__(name: str) -> Any:
    """Load the face of a control plane only when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("twinplane.api.admin.app"), name)
