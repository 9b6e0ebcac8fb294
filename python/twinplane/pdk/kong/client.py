"""`kong.client`, `kong.router` and `kong.ip`: who asks, and by which route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinplane.pdk.kong.calls import BEFORE, Calling, UnsupportedCall, call


@call("kong.client.get_ip")
def _ip(calling: Calling) -> str:
    return calling.visit.fact("peer_ip")


@call("kong.client.get_forwarded_ip")
def _forwarded_ip(calling: Calling) -> str:
    return calling.visit.fact("client_ip")


@call("kong.client.get_port")
def _port(calling: Calling) -> int:
    return int(calling.visit.fact("peer_port"))


@call("kong.client.get_forwarded_port")
def _forwarded_port(calling: Calling) -> int:
    return int(calling.visit.fact("client_port"))


@call("kong.client.get_consumer")
def _consumer(calling: Calling) -> dict[str, Any] | None:
    return calling.visit.consumer()


@call("kong.client.get_credential")
def _credential(calling: Calling) -> dict[str, Any] | None:
    used = calling.visit.credential()
    if used is None:
        return None
    consumer = calling.visit.consumer()
    return {"id": used[1], **({"consumer": {"id": consumer["id"]}} if consumer else {})}


@call("kong.client.load_consumer", BEFORE)
def _load_consumer(calling: Calling, name: str, search_by_username: bool = False) -> dict[str, Any] | None:
    found = calling.visit.find_consumer("id", name)
    return calling.visit.find_consumer("username", name) if found is None and search_by_username else found


@call("kong.client.authenticate", BEFORE)
def _authenticate(
    calling: Calling, consumer: Mapping[str, Any] | None = None, credential: Mapping[str, Any] | None = None
) -> None:
    if consumer is None and credential is None:
        raise ValueError("either credential or consumer must be provided")
    used = None
    if credential is not None:
        shown = next((credential[key] for key in ("key", "username", "custom_id", "id") if credential.get(key)), "")
        used = (str(credential.get("id") or shown), str(shown))
    calling.visit.authenticate(None if consumer is None else str(consumer["id"]), used, [])


@call("kong.client.get_protocol")
def _protocol(calling: Calling, allow_terminated: bool = False) -> str:
    return calling.visit.fact("forwarded_scheme" if allow_terminated else "scheme")


@call("kong.router.get_route")
def _route(calling: Calling) -> dict[str, Any] | None:
    return calling.visit.route()


@call("kong.router.get_service")
def _service(calling: Calling) -> dict[str, Any] | None:
    return calling.visit.service()


@call("kong.ip.is_trusted")
def _is_trusted(calling: Calling, address: str) -> bool:
    if address != calling.visit.fact("peer_ip"):
        raise UnsupportedCall("kong.ip.is_trusted is supported by this gateway for the address of the connection alone")
    return bool(calling.visit.fact("is_trusted"))
