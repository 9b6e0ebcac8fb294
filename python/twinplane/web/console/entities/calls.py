"""A request that a route takes, as a command to try it with. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

LOCAL = "http://localhost:8000"
"""Where a node on this machine listens unless told otherwise."""


def call_of(route: Mapping[str, Any], proxies: Sequence[Mapping[str, Any]]) -> str:
    """A curl that the route matches; empty where its conditions are an expression or of another protocol.

    `proxies` are the addresses that the control plane says its nodes have.
    """
    if route.get("expression") or not {"http", "https"} & set(route.get("protocols") or ()):
        return ""
    plain = [path for path in route.get("paths") or ["/"] if not path.startswith("~")]
    hosts = [host for host in route.get("hosts") or () if "*" not in host]
    methods = route.get("methods") or ["GET"]
    if not plain or (route.get("hosts") and not hosts):
        return ""
    words = ["curl", "-i"]
    if "GET" not in methods:
        words += ["-X", methods[0]]
    if hosts:
        words += ["-H", f"Host: {hosts[0]}"]
    for name, values in (route.get("headers") or {}).items():
        if values and values[0].startswith("~*"):
            return ""
        words += ["-H", f"{name}: {values[0] if values else ''}"]
    return shlex.join([*words, f"{_address(proxies)}{plain[0]}"])


def _address(proxies: Sequence[Mapping[str, Any]]) -> str:
    if not proxies:
        return LOCAL
    first = proxies[0]
    return f"{first['protocol']}://{first['host']}:{first['port']}"
