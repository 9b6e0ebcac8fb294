"""A question about a stream, from what people write to what the core takes. Every mistake is told beside the others."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Any

PROTOCOLS = ("tcp", "tls", "tls_passthrough", "udp")
_ENDS = {"source": "client", "destination": "listener"}
# What only requests have.
_OF_REQUESTS = ("method", "scheme", "host", "path", "headers", "consumer", "http2")


def is_of_stream(asked: Mapping[str, Any]) -> bool:
    """Whether a question names a protocol, or a URL that begins with one of streams."""
    return asked.get("protocol") is not None or _scheme(asked) in PROTOCOLS


def read_ends(asked: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Addresses and ports of `source` and `destination`, and what is wrong with these."""
    found: dict[str, Any] = {}
    mistakes = []
    for name, side in _ENDS.items():
        if asked.get(name) is None:
            continue
        doubles = [field for field in (f"{side}_ip", f"{side}_port") if asked.get(field) is not None]
        if doubles:
            mistakes.append(f"{name}: not beside {' and '.join(doubles)}")
        try:
            address, port = _end(asked[name])
        except ValueError:
            mistakes.append(f"{name}: expected an address and a port, as in 10.0.0.1:9000 or [::1]:9000")
            continue
        found |= {f"{side}_ip": address, f"{side}_port": port}
    return found, mistakes


def stream_question(asked: Mapping[str, Any], *, given: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """What the core is asked, and what is wrong with the question. The ends are read before.

    `given` are the names of all fields, also of those that are wrong by themselves.
    """
    mistakes = [f"{name}: streams have none" for name in _OF_REQUESTS if asked.get(name) is not None]
    protocol = asked.get("protocol")
    if protocol is not None and protocol not in PROTOCOLS:
        mistakes.append(f"protocol: expected {', '.join(PROTOCOLS[:-1])} or {PROTOCOLS[-1]}, not {protocol}")
    by_url: dict[str, Any] = {}
    if asked.get("url") is not None:
        by_url, wrong = _of_url(asked["url"], protocol)
        mistakes += wrong
    protocol = protocol or by_url.get("protocol")
    question = by_url | {
        name: asked[name]
        for name in ("protocol", "sni", "client_ip", "client_port", "listener_ip", "listener_port")
        if asked.get(name) is not None
    }
    if question.get("sni") is not None and protocol in ("tcp", "udp"):
        mistakes.append(f"sni: there is none without TLS, and this is {protocol}")
    if not {"listener_port", "destination", "url"} & set(given):
        mistakes.append("listener_port: expected, for routes go by it (or destination)")
    return question | {"considered_max": asked.get("considered", 20)}, mistakes


def _of_url(url: str, protocol: str | None) -> tuple[dict[str, Any], list[str]]:
    """`tls://name-or-address:port`: what it tells, and what is wrong with it."""
    scheme, _, rest = url.partition("://")
    mistakes = []
    if scheme not in PROTOCOLS:
        return {}, [f"url: expected to begin with {protocol if protocol in PROTOCOLS else 'tcp'}:// beside protocol"]
    if protocol is not None and protocol != scheme:
        mistakes.append(f"url: begins with {scheme}://, and protocol is {protocol}")
    host, colon, digits = rest.rpartition(":")
    if not colon or not host or not _is_port(digits):
        return {}, [*mistakes, f"url: expected {scheme}://HOST:PORT, with the port of the listener"]
    told: dict[str, Any] = {"protocol": scheme, "listener_port": int(digits)}
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if is_address(bare):
        told["listener_ip"] = bare
    elif scheme in ("tcp", "udp"):
        mistakes.append(f"url: {scheme} carries no name; expected an address, not {host}")
    else:
        told["sni"] = host
    return told, mistakes


def is_address(text: str) -> bool:
    """Whether it is an address, of either kind."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _end(text: str) -> tuple[str, int]:
    """`address:port`. Raises ValueError."""
    host, _, digits = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (":" in bare) != (bare != host) or not is_address(bare) or not _is_port(digits):
        raise ValueError(text)
    return bare, int(digits)


def _is_port(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and len(digits) <= 5 and int(digits) <= 65535


def _scheme(asked: Mapping[str, Any]) -> str:
    url = asked.get("url")
    return url.partition("://")[0] if isinstance(url, str) else ""
