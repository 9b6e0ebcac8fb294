"""`proxy_server`: where a forward proxy is, and who asks it. Pure; no mistake told ever holds the password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlsplit

_PORTS = {"http": 80, "https": 443}
_LENGTH_MAX = 4096


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """A forward proxy as it was given; the credentials are decoded."""

    host: str
    port: int
    is_tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def read_proxy_server(text: str) -> ProxyAddress:
    """Read `http[s]://[user:password@]host[:port]`. Raises ValueError."""
    if len(text) > _LENGTH_MAX or any(ord(character) <= 32 or ord(character) == 127 for character in text):
        raise ValueError("must be a URL without blanks; encode them as %20")
    scheme, separator, _ = text.partition("://")
    if not separator:
        raise ValueError("must begin with http:// or https://")
    if scheme.lower() not in _PORTS:
        raise ValueError(f"must begin with http:// or https://, not {scheme}://")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        # The parser's own words may hold the password, where it stands at the wrong place.
        raise ValueError("host and port cannot be read; encode @ / ? # [ ] : in user and password") from error
    if not parts.hostname:
        raise ValueError("names no host")
    if port == 0:
        raise ValueError("the port must be from 1 to 65535")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must end after the port: a path, query or fragment means nothing to a proxy")
    if parts.hostname.startswith(".") or not re.fullmatch(r"[A-Za-z0-9._%:-]+", parts.hostname):
        raise ValueError("the host is neither a name nor an address")
    username = None if parts.username is None else _decoded(parts.username)
    if username is not None and ":" in username:
        raise ValueError("a user name with a colon cannot be sent (RFC 7617)")
    password = None if parts.password is None else _decoded(parts.password)
    if username == "" and not password:
        username = password = None
    is_tls = scheme.lower() == "https"
    return ProxyAddress(parts.hostname, port or _PORTS[scheme.lower()], is_tls, username, password)


def _decoded(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ValueError("a percent sign in user or password must be written %25")
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("user and password must be UTF-8 once they are decoded") from error
