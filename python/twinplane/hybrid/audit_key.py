"""The frame by which a control plane hands a node the key of its audit lines. Between two twinplanes only.

A node asks for it by a header of its upgrade; a peer that does not know the header never sees the frame.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import orjson

from twinplane.hybrid.errors import FrameInvalid
from twinplane.hybrid.frames import FrameStream

AUDIT_HEADER = "Twinplane-Audit"
AUDIT_VERSION = "1"
_TYPE = "audit_key"
_BEGINNING = b'{"type":"audit_key"'
_FRAME_BYTES_MAX = 4096
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class AuditKey:
    """A key, and where the lines that it signs are taken. The port is the one that nodes see."""

    id: str
    secret: bytes
    port: int


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: what the link knows of a node. `certificate_id` is None where an authority vouches for it."""

    organization_id: str
    control_plane_id: str
    node_id: str
    certificate_id: str | None
    fingerprint: str


class KeyOffice(Protocol):
    """Hands out keys; called on the event loop."""

    async def issue(self, sender: Sender) -> AuditKey | None:
        """A new key for a node that has just connected; None where no lines are taken."""

    def release(self, sender: Sender, key: AuditKey) -> None:
        """The link that the key was made for has ended."""


class LinkWitness(Protocol):
    """Is told what becomes of links; called on the event loop, and never waits."""

    def joined(self, sender: Sender, ip: str, version: str) -> None:
        """A node's link is up."""

    def left(self, sender: Sender, ip: str) -> None:
        """It has ended."""

    def refused(self, reason: str, *, ip: str, server_name: str, fingerprint: str) -> None:
        """A peer was not let in."""


@contextlib.asynccontextmanager
async def handing_key(office: KeyOffice | None, sender: Sender, stream: FrameStream) -> AsyncIterator[None]:
    """Hand the node at the other end a key that is its own for as long as the block runs. Raises LinkError."""
    key = None if office is None else await office.issue(sender)
    if office is None or key is None:
        yield
        return
    try:
        await stream.send_binary(encode_audit_key(key))
        yield
    finally:
        office.release(sender, key)


def encode_audit_key(key: AuditKey) -> bytes:
    """The frame."""
    secret = base64.b64encode(key.secret).decode()
    return orjson.dumps({"type": _TYPE, "id": key.id, "secret": secret, "port": key.port})


def decode_audit_key(frame: bytes) -> AuditKey | None:
    """The key in a frame; None for any other frame. Raises FrameInvalid."""
    if not frame.startswith(_BEGINNING):
        return None
    if len(frame) > _FRAME_BYTES_MAX:
        raise FrameInvalid("an audit key frame that is too large")
    try:
        body = orjson.loads(frame)
        secret = base64.b64decode(body["secret"], validate=True)
        key = AuditKey(body["id"], secret, body["port"])
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise FrameInvalid("an audit key frame that cannot be read") from error
    is_id = isinstance(key.id, str) and key.id.isascii() and key.id.isalnum() and len(key.id) <= 64
    if not is_id or len(secret) != _SECRET_BYTES or type(key.port) is not int or not 0 < key.port < 65536:
        raise FrameInvalid("an audit key frame with a wrong value")
    return key
