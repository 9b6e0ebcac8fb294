"""One connection of the link server, from its first byte on: who it is, and what its upgrade is answered."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import struct

from websockets.http11 import Request

from twinplane.hybrid.audit_key import Sender
from twinplane.hybrid.errors import IdentityRefused
from twinplane.hybrid.frames import FrameStream
from twinplane.hybrid.identity import Admission, Presented, Use
from twinplane.hybrid.refusals import NO_CERTIFICATE
from twinplane.hybrid.rpc.server import RpcSession
from twinplane.hybrid.session import ConfigSession
from twinplane.hybrid.wire import NodeQuery

_log = logging.getLogger(__name__)


class Link:
    """One connection, from its first byte on."""

    def __init__(self) -> None:
        self.presented: Presented | None = None
        self.use: Use = "cp0"
        self.admission: Admission | None = None
        self.query: NodeQuery | None = None
        self.stream: FrameStream | None = None
        self.session: ConfigSession | RpcSession | None = None
        self.holds: str | None = None
        """The certificate that it counts for, once it was let in."""

    def node(self) -> str:
        """What the peer calls itself; empty where it has not said so."""
        return self.query.node_id if self.query is not None else ""

    def peer(self) -> str:
        """What tells this peer from others: its certificate, its address where it shows none."""
        if self.presented is None:
            return "unknown"
        return self.presented.fingerprint or self.presented.ip

    def ip(self) -> str:
        """Where the peer is."""
        return self.presented.ip if self.presented is not None else ""

    def sender(self) -> Sender | None:
        """Which node it is, once it was let in and has said so."""
        if self.query is None or self.admission is None or self.presented is None:
            return None
        scope, certificate = self.admission.control_plane.scope, self.admission.certificate_id
        return Sender(
            scope.organization_id, scope.control_plane_id, self.query.node_id, certificate, self.presented.fingerprint
        )

    def cut(self, reason: str) -> None:
        """End it."""
        if self.stream is not None:
            _log.warning("link_cut reason=%s %s", reason, self.who())
            self.stream.abort()

    def who(self) -> str:
        """Who it is, for a log line."""
        parts = []
        if self.query is not None:
            parts.append(f"node={self.query.node_id}")
        if self.admission is not None:
            parts.append(f"control_plane={self.admission.control_plane.id}")
        if self.presented is not None:
            certificate = self.presented.fingerprint[:16] or "none"
            parts.append(f"ip={self.presented.ip} sni={self.presented.server_name} certificate={certificate}")
        return " ".join(parts)


def message_body(text: str) -> str:
    """The JSON that tells a peer why it is refused."""
    return json.dumps({"message": text})


def refusal_text(error: IdentityRefused) -> str:
    """What a peer is told that is not let in: less than the log."""
    if error.code == NO_CERTIFICATE:
        return "no client certificate provided in request"
    return "client certificate authentication failed"


def single_headers(request: Request) -> dict[str, str]:
    """Header fields by name; repeated ones joined, as one list."""
    joined: dict[str, str] = {}
    for name, value in request.headers.raw_items():
        key = name.title()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined


def is_same_user(connected: socket.socket | None) -> bool:
    """Whether the other end of a Unix socket is a process of this user; where that cannot be asked, yes."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None or connected is None:
        return True
    with contextlib.suppress(OSError):
        _, uid, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, option, 12))
        return bool(uid == os.getuid())
    return False
