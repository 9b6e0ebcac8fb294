"""The Konnect API face: control planes, nodes, identity, analytics, and core entities under a control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twinplane.api.konnect.app import KonnectApp, KonnectSettings
    from twinplane.control import Control
    from twinplane.control.analytics import Analytics

__all__ = ["create_app"]


def create_app(
    control: Control, *, settings: KonnectSettings | None = None, analytics: Analytics | None = None
) -> KonnectApp:
    """The Konnect API over a control room. Without `analytics` its two queries are absent."""
    # The framework loads when an application is made, not when a part of this face is looked at.
    from twinplane.api.konnect.app import KonnectApp, KonnectSettings  # noqa: PLC0415

    return KonnectApp(control, settings or KonnectSettings(), analytics)
