"""The one form of a path that everything decides by, and the form that goes upstream, stated plainly.

Text stands for bytes here: one character is one byte.
"""

from __future__ import annotations

import re

RESERVED = "!#$%&'()*+,/:;=?@[]"


def normal(path: str) -> str | None:
    """Escapes of unreserved bytes decoded, dot segments resolved, slashes merged. None: it is refused."""
    if not path.startswith("/") or "\0" in path or re.search(r"%(?![0-9A-Fa-f]{2})|%00", path):
        return None

    def decoded(escape: re.Match[str]) -> str:
        letter = chr(int(escape[1], 16))
        return escape[0].upper() if letter in RESERVED else letter

    segments: list[str] = []
    raw = re.sub("%([0-9A-Fa-f]{2})", decoded, path).split("/")[1:]
    for segment in raw:
        if segment == "..":
            if not segments:
                return None
            segments.pop()
        elif segment not in ("", "."):
            segments.append(segment)
    ends_open = raw[-1] in ("", ".", "..") and bool(segments)
    return "/" + "/".join(segments) + ("/" if ends_open else "")


def upstream(base: str, path: str, taken: int | None, *, strips: bool) -> str:
    """How a service's path and a request's are joined, by version 0 of path handling."""
    base = base or "/"
    if strips and taken is not None:
        rest = re.sub(r"^(\.\.?$|\.\.?/)", "", path[taken:])
        if not rest:
            if base == "/":
                return "/"
            if base.endswith("/"):
                return base if path.endswith("/") else base.removesuffix("/")
            return base + "/" if path.endswith("/") and len(path) > 1 else base
        return base.removesuffix("/") + "/" + rest.removeprefix("/")
    if base.endswith("/"):
        return base + path.removeprefix("/")
    return base if path == "/" else base + path


def escaped(path: str) -> str:
    """What a request line may not hold is escaped; what is escaped already stays."""
    kept = "-._~" + RESERVED.replace("?", "")

    def as_is(letter: str) -> bool:
        return (letter.isascii() and letter.isalnum()) or letter in kept

    return "".join(letter if as_is(letter) else f"%{ord(letter):02X}" for letter in path)
