"""The console: the platform for people, at `cloud.{domain}` and at a bare address. Made by `create_app`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twinplane.audit.accesses import Accesses
from twinplane.control.addresses import PublishedAddresses
from twinplane.control.sessions import Sessions
from twinplane.settings.host_names import HostNames
from twinplane.web.console.app import App, Application
from twinplane.web.console.visit import AuditPort, Room

__all__ = ["App", "AuditPort", "Room", "create_app"]


def create_app(
    rooms: Mapping[str, Room],
    sessions: Sessions,
    hosts: HostNames,
    rest: Application,
    *,
    authority: Callable[[], str] = str,
    accesses: Accesses | None = None,
    published: Callable[[], PublishedAddresses] | None = None,
    threads: int = 8,
) -> App:
    """The pages of these regions; every request that is not for them goes on to `rest`.

    `authority` tells, when asked, the PEM that nodes verify this platform with; nothing where the system knows it.
    `accesses` writes down who signed in, was refused, or left. `published` tells the addresses of the installation.
    """
    return App(
        rooms, sessions, hosts, rest, authority=authority, accesses=accesses, published=published, threads=threads
    )
