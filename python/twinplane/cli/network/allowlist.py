"""`twinplane network allowlist`: every host, port, transport and direction that a network must let through, and why.

For control planes that are named it asks the API for their hosts and types; without that, for whatever there may be.
"""

from __future__ import annotations

import argparse
import http.client
import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from twinplane.cli.errors import StartError
from twinplane.cli.network.network_policy import network_policy
from twinplane.cli.platform_client import PlatformClient
from twinplane.settings import Mistake, SettingsError
from twinplane.settings.allowlist import Plane, Wanted, any_plane, as_text, rules_for
from twinplane.settings.network import AUDIT_PORT, CONTROL_PLANE_PORT, GLOBAL, TOOLS, ControlPlaneType
from twinplane.settings.setting import DOMAIN, ENDPOINT, PORT_OR_OFF, Kind

_TYPES = {"gateway": ControlPlaneType.GATEWAY, "kic": ControlPlaneType.KIC}
_FORMS = ("text", "json", "kubernetes")
_PAGE = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "--domain",
        default="twinplane.localhost",
        help="base domain (default: twinplane.localhost, or what the API says)",
    )
    add("--region", action="append", default=[], metavar="NAMES", help="regions, with commas (default: us)")
    add("--type", action="append", default=[], metavar="NAMES", help="types of control planes: gateway, kic")
    add("--control-plane", action="append", default=[], metavar="NAMES", help="control planes by name or id")
    add("--tools", action="append", default=[], metavar="NAMES", help=f"tools in use: {', '.join(TOOLS)}")
    add("--port", default="", help="port that the platform is reached at (default: 443, or what the API says)")
    add("--audit-port", default=str(AUDIT_PORT.number), help="port of audit lines, or off (default: 8071)")
    add("--address", default="localhost:9443", help="address of the API, for --control-plane (default: localhost:9443)")
    add("--token-file", type=Path, default=Path("./.twinplane/admin.token"), metavar="FILE", help="token for the API")
    add("--ca", type=Path, metavar="FILE", help="authority of the API's certificate (default: those of the system)")
    add("--cidr", action="append", default=[], metavar="NETWORKS", help="networks of the platform, for kubernetes")
    add("-o", "--output", choices=_FORMS, default="text", help="form of the list (default: text)")


def run(options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    """Print the list. Raises SettingsError, StartError."""
    wanted, networks = read_wanted(options)
    rules = rules_for(wanted)
    if options.output == "json":
        print(json.dumps({"rules": [asdict(rule) for rule in rules]}, indent=2))
    elif options.output == "kubernetes":
        print(network_policy(rules, networks), end="")
    else:
        print(as_text(rules))
    return 0


def read_wanted(options: argparse.Namespace) -> tuple[Wanted, Sequence[str]]:
    """What options ask for, and networks for a policy. Raises SettingsError with every mistake, StartError."""
    regions, types, tools = _words(options.region), _words(options.type), _words(options.tools)
    names, networks = _words(options.control_plane), _words(options.cidr)
    mistakes = [
        *_unknown("tools", tools, TOOLS),
        *_unknown("type", types, tuple(_TYPES)),
        *(_mistake("region", f"expected 2 to 6 letters, got '{each}'") for each in regions if not _is_region(each)),
        *(_mistake("cidr", f"'{each}' is not a network") for each in networks if not _is_network(each)),
    ]
    if names and types:
        mistakes.append(_mistake("type", "cannot be given with --control-plane, which tells it"))
    read: dict[str, Kind[Any]] = {"domain": DOMAIN, "port": PORT_OR_OFF, "audit_port": PORT_OR_OFF, "address": ENDPOINT}
    values: dict[str, Any] = {}
    for name, kind in read.items():
        text = getattr(options, name)
        try:
            values[name] = kind.read(text) if text else None
        except ValueError as error:
            mistakes.append(_mistake(name.replace("_", "-"), str(error)))
    if mistakes:
        raise SettingsError(mistakes)
    chosen = [region for region in regions or ["us"] if region != GLOBAL]
    if names:
        return _asked(options, values, regions, names, tools or None), networks
    planes = [any_plane(values["domain"], region, _TYPES[each]) for region in chosen for each in types or ["gateway"]]
    return (
        Wanted(
            values["domain"],
            regions or chosen,
            planes,
            tools or None,
            values["port"] or CONTROL_PLANE_PORT.number,
            values["audit_port"],
        ),
        networks,
    )


def _asked(
    options: argparse.Namespace,
    values: Mapping[str, Any],
    regions: Sequence[str],
    names: Sequence[str],
    tools: Sequence[str] | None,
) -> Wanted:
    """Control planes by name or id, as the API tells of them."""
    host, _, port = values["address"].rpartition(":")
    try:
        token = options.token_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise StartError(f"token-file: {options.token_file}: cannot be read: {error.strerror}") from error
    client = PlatformClient(host.strip("[]"), int(port), options.ca, token, is_tls=True)
    hosts: list[str | None] = [f"{region}.api.{values['domain']}" for region in regions if region != GLOBAL]
    try:
        found = [plane for asked in hosts or [None] for plane in _all_planes(client, asked)]
    except (OSError, http.client.HTTPException) as error:
        raise StartError(f"{values['address']}: cannot be reached: {error}") from error
    chosen = [plane for plane in found if plane["name"] in names or plane["id"] in names]
    missing = [name for name in names if not any(name in (plane["name"], plane["id"]) for plane in chosen)]
    if missing:
        raise StartError(*(f"the control plane `{name}` does not exist" for name in missing))
    planes = [_plane(plane) for plane in chosen]
    domain, told_port = _place(chosen[0])
    return Wanted(
        domain,
        list(dict.fromkeys(plane.region for plane in planes)),
        planes,
        tools,
        values["port"] or told_port,
        values["audit_port"],
    )


def _all_planes(client: PlatformClient, host: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        size, number = quote("page[size]"), quote("page[number]")
        path = f"/v2/control-planes?{size}={_PAGE}&{number}={len(found) // _PAGE + 1}"
        page = client.call("GET", path, host=host)
        found += page["data"]
        if not page["data"] or len(found) >= page["meta"]["page"]["total"]:
            return found


def _plane(told: Mapping[str, Any]) -> Plane:
    config = told["config"]
    kinds = [kind for kind in ControlPlaneType if kind.value == config["cluster_type"]]
    # Types that are kept for others to read have nodes like a gateway's.
    kind = kinds[0] if kinds else ControlPlaneType.GATEWAY
    configuration, telemetry = (
        urlsplit(config[f"{name}_endpoint"]).hostname or "" for name in ("control_plane", "telemetry")
    )
    return Plane(configuration.split(".")[1], kind, configuration, telemetry)


def _place(told: Mapping[str, Any]) -> tuple[str, int]:
    """The base domain and the port in an endpoint."""
    parts = urlsplit(told["config"]["control_plane_endpoint"])
    return (parts.hostname or "").split(".", 3)[3], parts.port or CONTROL_PLANE_PORT.number


def _words(given: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(word.strip() for text in given for word in text.split(",") if word.strip()))


def _unknown(name: str, given: Sequence[str], known: Sequence[str]) -> list[Mistake]:
    return [_mistake(name, f"expected {', '.join(known)}, got '{each}'") for each in given if each not in known]


def _mistake(name: str, problem: str) -> Mistake:
    return Mistake("command line", name, problem)


def _is_region(text: str) -> bool:
    return text.isascii() and text.isalpha() and text.islower() and 2 <= len(text) <= 6


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
