"""`twinplane join`: makes a directory that a node starts from: a pinned certificate, and a `kong.conf` for the user.

`twinplane up` joins its own node the same way.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from cryptography import x509

from twinplane.cli.errors import StartError
from twinplane.cli.options import add_options, given_options
from twinplane.cli.platform_client import PlatformClient
from twinplane.cli.process import make_directory
from twinplane.node.authority import Authority, Identity, self_signed, write_private, write_whole
from twinplane.settings import load_process_settings
from twinplane.settings.join import JOIN
from twinplane.settings.network import LOOPBACK_NAMES

if TYPE_CHECKING:
    from twinplane.cli.up import Ports

CERTIFICATE_DAYS = 3650
CERTIFICATE_NAME = "twinplane-node"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `twinplane join`."""
    add_options(parser, JOIN)


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Join a node. Returns the exit status."""
    settings = load_process_settings(JOIN, given_options(options), environ)
    directory = settings["prefix"].absolute()
    token, authority = _read(settings["token-file"], "token-file").strip(), settings["ca"]
    host, port = _split(settings["address"])
    client = PlatformClient(host, port, authority, token, is_tls=True)
    make_directory(directory)
    try:
        control_plane = find_control_plane(client, settings["control-plane"])
        identity = _node_identity(directory)
        _pin(client, control_plane["id"], identity, f"node on {socket.gethostname()}"[:100])
    except OSError as error:
        raise StartError(f"{settings['address']}: cannot be reached: {error}") from error
    trusted = ["system"]
    if authority is not None:
        write_whole(directory / "ca.pem", _read(authority, "ca").encode(), 0o644)
        trusted.append(str(directory / "ca.pem"))
    dial = settings["dial"]
    if not dial and _host(control_plane["config"]["control_plane_endpoint"]).endswith(".localhost"):
        dial = settings["address"]
    link = _link_settings(control_plane, directory, dial=dial, trusted=trusted)
    _write_conf(
        directory, link, "Written by `twinplane join`; KONG_* and edits of this file are kept until the next one."
    )
    print(f"the node belongs to the control plane {control_plane['name']} ({control_plane['id']})")
    print(f"start it: twinplane data-plane -c {directory / 'kong.conf'}")
    return 0


def join_node(
    client: PlatformClient,
    directory: Path,
    *,
    domain: str,
    ports: Ports,
    address: str = "127.0.0.1",
    plugins: Sequence[str] = (),
    plugin_directory: Path | None = None,
) -> None:
    """Make `directory` ready for the node of `up`: certificates, and a `kong.conf` with its ports on `address`.

    Idempotent: a certificate that is there and still pinned is kept.
    """
    control_plane = find_control_plane(client, "default")
    _pin(client, control_plane["id"], _node_identity(directory), "node of twinplane up")
    authority = Authority(directory.parent)
    authority.leaf(directory / "proxy.pem", [*LOOPBACK_NAMES, f"*.{domain}"])
    # Plain resolvers do not know names under .localhost, so the node dials localhost and asks for the full name.
    dial = f"localhost:{ports.platform}"
    settings = {
        **_link_settings(control_plane, directory, dial=dial, trusted=["system", str(authority.certificate_path)]),
        "proxy_listen": f"{address}:{ports.proxy} reuseport, {address}:{ports.proxy_ssl} http2 ssl reuseport",
        "status_listen": f"127.0.0.1:{ports.status}",
        "ssl_cert": directory / "proxy.pem",
        "ssl_cert_key": directory / "proxy.key",
        "nginx_worker_processes": max(1, (os.cpu_count() or 1)),
    }
    if plugins:
        settings["plugins"] = ", ".join(plugins)
    if plugin_directory is not None:
        settings["python_plugin_directory"] = plugin_directory.absolute()
    _write_conf(directory, settings, "Written by `twinplane up` at each start.")


def _link_settings(
    control_plane: Mapping[str, Any], directory: Path, *, dial: str | None, trusted: list[str]
) -> dict[str, Any]:
    """What `kong.conf` says of the link. `dial` replaces the address of both endpoints, not their server names."""
    endpoints = {kind: control_plane["config"][f"{kind}_endpoint"] for kind in ("control_plane", "telemetry")}
    return {
        "role": "data_plane",
        "database": "off",
        "prefix": directory,
        "cluster_mtls": "pki",
        "cluster_control_plane": dial or _address(endpoints["control_plane"]),
        "cluster_server_name": _host(endpoints["control_plane"]),
        "cluster_telemetry_endpoint": dial or _address(endpoints["telemetry"]),
        "cluster_telemetry_server_name": _host(endpoints["telemetry"]),
        "cluster_cert": directory / "node.pem",
        "cluster_cert_key": directory / "node.key",
        "lua_ssl_trusted_certificate": ", ".join(trusted),
        "konnect_mode": "on",
    }


def _write_conf(directory: Path, settings: Mapping[str, Any], head: str) -> None:
    text = f"# {head}\n" + "".join(f"{name} = {_escaped(str(value))}\n" for name, value in settings.items())
    write_whole(directory / "kong.conf", text.encode(), 0o600)


def find_control_plane(client: PlatformClient, name: str) -> dict[str, Any]:
    """A control plane, by name or id. Raises StartError where there is none, or more than one."""
    page = client.call("GET", f"/v2/control-planes?{quote('filter[name][eq]', safe='=')}={quote(name, safe='')}")
    found: list[dict[str, Any]] = page["data"]
    if not found:
        found = [plane for plane in _all_control_planes(client) if plane["id"] == name]
    if not found:
        raise StartError(f"the control plane `{name}` does not exist")
    if len(found) > 1:
        raise StartError(f"several control planes are named `{name}`: give the id, one of", *(p["id"] for p in found))
    return found[0]


def _all_control_planes(client: PlatformClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = client.call("GET", f"/v2/control-planes?page%5Bsize%5D=100&page%5Bnumber%5D={len(found) // 100 + 1}")
        found += page["data"]
        if not page["data"] or len(found) >= page["meta"]["page"]["total"]:
            return found


def _node_identity(directory: Path) -> Identity:
    certificate_path, key_path = directory / "node.pem", directory / "node.key"
    if certificate_path.exists() and key_path.exists():
        return Identity(certificate_path.read_text(), key_path.read_text())
    identity = self_signed(CERTIFICATE_NAME, days=CERTIFICATE_DAYS, client=True)
    write_private(key_path, identity.key.encode())
    write_whole(certificate_path, identity.certificate.encode(), 0o644)
    return identity


def _pin(client: PlatformClient, control_plane_id: str, identity: Identity, title: str) -> None:
    path = f"/v2/control-planes/{control_plane_id}/dp-client-certificates"
    mine = x509.load_pem_x509_certificate(identity.certificate.encode())
    for pinned in client.call("GET", path)["items"]:
        if x509.load_pem_x509_certificate(pinned["cert"].encode()) == mine:
            return
    client.call("POST", path, {"cert": identity.certificate, "title": title})


def _host(endpoint: str) -> str:
    host = urlsplit(endpoint).hostname
    if host is None:
        raise StartError(f"the control plane names no usable endpoint: {endpoint}")
    return host


def _address(endpoint: str) -> str:
    return f"{_host(endpoint)}:{urlsplit(endpoint).port or 443}"


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"{name}: {path}: cannot be read: {error}") from error


def _escaped(value: str) -> str:
    return value.replace("#", "\\#")
