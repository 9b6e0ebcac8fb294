"""The listeners of one of a node's own ports, by the settings of its name: opened, changed while they serve, closed.

A change is prepared whole, with sockets that are bound and certificates that are read, and only then put in force.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from twinplane.node.authority import Identity
from twinplane.node.errors import NodeStartError
from twinplane.node.http import HttpServer
from twinplane.node.http_listener import HttpListener
from twinplane.node.served_certificates import load_identities, served_certificates, server_context
from twinplane.node.sockets import open_socket, resolved
from twinplane.settings import Listener, NodeSettings
from twinplane.settings.tls import TlsChoice

_log = logging.getLogger("node")


@dataclass(slots=True)
class _Tls:
    """What a port begins connections with, and what that was made of."""

    context: ssl.SSLContext
    identities: Sequence[Identity]
    choice: TlsChoice


@dataclass(slots=True)
class PortChange:
    """What other settings make of a port. Nothing of it is in force yet."""

    kept: list[tuple[HttpListener, Listener]] = field(default_factory=list)
    closed: list[HttpListener] = field(default_factory=list)
    opened: list[tuple[socket.socket, Listener]] = field(default_factory=list)
    tls: _Tls | None = None
    problems: list[str] = field(default_factory=list)
    """Listeners that cannot be had."""

    def withdraw(self) -> None:
        """Give back what was bound for it."""
        for opened, _ in self.opened:
            opened.close()
        self.opened.clear()


class OwnPort:
    """The listeners of `status_listen`, or of another such setting, on one server."""

    def __init__(self, name: str, server: HttpServer, prefix: Path, *, made: str) -> None:
        """`name` is what its settings begin with, `made` the name of a certificate that is made where none is given."""
        self._name = name
        self._server = server
        self._prefix = prefix
        self._made = made
        self._tls: _Tls | None = None

    @property
    def ports(self) -> list[int]:
        """The ports that are listened on."""
        return [listener.port for listener in self._server.listeners]

    def prepare(self, settings: NodeSettings) -> PortChange:
        """What these settings make of the port. Blocks. Raises NodeStartError where certificates cannot be used."""
        wanted: tuple[Listener, ...] = settings[f"{self._name}_listen"]
        change = PortChange()
        if any(listener.tls for listener in wanted):
            change.tls = self._tls_of(settings)
        change.closed = [*self._server.listeners]
        for asked in wanted:
            try:
                for each in resolved([asked]):
                    self._place(each, change)
            except OSError as error:
                name = f"{self._name}_listen {asked.shown}"
                change.problems.append(f"{name}: cannot be listened on: {error.strerror}")
        return change

    def serves(self, settings: NodeSettings) -> bool:
        """Whether it presents what the files of these settings hold. Blocks. Raises NodeStartError."""
        return self._tls is None or self._tls_of(settings) is self._tls

    def use(self, change: PortChange) -> None:
        """Put a change in force: what is new is there before what is old goes."""
        self._tls = change.tls
        context = change.tls.context if change.tls else None
        for opened, settings in change.opened:
            listener = self._server.take_from(opened, settings, context if settings.tls else None)
            event = f"{self._name}_listening"
            _log.info("%s address=%s port=%d tls=%s", event, settings.address, listener.port, settings.tls)
        change.opened.clear()
        for listener, settings in change.kept:
            listener.change(settings, context if settings.tls else None)
        for listener in change.closed:
            self._server.leave(listener)
            event = f"{self._name}_listener_closed"
            _log.info("%s address=%s port=%d", event, listener.settings.address, listener.port)

    def renew(self, identities: Sequence[Identity]) -> None:
        """Present other certificates from the next handshake on. Blocks. Raises ValueError."""
        if self._tls is None:
            return
        try:
            load_identities(self._tls.context, identities)
        except ssl.SSLError as error:
            raise ValueError(str(error)) from error
        self._tls.identities = identities

    # A listener is the same where it stands at the same address and port; any free port is as good as another.
    def _place(self, wanted: Listener, change: PortChange) -> None:
        place = (wanted.address, wanted.port)
        for listener in change.closed:
            if (listener.settings.address, listener.settings.port) == place:
                change.closed.remove(listener)
                change.kept.append((listener, wanted))
                return
        change.opened.append((open_socket(wanted), wanted))

    def _tls_of(self, settings: NodeSettings) -> _Tls:
        name = f"{self._name}_ssl_cert"
        identities = served_certificates(settings, name, self._prefix, self._made)
        before = self._tls
        if before is not None and (list(before.identities), before.choice) == (identities, settings.tls):
            return before
        try:
            return _Tls(server_context(identities, settings.tls), identities, settings.tls)
        except ssl.SSLError as error:
            raise NodeStartError(f"{name}, {name}_key: cannot be used: {error}") from error
