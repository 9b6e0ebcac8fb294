"""What the settings of a node say of its way to the control plane: endpoints, TLS, forward proxy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twinplane.hybrid.dial import Endpoint, LinkTls
from twinplane.hybrid.forward_proxy import ForwardProxy
from twinplane.node.renewal import read_pem
from twinplane.settings import NodeSettings
from twinplane.settings.forward_proxy import read_proxy_server

_SYSTEM = "system"


def read_link_tls(settings: NodeSettings) -> LinkTls:
    """The node's certificate, and whom it trusts. Raises OSError, ValueError where a file cannot be read."""
    places: Sequence[str] = settings["lua_ssl_trusted_certificate"] or ()
    trusted = _trusted(places)
    if settings["cluster_ca_cert"]:
        trusted.append(read_pem(settings["cluster_ca_cert"]))
    return LinkTls(
        mode="shared" if settings["cluster_mtls"] == "shared" else "pki",
        certificate=read_pem(settings["cluster_cert"]),
        key=read_pem(settings["cluster_cert_key"]),
        trusted="\n".join(trusted),
        trusts_system=_SYSTEM in places,
    )


def read_endpoint(address: str, server_name: str | None) -> Endpoint:
    """An address as `host:port`, with the server name to ask for there."""
    host, _, port = address.rpartition(":")
    return Endpoint(host.strip("[]"), int(port), server_name or host.strip("[]"))


def read_forward_proxy(settings: NodeSettings) -> ForwardProxy | None:
    """The forward proxy, where one is to be used."""
    if not settings["cluster_use_proxy"]:
        return None
    address = read_proxy_server(settings["proxy_server"])
    places: Sequence[str] = settings["lua_ssl_trusted_certificate"] or ()
    return ForwardProxy(
        host=address.host,
        port=address.port,
        is_tls=address.is_tls,
        verifies=settings["proxy_server_ssl_verify"],
        trusted="\n".join(_trusted(places)),
        trusts_system=_SYSTEM in places,
        username=address.username,
        password=address.password,
    )


def _trusted(places: Sequence[str]) -> list[str]:
    return [Path(place).read_text(encoding="utf-8") for place in places if place != _SYSTEM]
