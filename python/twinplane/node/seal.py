"""Seals what a node keeps on disk, with keys derived from the private key of its cluster certificate.

Every file has a key of its own (HKDF over a random salt), every piece of it a random nonce; what stands around a piece
is authenticated with it. Opens no file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from twinplane.node.errors import SealBroken

SALT_BYTES = 32
NONCE_BYTES = 12
KEY_ID_BYTES = 8
_TAG_BYTES = 16
OVERHEAD_BYTES = NONCE_BYTES + _TAG_BYTES


@dataclass(frozen=True, slots=True)
class SealKey:
    """One certificate key: its name, which says nothing about it, and the secret that file keys are derived from."""

    key_id: bytes
    secret: bytes = field(repr=False)


class FileSeal:
    """Seals and opens the pieces of one file."""

    def __init__(self, key: SealKey, salt: bytes, purpose: str) -> None:
        self.key_id = key.key_id
        self.salt = salt
        derived = HKDF(hashes.SHA256(), 32, salt, b"twinplane at rest: " + purpose.encode()).derive(key.secret)
        self._cipher = AESGCM(derived)

    def seal(self, data: bytes, around: bytes) -> bytes:
        """Nonce and sealed bytes. `around` must be the same when it is opened."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, around)

    def open(self, sealed: bytes, around: bytes) -> bytes:
        """What was sealed. Raises SealBroken where one bit of it, or of what stands around it, is another."""
        if len(sealed) < OVERHEAD_BYTES:
            raise SealBroken("a sealed piece is cut off")
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], around)
        except InvalidTag:
            raise SealBroken("a sealed piece is not as it was written") from None


class Keyring:
    """The keys of a node: files are sealed with the first and opened with any."""

    def __init__(self, keys: Sequence[SealKey]) -> None:
        """At least one key."""
        self._keys = tuple(keys)

    @property
    def newest_id(self) -> bytes:
        """Name of the key that new files are sealed with."""
        return self._keys[0].key_id

    def with_newest(self, key: SealKey) -> Keyring:
        """A ring that seals with `key`, and still opens what the keys before sealed."""
        return Keyring([key, *(one for one in self._keys if one.key_id != key.key_id)])

    def new_file(self, purpose: str) -> FileSeal:
        """For a file that is about to be written."""
        return FileSeal(self._keys[0], os.urandom(SALT_BYTES), purpose)

    def file(self, key_id: bytes, salt: bytes, purpose: str) -> FileSeal:
        """For a file that was written. Raises SealBroken where its key is none of this node's."""
        for key in self._keys:
            if key.key_id == key_id:
                return FileSeal(key, salt, purpose)
        raise SealBroken(f"it is sealed with another certificate key ({key_id.hex()}); this node has {self._names()}")

    def _names(self) -> str:
        return ", ".join(key.key_id.hex() for key in self._keys)


def read_keyring(keys: Sequence[str]) -> Keyring:
    """The ring of private keys in PEM, the newest first. Raises ValueError where one is unusable."""
    return Keyring([read_key(pem) for pem in keys])


def read_key(pem: str) -> SealKey:
    """The key of a private key in PEM, however it is written down. Raises ValueError where it is unusable."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except TypeError as error:
        raise ValueError("the private key is encrypted") from error
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    secret = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SealKey(hashlib.sha256(public).digest()[:KEY_ID_BYTES], secret)
