"""The face of ingress controllers: entities, nodes and the licence of their control plane, by client certificate."""

from __future__ import annotations

from twinplane.api.core.face import BODY_BYTES_MAX
from twinplane.api.kic.app import App, Application
from twinplane.control import Control

__all__ = ["App", "create_app"]


def create_app(control: Control, rest: Application, *, threads: int = 8, body_bytes_max: int = BODY_BYTES_MAX) -> App:
    """What ingress controllers ask for; everything else goes on to `rest`."""
    return App(control, rest, threads=threads, body_bytes_max=body_bytes_max)
