"""The Konnect API face: control planes, nodes, identity, analytics, and core entities under a control plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twinplane.api.core.face import BODY_BYTES_MAX
from twinplane.api.konnect.address_feed import AddressFeed
from twinplane.api.konnect.app import App
from twinplane.api.konnect.front import Front
from twinplane.audit.accesses import Accesses
from twinplane.control import Control
from twinplane.control.analytics import Analytics

__all__ = ["AddressFeed", "App", "Front", "create_app"]


def create_app(
    control: Control,
    *,
    analytics: Analytics | None = None,
    threads: int = 8,
    body_bytes_max: int = BODY_BYTES_MAX,
    accesses: Accesses | None = None,
    audit_counters: Callable[[], Mapping[str, Any]] | None = None,
) -> App:
    """The Konnect API over a control room. Without `analytics` its two queries are absent.

    `accesses` takes note of tokens and of refused calls; `audit_counters` tells how audit records fare.
    """
    return App(
        control,
        analytics=analytics,
        threads=threads,
        body_bytes_max=body_bytes_max,
        accesses=accesses,
        audit_counters=audit_counters,
    )
