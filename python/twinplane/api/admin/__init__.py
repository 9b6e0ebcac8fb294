"""The Admin API face: what decK's gateway mode and other clients of a Kong node speak to."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twinplane.api.admin.app import AdminApp
    from twinplane.control import Actor, Control, Scope

__all__ = ["create_app"]


def create_app(
    control: Control,
    scope: Scope,
    *,
    allowed_origins: Collection[str] = (),
    actor: Actor | None = None,
    body_bytes_max: int | None = None,
) -> AdminApp:
    """The Admin API of one control plane. Asks for no token: serve it on loopback only."""
    # The registry is read when an application is made, not when a part of this face is looked at.
    from twinplane.api.admin.app import ADMIN_ACTOR, AdminApp  # noqa: PLC0415
    from twinplane.api.core.face import BODY_BYTES_MAX  # noqa: PLC0415

    return AdminApp(
        control,
        scope,
        allowed_origins=allowed_origins,
        actor=actor or ADMIN_ACTOR,
        body_bytes_max=body_bytes_max or BODY_BYTES_MAX,
    )
