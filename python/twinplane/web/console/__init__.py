"""The console: the platform for people, at `cloud.{domain}` and at a bare address. Made by `create_app`."""

from __future__ import annotations

from collections.abc import Mapping

from twinplane.control.sessions import Sessions
from twinplane.settings.host_names import HostNames
from twinplane.web.console.app import App, Application
from twinplane.web.console.visit import Room

__all__ = ["App", "Room", "create_app"]


def create_app(
    rooms: Mapping[str, Room], sessions: Sessions, hosts: HostNames, rest: Application, *, threads: int = 8
) -> App:
    """The pages of these regions; every request that is not for them goes on to `rest`."""
    return App(rooms, sessions, hosts, rest, threads=threads)
