"""The text of a config table: JSON with one row on each line, so that it can be taken apart without being decoded.

Rows are canonical JSON, which holds no line break. Peers that know nothing of this read it as any JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_HEAD = b'{"_format_version":"3.0","_transform":false'
_BETWEEN = b"\n,"


def join_table(collections: Iterable[tuple[str, Sequence[bytes]]]) -> bytes:
    """The text of a table. Collections without rows must have been left out."""
    parts = [_HEAD]
    for name, rows in collections:
        parts += [b'\n,"', name.encode(), b'":[\n', _BETWEEN.join(rows), b"\n]"]
    return b"".join([*parts, b"}"])


def cut_collection(text: bytes, name: str) -> list[bytes] | None:
    """The rows of one collection, undecoded; None for a text that is of another form."""
    if not text.startswith((_HEAD + b"\n", _HEAD + b"}")):
        return None
    mark = b'\n,"' + name.encode() + b'":[\n'
    begin = text.find(mark)
    return [] if begin < 0 else text[begin + len(mark) : text.find(b"\n]", begin)].split(_BETWEEN)


def cut_table(text: bytes) -> list[tuple[str, list[bytes]]] | None:
    """Collections and their rows, undecoded; None for a text that is of another form."""
    if not text.startswith(_HEAD):
        return None
    found: list[tuple[str, list[bytes]]] = []
    at = len(_HEAD)
    while text[at : at + 3] == b'\n,"':
        opened = text.find(b'":[\n', at)
        closed = text.find(b"\n]", opened + 3)
        if opened < 0 or closed < 0:
            return None
        found.append((text[at + 3 : opened].decode("ascii", "replace"), text[opened + 4 : closed].split(_BETWEEN)))
        at = closed + 2
    return found if text[at:] == b"}" else None
