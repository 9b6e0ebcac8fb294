"""Control planes whose configuration an ingress controller uploads: who may write there. Pure."""

from __future__ import annotations

from typing import Final

from twinplane.control.errors import ReadOnly
from twinplane.control.scope import Actor
from twinplane.store.sql import ControlPlaneRow

INGRESS_TYPE: Final = "CLUSTER_TYPE_K8S_INGRESS_CONTROLLER"
CONTROLLER: Final = "ingress-controller"
"""The kind of actor that an ingress controller is, in the history."""

_WRITERS: Final = frozenset({CONTROLLER, "system"})
GIVEN: Final = frozenset({"licenses"})
"""A licence is given to a controller; it never uploads one."""


def check_may_write(plane: ControlPlaneRow, actor: Actor, type_name: str) -> None:
    """Everyone but the controller only reads what it uploads. Raises ReadOnly."""
    if plane.cluster_type == INGRESS_TYPE and actor.kind not in _WRITERS and type_name not in GIVEN:
        raise ReadOnly(plane.id)
