"""What the settings of a node's own ports dispute among each other: listeners, ports, certificates, TLS. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twinplane.settings.admin import is_by_default
from twinplane.settings.listeners import overlaps
from twinplane.settings.tls import TlsChoice, choose_tls

_LISTENED = ("proxy_listen", "stream_listen", "status_listen", "admin_listen")


def serving_mistakes(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Setting and problem of everything that single values do not show."""
    if not values["proxy_listen"]:
        yield "proxy_listen", "must not be off on a node that proxies"
    listened = _LISTENED[:3] if values["role"] == "data_plane" else _LISTENED
    for count in range(2, len(listened) + 1):
        earlier, last = listened[: count - 1], listened[count - 1]
        # Those before have been told already.
        known = set(overlaps({name: values[name] or () for name in earlier}))
        for problem in overlaps({name: values[name] or () for name in listened[:count]}):
            if problem not in known:
                yield last, problem
    maps: dict[int, int] = {}
    for seen, listening in port_maps(values):
        if maps.setdefault(listening, seen) != seen:
            yield "host_ports", f"port {listening} is mapped to {maps[listening]} and to {seen}"
    try:
        tls_choice(values)
    except ValueError as error:
        name, _, problem = str(error).partition(": ")
        yield name, problem
    if values["client_ssl"] and not values["client_ssl_cert"]:
        yield "client_ssl_cert", "is required with client_ssl = on"
    if bool(values["client_ssl_cert"]) != bool(values["client_ssl_cert_key"]):
        yield "client_ssl_cert", "must be given together with client_ssl_cert_key"
    for name in ("ssl_cert", "status_ssl_cert"):
        if len(values[name] or ()) != len(values[f"{name}_key"] or ()):
            yield name, f"must name as many files as {name}_key"


def serving_warnings(values: Mapping[str, Any]) -> Iterator[str]:
    """What is served otherwise than it was asked for."""
    yield from tls_choice(values).warnings
    if any(listener.http2 for listener in values["status_listen"]):
        yield "status_listen: http2: the status port speaks HTTP/1.1 only"
    is_asked = values["role"] != "data_plane" and not is_by_default(values["admin_listen"])
    if is_asked and any(listener.http2 for listener in values["admin_listen"]):
        yield "admin_listen: http2: the Admin API speaks HTTP/1.1 only"


def tls_choice(values: Mapping[str, Any]) -> TlsChoice:
    """What is spoken with clients. Raises ValueError."""
    return choose_tls(
        values["ssl_cipher_suite"],
        values["ssl_ciphers"] or "",
        values["ssl_protocols"],
        prefers_own_order=values["ssl_prefer_server_ciphers"],
    )


def port_maps(values: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """Pairs of a port that clients see and the one that is listened on."""
    return (*(values["port_maps"] or ()), *(values["host_ports"] or ()))
