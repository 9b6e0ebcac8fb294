"""Tests of paths: those of services and those that routes match, with Kong's texts."""

import re

from twinplane.schema.pcre import bad_pcre

_OUTSIDE = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_RESERVED = frozenset(b"!*'();:@&=+$,/?%#[]")


def bad_path(value: str) -> str | None:
    """A path of RFC 3986."""
    return bad_escape(value) or (
        f"invalid path: '{value}' (characters outside of the reserved list of RFC 3986 found)"
        if _OUTSIDE.search(value)
        else None
    )


def bad_escape(value: str) -> str | None:
    """A percent sign that begins no escape."""
    found = _ESCAPE.search(value)
    return None if found is None else f"invalid url-encoded value: '{found[0]}'"


def bad_route_path(value: str) -> str | None:
    """A path of a route: a prefix in normal form, or `~` and a regular expression."""
    if value.startswith("~"):
        wrong = bad_pcre(value[1:])
        return (
            None if wrong is None else f"invalid regex: '{value[1:]}' (PCRE returned: pcre2_compile() failed: {wrong})"
        )
    wrong = bad_escape(value)
    if wrong is not None:
        return wrong
    normal = normalised(value)
    return None if normal == value else f"non-normalized path, consider use '{normal}' instead"


def normalised(path: str) -> str:
    """The path with escapes of ordinary characters resolved and dot segments removed."""
    resolved = _ESCAPED.sub(_resolve, path.encode("utf-8", "surrogateescape"))
    return _without_dots(resolved.decode("utf-8", "surrogateescape"))


def _resolve(escape: re.Match[bytes]) -> bytes:
    byte = int(escape[1], 16)
    return escape[0].upper() if byte in _RESERVED else bytes((byte,))


def _without_dots(path: str) -> str:
    if "/." not in path:
        return path
    out: list[str] = []
    segments = path.split("/")[1:]
    for place, segment in enumerate(segments):
        last = place == len(segments) - 1
        if segment == "..":
            if out:
                out.pop()
        elif segment != ".":
            out.append(segment)
            continue
        if last:
            out.append("")
    return "/" + "/".join(out)
