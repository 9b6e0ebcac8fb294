"""The face of ingress controllers: entities, nodes and the licence of their control plane, by client certificate."""

from __future__ import annotations

from twinplane.api.core.face import BODY_BYTES_MAX
from twinplane.api.kic.app import Admit, App, Application
from twinplane.audit.accesses import Accesses
from twinplane.control import Control

__all__ = ["App", "create_app"]


def create_app(
    control: Control,
    rest: Application,
    admit: Admit,
    *,
    accesses: Accesses | None = None,
    threads: int = 8,
    body_bytes_max: int = BODY_BYTES_MAX,
) -> App:
    """What ingress controllers ask for, of those that `admit` lets in; everything else goes on to `rest`."""
    return App(control, rest, admit, accesses=accesses, threads=threads, body_bytes_max=body_bytes_max)
