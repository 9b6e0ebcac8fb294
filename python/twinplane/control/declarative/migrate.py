"""Brings a document of format 1.1 or 2.1 to 3.0: paths that look like regular expressions get their `~`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

FORMATS = ("1.1", "2.1", "3.0")
NEWEST = "3.0"

_PLAIN = re.compile(r"[a-zA-Z0-9._~/%-]*")
_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")
_RESERVED = frozenset(b"!*'();:@&=+$,/?%#[]")


def migrate(document: dict[str, Any]) -> None:
    """Change the paths of an older document, in place."""
    if document.get("_format_version") == NEWEST:
        return
    for route in _routes(document):
        paths = route.get("paths")
        if isinstance(paths, list):
            route["paths"] = [_migrated(path) if isinstance(path, str) else path for path in paths]


def _routes(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from _entries(document.get("routes"))
    for service in _entries(document.get("services")):
        yield from _entries(service.get("routes"))


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (entry for entry in value if isinstance(entry, dict))


def _migrated(path: str) -> str:
    if path.startswith("~"):
        return path
    if _PLAIN.fullmatch(path) is None:
        return f"~{path}"
    return _unescaped(path)


def _unescaped(path: str) -> str:
    """Escapes that stand for nothing reserved become what they stand for."""

    def replace(match: re.Match[bytes]) -> bytes:
        code = int(match.group(1), 16)
        return match.group(0).upper() if code in _RESERVED or code < 0x20 else unquote_to_bytes(match.group(0))

    raw = _ESCAPE.sub(replace, path.encode())
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return path
