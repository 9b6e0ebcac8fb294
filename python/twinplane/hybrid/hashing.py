"""The configuration hash of the hybrid protocol: a digest of a payload's table, the same on every implementation.

Pure. The text that is digested is fixed by the protocol, odd as parts of it are; see tests/unit/hybrid/test_hashing.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5

import orjson

EMPTY_HASH = "0" * 32
"""What a node reports that has no configuration, and the part hash of an absent array."""

PARTS = ("routes", "services", "plugins", "upstreams", "targets")
REST = "rest"
"""The part that holds everything else."""
_FOLD_BYTES = 1_000_000
# Longer rows have no text of their own: where it is folded depends on what is before it.
_TEXT_OF_ROW_MAX = 262_144
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
    return combine_parts(hash_parts(table, (*PARTS, REST)))


def hash_parts(table: Mapping[str, object], names: Iterable[str]) -> dict[str, str]:
    """Hashes of some parts of a table."""
    found: dict[str, str] = {}
    for name in names:
        if name == REST:
            found[name] = _digest({key: value for key, value in table.items() if key not in PARTS})
        else:
            found[name] = _digest(table[name]) if name in table else EMPTY_HASH
    return found


def combine_parts(parts: Mapping[str, str]) -> Hashes:
    """The hashes of a table whose parts have these."""
    named = {name: parts[name] for name in PARTS}
    return Hashes(config=_md5("".join([*named.values(), parts[REST]]).encode()), **named)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An array of rows in JSON whose texts are known; it hashes as the array of what they say."""

    rows: Sequence[bytes]
    texts: Sequence[bytes]


def row_text(row: bytes) -> bytes:
    """What a row adds to the text that is hashed; empty for a row that is too long to have one."""
    if len(row) > _TEXT_OF_ROW_MAX:
        return b""
    text = bytearray()
    _write(text, orjson.loads(row))
    return bytes(text)


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
    elif isinstance(value, Prepared):
        _write_prepared(text, value)
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


def _write_prepared(text: bytearray, value: Prepared) -> None:
    if not value.rows:
        text += b"{}"
        return
    is_short = len(value.rows) <= _SHORT_ARRAY
    for position, known in enumerate(value.texts):
        if is_short and position:
            text += b";"
        if known and len(text) + len(known) <= _FOLD_BYTES:
            # It cannot be folded anywhere within.
            text += known
        else:
            _write(text, orjson.loads(value.rows[position]))
        if not is_short:
            text += b";"


def _number(value: float) -> bytes:
    try:
        return b"%.14g" % value
    except OverflowError:
        return b"inf" if value > 0 else b"-inf"


def _md5(data: bytes | bytearray) -> str:
    return md5(data, usedforsecurity=False).hexdigest()
