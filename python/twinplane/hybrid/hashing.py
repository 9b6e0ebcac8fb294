"""The configuration hash of the hybrid protocol: a digest of a payload's table, the same on every implementation.

Pure. The text that is digested is fixed by the protocol, odd as parts of it are; see tests/unit/hybrid/test_hashing.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import md5

EMPTY_HASH = "0" * 32
"""What a node reports that has no configuration, and the part hash of an absent array."""

PARTS = ("routes", "services", "plugins", "upstreams", "targets")
_FOLD_BYTES = 1_000_000
_SHORT_ARRAY = 5


@dataclass(frozen=True, slots=True)
class Hashes:
    """The hash of a whole table and of the five arrays that nodes rebuild from."""

    config: str
    routes: str
    services: str
    plugins: str
    upstreams: str
    targets: str

    def as_message(self) -> dict[str, str]:
        """The `hashes` object of a `reconfigure` message."""
        return {name: getattr(self, name) for name in ("config", *PARTS)}


def hash_table(table: object) -> Hashes:
    """Hashes of a payload's `config_table`."""
    if not isinstance(table, Mapping):
        # A root that is no object has no parts; the protocol's own vectors hash such roots too.
        return Hashes(config=_digest(table), **dict.fromkeys(PARTS, EMPTY_HASH))
    parts = {name: _digest(table[name]) if name in table else EMPTY_HASH for name in PARTS}
    rest = _digest({key: value for key, value in table.items() if key not in parts})
    whole = _md5("".join([*parts.values(), rest]).encode())
    return Hashes(config=whole, **parts)


def config_hash(table: object) -> str:
    """The hash of a payload's `config_table` as nodes report it."""
    return hash_table(table).config


def _digest(value: object) -> str:
    text = bytearray()
    _write(text, value)
    return _md5(text)


def _write(text: bytearray, value: object) -> None:
    if len(text) > _FOLD_BYTES:
        text[:] = md5(text, usedforsecurity=False).digest()
    if isinstance(value, str):
        text += value.encode("utf-8", "surrogatepass")
    elif value is None:
        text += b"/null/"
    elif value is True:
        text += b"true"
    elif value is False:
        text += b"false"
    elif isinstance(value, int | float):
        text += _number(value)
    elif isinstance(value, Mapping):
        _write_object(text, value)
    elif isinstance(value, list | tuple):
        _write_array(text, value)
    else:
        raise TypeError(f"no hash of a {type(value).__name__}")


def _write_object(text: bytearray, value: Mapping[str, object]) -> None:
    if not value:
        text += b"{}"
        return
    for key in sorted(value):
        text += key.encode("utf-8", "surrogatepass")
        text += b":"
        _write(text, value[key])
        text += b";"


def _write_array(text: bytearray, value: list[object] | tuple[object, ...]) -> None:
    if not value:
        text += b"{}"
        return
    is_short = len(value) <= _SHORT_ARRAY
    for position, element in enumerate(value):
        if is_short and position:
            text += b";"
        _write(text, element)
        if not is_short:
            text += b";"


def _number(value: float) -> bytes:
    try:
        return b"%.14g" % value
    except OverflowError:
        return b"inf" if value > 0 else b"-inf"


def _md5(data: bytes | bytearray) -> str:
    return md5(data, usedforsecurity=False).hexdigest()
