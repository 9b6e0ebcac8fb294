"""Joins the node of `up` to its control plane: a pinned certificate, and a `kong.conf` as a user would write it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from cryptography import x509

from twinplane.cli.errors import StartError
from twinplane.cli.platform_client import PlatformClient
from twinplane.node.authority import Authority, Identity, self_signed, write_private, write_whole
from twinplane.settings.network import LOOPBACK_NAMES

if TYPE_CHECKING:
    from twinplane.cli.up import Ports

CERTIFICATE_DAYS = 3650


def join_node(client: PlatformClient, directory: Path, *, domain: str, ports: Ports) -> None:
    """Make `directory` ready for a node of the control plane `default`: certificates and `kong.conf`.

    Idempotent: a certificate that is there and still pinned is kept.
    """
    control_plane = _default_control_plane(client)
    identity = _node_identity(directory)
    _pin(client, control_plane["id"], identity)
    config_host = _host(control_plane["config"]["control_plane_endpoint"])
    telemetry_host = _host(control_plane["config"]["telemetry_endpoint"])
    authority = Authority(directory.parent)
    authority.leaf(directory / "proxy.pem", [*LOOPBACK_NAMES, f"*.{domain}"])
    settings = {
        "role": "data_plane",
        "database": "off",
        "prefix": directory,
        "cluster_mtls": "pki",
        # Plain resolvers do not know names under .localhost, so the node dials localhost and asks for the full name.
        "cluster_control_plane": f"localhost:{ports.platform}",
        "cluster_server_name": config_host,
        "cluster_telemetry_endpoint": f"localhost:{ports.platform}",
        "cluster_telemetry_server_name": telemetry_host,
        "cluster_cert": directory / "node.pem",
        "cluster_cert_key": directory / "node.key",
        "lua_ssl_trusted_certificate": f"system, {authority.certificate_path}",
        "konnect_mode": "on",
        "proxy_listen": f"0.0.0.0:{ports.proxy} reuseport, 0.0.0.0:{ports.proxy_ssl} http2 ssl reuseport",
        "status_listen": f"127.0.0.1:{ports.status}",
        "ssl_cert": directory / "proxy.pem",
        "ssl_cert_key": directory / "proxy.key",
        "nginx_worker_processes": max(1, (os.cpu_count() or 1)),
    }
    text = "# Written by `twinplane up` at each start.\n"
    text += "".join(f"{name} = {_escaped(str(value))}\n" for name, value in settings.items())
    write_whole(directory / "kong.conf", text.encode(), 0o600)


def _default_control_plane(client: PlatformClient) -> dict[str, Any]:
    found = client.call("GET", f"/v2/control-planes?{quote('filter[name][eq]', safe='=')}=default")["data"]
    if not found:
        raise StartError("the control plane `default` does not exist")
    first: dict[str, Any] = found[0]
    return first


def _node_identity(directory: Path) -> Identity:
    certificate_path, key_path = directory / "node.pem", directory / "node.key"
    if certificate_path.exists() and key_path.exists():
        return Identity(certificate_path.read_text(), key_path.read_text())
    identity = self_signed("twinplane-node", days=CERTIFICATE_DAYS, client=True)
    write_private(key_path, identity.key.encode())
    write_whole(certificate_path, identity.certificate.encode(), 0o644)
    return identity


def _pin(client: PlatformClient, control_plane_id: str, identity: Identity) -> None:
    path = f"/v2/control-planes/{control_plane_id}/dp-client-certificates"
    mine = x509.load_pem_x509_certificate(identity.certificate.encode())
    for pinned in client.call("GET", path)["items"]:
        if x509.load_pem_x509_certificate(pinned["cert"].encode()) == mine:
            return
    client.call("POST", path, {"cert": identity.certificate, "title": "node of twinplane up"})


def _host(endpoint: str) -> str:
    host = urlsplit(endpoint).hostname
    if host is None:
        raise StartError(f"the control plane names no usable endpoint: {endpoint}")
    return host


def _escaped(value: str) -> str:
    return value.replace("#", "\\#")
