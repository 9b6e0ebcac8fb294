"""The settings of the Admin API of a node without control plane, and what they dispute among each other."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from twinplane.settings.listeners import LISTENERS, Listener
from twinplane.settings.setting import LIST, SIZE, SWITCH, TEXT, Kind, Setting

ADMIN_LISTEN = "127.0.0.1:8001 reuseport backlog=16384, 127.0.0.1:8444 http2 ssl reuseport backlog=16384"
_TOKEN_LETTERS_MIN = 16
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")


def _read_hosts(text: str) -> tuple[str, ...]:
    hosts = LIST.read(text)
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ValueError(f"expected host names without port, got '{host}'")
    return hosts


_HOSTS: Kind[tuple[str, ...]] = Kind("list of host names", _read_hosts)

ADMIN: tuple[Setting, ...] = (
    Setting(
        "admin_listen",
        LISTENERS,
        ADMIN_LISTEN,
        "Where the Admin API of a node without control plane is served, with the flags of proxy_listen; off for "
        "nowhere. Other addresses than loopback need admin_token or admin_remote_access: docs/guides/db-less.md.",
    ),
    Setting(
        "admin_token",
        TEXT,
        "",
        "What callers of the Admin API have to send as Kong-Admin-Token or bearer token, at least 16 characters. "
        "Default: none is asked for.",
        secret=True,
    ),
    Setting(
        "admin_remote_access",
        SWITCH,
        "off",
        "Serve the Admin API to other machines although no admin_token is asked for: whoever reaches the port can read "
        "every secret and replace the configuration.",
    ),
    Setting(
        "admin_hosts",
        _HOSTS,
        "",
        "Names by which the Admin API may be called where no admin_token is asked for, besides loopback names and, "
        "with admin_remote_access, IP addresses. Others are refused: a web page can have its own name lead here.",
    ),
    Setting(
        "admin_origins",
        LIST,
        "",
        "Browser origins let into the Admin API; * for every one, as Kong does. Default: none.",
    ),
    Setting("admin_ssl_cert", LIST, "", "Certificates of admin_listen with ssl. Default: made at first start."),
    Setting("admin_ssl_cert_key", LIST, "", "Private keys of admin_ssl_cert, in the same order.", secret=True),
    Setting(
        "nginx_admin_client_max_body_size",
        SIZE,
        "10m",
        "Largest body that the Admin API takes, a posted configuration for one; four times as much at a time.",
    ),
)


def is_by_default(listeners: tuple[Listener, ...]) -> bool:
    """Whether nobody asked for these: where their ports are taken, the node serves without them."""
    return listeners == LISTENERS.read(ADMIN_LISTEN)


def admin_mistakes(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Setting and problem of everything that single values do not show."""
    if len(values["admin_ssl_cert"] or ()) != len(values["admin_ssl_cert_key"] or ()):
        yield "admin_ssl_cert", "must name as many files as admin_ssl_cert_key"
    token = values["admin_token"]
    if token is not None and (len(token) < _TOKEN_LETTERS_MIN or not token.isascii() or not token.isprintable()):
        yield "admin_token", f"must have at least {_TOKEN_LETTERS_MIN} printable ASCII characters"
    if values["role"] == "data_plane" or token is not None or values["admin_remote_access"]:
        return
    for listener in values["admin_listen"]:
        if not _is_loopback(listener.address):
            yield (
                "admin_listen",
                f"{listener.shown} is reached from other machines: give admin_token, or turn on admin_remote_access "
                "where something else keeps strangers out",
            )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address.lower().rstrip(".") == "localhost"
