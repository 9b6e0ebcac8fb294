"""Tests of names, tags, header names, URLs and the like, with Kong's texts."""

import re
from urllib.parse import urlsplit
from uuid import UUID

_NOT_NAME = re.compile(r"[\x00-\x7f]")
_NAME_CHARACTER = re.compile(r"[A-Za-z0-9._~-]")
_NOT_TAG = re.compile(r"[\x00-\x1f\x7f,/]")
_HEADER = re.compile(r"[A-Za-z0-9_-]+")
_NOT_COOKIE = re.compile(r"""[\x00-\x20\x7f()<>@,;:\\"/?={}\[\]]""")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def bad_utf8(value: str) -> str | None:
    """Text that came from bytes which are not UTF-8 carries surrogates."""
    found = _SURROGATE.search(value)
    if found is None:
        return None
    place = len(value[: found.start()].encode()) + 1
    return f"invalid utf-8 character sequence detected at position {place}"


def bad_name(value: str) -> str | None:
    """A name that may stand in a path."""
    if any(_NAME_CHARACTER.fullmatch(char) is None for char in _NOT_NAME.findall(value)):
        return f"invalid value '{value}': the only accepted ascii characters are alphanumerics or ., -, _, and ~"
    return bad_utf8(value)


def bad_tag(value: str) -> str | None:
    """A tag."""
    if _NOT_TAG.search(value) or bad_utf8(value):
        return f"invalid tag '{value}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
    return None


def bad_header_name(value: str) -> str | None:
    """The name of an HTTP header."""
    if _HEADER.fullmatch(value):
        return None
    return f"bad header name '{value}', allowed characters are A-Z, a-z, 0-9, '_', and '-'"


def bad_cookie_name(value: str) -> str | None:
    """The name of a cookie."""
    if _NOT_COOKIE.search(value) is None:
        return None
    return (
        "contains one or more invalid characters. ASCII control characters (0-31;127), space, tab and the "
        'characters ()<>@,;:\\"/?={}[] are not allowed.'
    )


def bad_url(value: str) -> str | None:
    """A URL with scheme and host."""
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - raises on a bad port
    except ValueError:
        return "invalid url"
    return None if parts.scheme and parts.hostname else "missing host in url"


def bad_uuid_or_name(value: str) -> bool:
    """Whether the value is neither a UUID nor a name."""
    try:
        UUID(value)
    except ValueError:
        return bad_name(value) is not None
    return False


def bad_redirect_uri(value: str) -> str | None:
    """A URI to send a user back to: absolute, without a fragment."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return f"cannot parse '{value}'"
    if not parts.scheme or not (parts.netloc or parts.path):
        return f"cannot parse '{value}'"
    return f"fragment not allowed in '{value}'" if "#" in value else None
