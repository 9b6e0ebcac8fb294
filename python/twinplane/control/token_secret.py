"""The text of an access token: `kpat_`, 256 random bits, and a checksum that tells a mistyped token from a wrong one.

Pure. The store keeps a keyed hash of the text; without the key file a copy of the store verifies nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import zlib
from pathlib import Path

from twinplane.store.errors import StoreUnreadable

PREFIX = "kpat_"
KEY_FILE = "token.key"

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH = 43
_CHECKSUM_LENGTH = 6
_KEY_BYTES = 32


def new_secret() -> str:
    """A fresh token: 43 letters and digits at random (256 bits) and 6 of checksum."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return f"{PREFIX}{random}{_checksum(random)}"


def is_well_formed(secret: str) -> bool:
    """Whether a text has the shape and the checksum of a token."""
    body = secret.removeprefix(PREFIX)
    if len(secret) - len(body) != len(PREFIX) or len(body) != _RANDOM_LENGTH + _CHECKSUM_LENGTH or not body.isascii():
        return False
    return hmac.compare_digest(_checksum(body[:_RANDOM_LENGTH]), body[_RANDOM_LENGTH:])


def keyed_hash(key: bytes, secret: str) -> str:
    """What the store keeps of a token."""
    return hmac.new(key, secret.encode(), hashlib.sha256).hexdigest()


def load_key(directory: Path, *, is_needed: bool) -> bytes:
    """The key of the hashes, from its file; made where there is none, unless tokens exist that need the old one."""
    path = directory / KEY_FILE
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        if is_needed:
            raise StoreUnreadable(path, "the key that verifies tokens is missing; restore it with its store") from None
        return _make_key(path)
    except OSError as error:
        raise StoreUnreadable(path, error.strerror or str(error)) from error
    if len(key) != _KEY_BYTES:
        raise StoreUnreadable(path, "the key that verifies tokens is damaged; restore it with its store")
    return key


def _make_key(path: Path) -> bytes:
    key = secrets.token_bytes(_KEY_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, stat.S_IRUSR | stat.S_IWUSR)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreUnreadable(path, error.strerror or str(error)) from error
    return key


def _checksum(random: str) -> str:
    number = zlib.crc32(random.encode())
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
