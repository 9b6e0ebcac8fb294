"""The Admin API face: what decK's gateway mode and other clients of a Kong node speak to."""

from __future__ import annotations

from collections.abc import Collection

from twinplane.api.admin.app import ADMIN_ACTOR, App
from twinplane.api.admin.nodes import Measures
from twinplane.api.core.face import BODY_BYTES_MAX
from twinplane.audit.accesses import Accesses
from twinplane.control import Actor, Control, Scope

__all__ = ["ADMIN_ACTOR", "App", "create_app"]


def create_app(
    control: Control,
    scope: Scope,
    *,
    allowed_origins: Collection[str] = (),
    actor: Actor = ADMIN_ACTOR,
    body_bytes_max: int = BODY_BYTES_MAX,
    accesses: Accesses | None = None,
    measures: Measures | None = None,
) -> App:
    """The Admin API of one control plane. Asks for no token: serve it on loopback only.

    `accesses` takes note of refused calls; `measures` is what `/metrics` tells beside the nodes.
    """
    return App(
        control,
        scope,
        allowed_origins=allowed_origins,
        actor=actor,
        body_bytes_max=body_bytes_max,
        accesses=accesses,
        measures=measures,
    )
